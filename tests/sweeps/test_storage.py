"""Where trials are kept: files, and a PostgreSQL server that is started here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from sweeps.address import masked
from sweeps.options import read_options
from sweeps.storage import address, checked, open_storage
from sweeps.words import WordError
from tests.faults.causing import finish, results, start
from tests.sweeps.fakes import fake_result
from tests.sweeps.small import experiment, tune

WORDS = ["decay=off", "seeds=2", "trials=3"]
PROGRAM = "ablations.run"


def programs() -> Path:
    """Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("postgresql is not installed: Debian's package of that name")
    return found[-1].parent


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database of its own server."""
    binaries = programs()
    pytest.importorskip("psycopg", reason="postgresql: psycopg is not installed")
    place = Path(tempfile.mkdtemp(prefix="seqzoo-postgresql-"))  # pytest's are closed to others
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(place, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-F -c listen_addresses=127.0.0.1 -p {port} -k {place}"
    initdb = [*as_user, binaries / "initdb", "-D", place, "-U", "zoo", "--auth=trust", "-N"]
    control = [*as_user, binaries / "pg_ctl", "-D", place, "-l", place / "log", "-w"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=place)
    subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://zoo:secret@127.0.0.1:{port}/postgres"
    finally:
        ended = [*control, "-m", "fast", "stop"]
        done = subprocess.run(ended, capture_output=True, text=True, cwd=place, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(place)


def trials(out: Path) -> list[tuple]:
    """What the searches of the one study tried, and how it went."""
    (path,) = out.glob("*/trials.parquet")
    return pl.read_parquet(path).select("arm", "number", "parameters", "value", "state").rows()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """With the default storage."""
    out = tmp_path_factory.mktemp("plain") / "out"
    code, _, err = finish(start(out, *WORDS, program=PROGRAM))
    assert code == 0, err
    return trials(out)


@pytest.mark.slow
def test_a_server_keeps_what_a_file_keeps(tmp_path, server, plain):
    out = tmp_path / "out"
    code, _, err = finish(start(out, *WORDS, f"storage={server}", program=PROGRAM))
    assert code == 0, err
    assert trials(out) == plain
    assert not list(out.glob("*/study.db"))
    assert "secret" not in err
    assert not any(b"secret" in path.read_bytes() for path in out.glob("*/*.json"))


@pytest.mark.slow
def test_a_server_recalls_what_it_kept(tmp_path, server, plain):
    """Nothing is tuned again where only the server has the trials."""
    out = tmp_path / "out"
    for _ in range(2):
        code, _, err = finish(start(out, *WORDS, f"storage={server}", program=PROGRAM))
        assert code == 0, err
        assert trials(out) == plain
        shutil.rmtree(out / "runs")
    assert "tuning" not in err


@pytest.mark.slow
def test_studies_share_a_server(tmp_path, server):
    """Each finds its own trials, though their arms have one name."""
    for dropout in ("0.1", "0.2"):
        words = ["decay=off", "seeds=2", "trials=1", f"model.dropout={dropout}"]
        out = tmp_path / dropout
        code, _, err = finish(start(out, *words, f"storage={server}", program=PROGRAM))
        assert code == 0, err
        assert len(results(out)) == 2 + 2 * 2  # a trial and two seeds an arm: none was taken over


@pytest.mark.slow
def test_a_journal_keeps_what_a_file_keeps(tmp_path, plain):
    out = tmp_path / "out"
    code, _, err = finish(start(out, *WORDS, "storage=journal", program=PROGRAM))
    assert code == 0, err
    assert trials(out) == plain
    assert list(out.glob("*/study.journal"))


def test_a_search_is_kept_by_a_server_and_recalled(tmp_path, server):
    """Without training: a search of made-up scores, and another one that finds it done."""
    made = experiment()
    with open_storage(checked(server), tmp_path) as storage:
        tuned = tune(made, "arm", 7, storage, lambda t: fake_result(t, t.train.lr))
    assert tuned.experiment.train.lr == max(t.parameters["train.lr"] for t in tuned.trials)
    with open_storage(checked(server), tmp_path) as again:
        assert tune(made, "arm", 7, again, lambda _: pytest.fail("trained again")) == tuned
    assert not list(tmp_path.iterdir())


def test_a_study_of_a_server_is_run_by_one_process(tmp_path, server):
    """From two folders, which both are owned: trials of the one would be ended by the other."""
    word, made = checked(server), experiment()
    with open_storage(word, tmp_path / "1/study-1") as storage:
        with (
            pytest.raises(WordError, match=r"\*\*\*@.*: study-1 is being run by another process"),
            open_storage(word, tmp_path / "2/study-1"),
        ):
            pass
        with open_storage(word, tmp_path / "study-2"):
            tune(made, "arm", 2, storage, lambda t: fake_result(t, t.train.lr), stamp="held")
    with open_storage(word, tmp_path / "2/study-1") as storage:
        tune(made, "arm", 2, storage, lambda _: pytest.fail("trained again"), stamp="held")


def test_a_server_lets_go_of_a_study_whose_driver_was_killed(tmp_path, server):
    code = f"""
import os, signal
from pathlib import Path
from sweeps.storage import open_storage
with open_storage({checked(server)!r}, Path("killed")):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    until = time.monotonic() + 30
    while True:
        try:
            with open_storage(checked(server), tmp_path / "killed"):
                return
        except WordError:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_server_that_is_away_is_one_line(tmp_path):
    words = ["storage=postgresql://zoo:secret@127.0.0.1:9/zoo"]
    code, _, err = finish(start(tmp_path / "out", *WORDS, *words, program=PROGRAM))
    assert code == 2
    line = err.strip().splitlines()[-1]
    assert line.startswith("error: storage=postgresql+psycopg://***@127.0.0.1:9/zoo: ")
    assert "secret" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("word", ["mysql://host/db", "sqlit", "postgresql://", "study.db"])
def test_what_is_no_storage_is_refused(word):
    with pytest.raises(WordError, match="storage="):
        read_options({"storage": word}, trials=0, gain="keep")


def test_more_jobs_than_cores_are_refused_where_jobs_are_processes():
    cores = os.cpu_count() or 1
    for word in ("processes", "ray", "slurm"):
        assert read_options({"jobs": str(cores), "engine": word}, trials=0, gain="keep")
    more = {"jobs": "10000"}
    with pytest.raises(WordError, match=f"jobs=10000: .* {cores}"):
        read_options(more, trials=0, gain="keep")
    for word in ("ray", "slurm"):
        assert read_options({**more, "engine": word}, trials=0, gain="keep").jobs == 10_000


def test_addresses_are_those_of_the_dashboard(tmp_path):
    assert address("sqlite", tmp_path) == f"sqlite:///{tmp_path}/study.db"
    assert address("journal", tmp_path) == f"{tmp_path}/study.journal"
    where = checked("postgres://me:secret@host/db")
    assert address(where, tmp_path) == "postgresql+psycopg://***@host/db"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://h/db?user=me&password=secret", "postgresql://h/db?user=me&password=***"),
        ("postgresql://h/db?sslpassword=secret&a=b", "postgresql://h/db?sslpassword=***&a=b"),
        ("http://h/?api_token=secret", "http://h/?api_token=***"),
        (
            "x storage='postgresql://h/db?PASSWORD=secret' y",
            "x storage='postgresql://h/db?PASSWORD=***' y",
        ),
        ("postgresql://h/db?password=sec@ret", "postgresql://***@"),
        ("postgresql://me:se?a-token=b@ret@h/db", "postgresql://***@"),
        ("postgresql://h/db?sslmode=require", "postgresql://h/db?sslmode=require"),
    ],
)
def test_passwords_are_masked_wherever_an_address_has_them(text, shown):
    assert masked(text) == shown


def test_options_need_no_optuna():
    code = "import sys, sweeps.options; print(json.dumps('optuna' in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True
    )
    assert json.loads(found.stdout) is False
