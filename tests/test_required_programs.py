"""Under SEQZOO_REQUIRE a skip for a listed program is a failure; elsewhere it is a skip."""

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
"""


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("compiler", "3 skipped"), ("pdflatex,chromium", "1 failed, 1 skipped, 1 error")],
)
def test_a_required_program_may_not_be_missing(tmp_path: Path, required: str, outcome: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(SKIPS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEQZOO_REQUIRE": required}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout + done.stderr
