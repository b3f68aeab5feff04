"""Under SEQZOO_REQUIRE a skip for what it lists is a failure; elsewhere it is a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPS = """
import pytest
def test_latex(): pytest.skip("no pdflatex here")
@pytest.mark.skipif(True, reason="needs Chromium")
def test_page(): pass
def test_other(): pytest.skip("no postgres here")
def test_engine(): pytest.importorskip("no_such_module", reason="ray: it is not installed")
def test_arrays(): pytest.skip("no arrays here")
"""


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        ("compiler", "5 skipped"),
        ("pdflatex,chromium", "1 failed, 3 skipped, 1 error"),
        ("ray,slurm", "1 failed, 4 skipped"),
    ],
)
def test_what_is_required_may_not_be_missing(tmp_path: Path, required: str, outcome: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(SKIPS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEQZOO_REQUIRE": required}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout + done.stderr
