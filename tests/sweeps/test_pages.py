"""The printed commands open MLflow and optuna-dashboard, and a browser finds the study there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import optuna
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from sweeps.address import database
from sweeps.pages import free_port, pages
from sweeps.run import main as run

PATIENCE = 180  # seconds: MLflow's server takes half a minute where cores are shared
TINY = (
    *("base=all-on", "width=8", "depth=1", "steps=6", "seeds=2", "trials=1"),
    *("train.eval_every=3", "train.num_eval=24", "batch_size=4", "task.length=16"),
)


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    empty_tracking_database: Path,
    capfd_of_module: list[str],
) -> Path:
    """The folder of a real study, in a folder whose name has to be quoted."""
    root = tmp_path_factory.mktemp("pages") / "my out"
    root.mkdir()
    shutil.copy(empty_tracking_database, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setattr("sweeps.study.say", capfd_of_module.append)
        assert run([*TINY, f"out={root}"]) == 0
    [plan] = root.glob("*/plan.json")
    return plan.parent


@pytest.fixture(scope="module")
def capfd_of_module() -> list[str]:
    """What the study said."""
    return []


@pytest.fixture
def browser(program: Callable[..., str], tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,900"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a printed line's command, as a shell would, and tells where its page is."""
    with contextlib.ExitStack() as servers:

        def start(line: str) -> str:
            command, _, page = line.partition(":")[2].partition("  ->  ")
            log = servers.enter_context((tmp_path / f"{line[:4]}.log").open("w"))
            quiet = {
                **os.environ,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "HOME": str(tmp_path),
            }
            server = subprocess.Popen(
                command, shell=True, cwd=tmp_path, env=quiet,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            servers.callback(end, server)
            return page.strip()

        yield start


def end(server: subprocess.Popen[bytes]) -> None:
    """The server and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=20)


def wait_for(page: str) -> None:
    """Until somebody answers there."""
    front, deadline = page.partition("/#")[0], time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(front, timeout=10):
                return
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers at {front}"
            time.sleep(0.3)


def see(browser: webdriver.Chrome, page: str, *texts: str) -> None:
    """Until the page shows all of that."""
    browser.get(page)

    def shown(driver: webdriver.Chrome) -> bool:
        found = driver.find_element(By.TAG_NAME, "body").text
        return all(text in found for text in texts)

    WebDriverWait(browser, PATIENCE).until(shown, f"{page} does not show {texts}")


def test_the_printed_commands_show_the_study(study, browser, serve, program, tmp_path):
    program("optuna-dashboard")
    runs, trials = pages(study, trials=True)
    runs_page, trials_page = serve(runs), serve(trials)
    wait_for(trials_page)
    see(browser, trials_page, "baseline [")
    browser.find_element(By.CSS_SELECTOR, "a[href*='/studies/']").click()
    see(browser, browser.current_url, "baseline [", "Best Trial (number=0)", "train.lr")
    browser.save_screenshot(str(tmp_path / "trials.png"))
    wait_for(runs_page)
    see(browser, runs_page, "baseline seed 0", "baseline seed 1", "3 matching")
    browser.save_screenshot(str(tmp_path / "runs.png"))


def test_a_study_says_both_lines(study, capfd_of_module):
    runs, trials = capfd_of_module
    assert runs.startswith("runs:   ")
    assert f"'sqlite:///{study.parent / 'mlflow.db'}'" in runs
    assert f"'sqlite:///{study / 'study.db'}'" in trials
    assert len(pages(study, trials=False)) == 1


def test_trials_are_of_one_study_by_their_name(study):
    """So that two that came to share a storage by accident take no trials of each other."""
    [name] = optuna.get_all_study_names(database(study / "study.db"))
    assert name.startswith(f"baseline [{study.name} ")


def test_the_link_leads_to_the_runs_of_the_study(study):
    [line] = pages(study, trials=False)
    assert "/#/experiments/1/runs?searchFilter=tags.study" in line
    assert study.name in line.partition("  ->  ")[2]


def test_a_port_that_is_taken_is_left_alone():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
        assert free_port(port) != free_port(port, but=free_port(port))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
        ("http://me:secret@127.0.0.1:9/base", "http://127.0.0.1:9/base"),
        ("http://me:se/secret@127.0.0.1:9/base", "http://127.0.0.1:9/base"),
        ("http://127.0.0.1:9/base/?token=secret", "http://127.0.0.1:9/base"),
        ("http://[nonsense", "http://[nonsense"),
        ("postgresql://me:secret@host/db", '--backend-store-uri "$MLFLOW_TRACKING_URI" '),
    ],
)
def test_a_tracking_server_of_ones_own(tmp_path, monkeypatch, uri, shown):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    [line] = pages(tmp_path, trials=False)
    assert shown in line
    assert "secret" not in line
    assert "sqlite" not in line
