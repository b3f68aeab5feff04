"""Faults that are really caused: a child process is stopped, killed, starved; its files judged."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time

import pytest

from tests.faults.causing import assert_same, finish, results, start, wait_for_step


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """The run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, _, err = finish(start(out))
    assert code == 0, err
    assert err.count("MLflow") == 2, err  # that it is away, and what to type when it is back
    assert f"python -m sweeps.sync {out} writes the rest\n" in err
    return results(out)[0]


def test_kill_at_random_points_loses_nothing(tmp_path, whole):
    out, dice = tmp_path / "out", random.Random()
    kills = 0
    for _ in range(3):
        child = start(out)
        if wait_for_step(out, child, dice.randint(1, 50)):
            time.sleep(dice.random() * 0.01)
            os.kill(child.pid, signal.SIGKILL)
            kills += child.wait(30) == -signal.SIGKILL
        finish(child)
        for file in out.rglob("*.json"):
            json.loads(file.read_text())
    code, _, err = finish(start(out))
    assert code == 0, err
    assert kills >= 1
    (found,) = results(out)
    assert_same(found, whole)
    assert found["resumed_from"] or kills == 0


@pytest.mark.parametrize("name", ['a b\'s "c" <script>', "ü {x} #1 %20", "--help; rm -rf $HOME"])
def test_a_folder_of_any_name_is_killed_and_goes_on(tmp_path, whole, name):
    out = tmp_path / name
    child = start(out)
    assert wait_for_step(out, child, 10)
    child.kill()
    finish(child)
    code, _, err = finish(start(out))
    assert code == 0, err
    (found,) = results(out)
    assert_same(found, whole)
    assert found["resumed_from"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_130(tmp_path, whole, number):
    out = tmp_path / "out"
    child = start(out)
    assert wait_for_step(out, child, 5)
    child.send_signal(number)
    code, _, err = finish(child)
    assert code == 130, err
    assert "Traceback" not in err
    assert not results(out)
    assert finish(start(out))[0] == 0
    (found,) = results(out)
    assert found["resumed_from"]
    assert_same(found, whole)


def test_a_second_command_repeats_nothing(tmp_path):
    out = tmp_path / "out"
    assert finish(start(out))[0] == 0
    stamp = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*") if p.is_file()}
    code, text, err = finish(start(out))
    assert code == 0, err
    assert "accuracy" in text
    kept = {p: p.stat().st_mtime_ns for p in stamp if p.name != "lock"}
    assert kept == {p: t for p, t in stamp.items() if p.name != "lock"}


def test_a_full_disk_is_one_line_and_the_command_goes_on(tmp_path, whole):
    out = tmp_path / "out"

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    code, _, err = finish(start(out, preexec_fn=little_room))
    assert code == 1, err
    lines = [line for line in err.strip().splitlines() if "fault" in line]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert not results(out)
    assert finish(start(out))[0] == 0
    assert_same(results(out)[0], whole)


def test_other_code_stops_before_training_unless_told(tmp_path):
    out = tmp_path / "out"
    assert finish(start(out))[0] == 0
    (path,) = out.glob("runs/*/result.json")
    record = json.loads(path.read_text())
    record["identity"]["code"] = "0123456789abcdef"
    path.write_text(json.dumps(record))
    code, _, err = finish(start(out))
    assert code == 2
    assert "1 finished run comes from other code (0123456789ab ->" in err
    code, _, err = finish(start(out, "reuse=yes"))
    assert code == 0, err
    assert json.loads(path.read_text()) == record
    assert finish(start(out, "reuse=no"))[0] == 0
    assert json.loads(path.read_text())["identity"]["code"] != "0123456789abcdef"


def test_an_edited_plan_is_refused_with_what_differs(tmp_path):
    out = tmp_path / "out"
    assert finish(start(out))[0] == 0
    (path,) = out.glob("*/plan.json")
    plan = json.loads(path.read_text())
    plan["arms"][0]["experiment"]["train"]["steps"] = 7
    path.write_text(json.dumps(plan))
    code, _, err = finish(start(out))
    assert code == 2
    assert "plan.json was edited: arms.0.experiment.train.steps is 7, was 60;" in err
    assert err.count("\n") == 1
    path.unlink()
    assert finish(start(out))[0] == 0


def test_a_clock_that_goes_backwards_changes_nothing(tmp_path, whole):
    """Every look at the clock finds it an hour earlier."""
    place = tmp_path / "clock"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import time\n"
        "real, looks = time.time, [0]\n"
        "def backwards():\n"
        "    looks[0] += 1\n"
        "    return real() - 3600 * looks[0]\n"
        "time.time = backwards\n"
    )
    out = tmp_path / "out"
    child = start(out, path=str(place))
    assert wait_for_step(out, child, 10)
    child.kill()
    finish(child)
    code, _, err = finish(start(out, path=str(place)))
    assert code == 0, err
    (found,) = results(out)
    assert_same(found, whole)
    assert found["resumed_from"]
    assert found["seconds"] > 0


@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, whole, harm):
    """The one before it is used: nothing is lost but a step."""
    out = tmp_path / "out"
    child = start(out)
    assert wait_for_step(out, child, 20)
    child.kill()
    finish(child)
    newest, before = sorted(out.glob("runs/*/checkpoint/[0-9]*"), reverse=True)[:2]
    file = newest / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    if harm == "cut":
        del data[len(data) // 2 :]
    else:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    file.write_bytes(data)
    code, _, err = finish(start(out))
    assert code == 0, err
    (found,) = results(out)
    assert_same(found, whole)
    assert found["resumed_from"] == [int(before.name)]
