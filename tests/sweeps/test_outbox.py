"""What waits for the store: thinned curves, clean names; a store that fails, hangs or refuses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import outbox
from sweeps.address import Place
from sweeps.leftover import left, read
from sweeps.outbox import Outbox
from sweeps.spool import Spool
from sweeps.tracked import CURVE_POINTS, Point, Record, Thinning, clean, flatten


@pytest.mark.parametrize("status", ["diverged", "out-of-memory", "timeout", "failed"])
def test_statuses(status: str) -> None:
    record = Record("", "")
    record.finish(status, [], 1)
    assert (record.status, record.tags["status"]) == ("FAILED", status)


def test_curves_are_thinned_evenly_and_keep_their_end() -> None:
    for steps in (1, 7, 199, 200, 201, 1000, 12_345):
        thinning = Thinning(steps)
        kept = [step for step in range(steps + 1) if thinning.keeps("loss", step)]
        assert len(kept) <= CURVE_POINTS + 1
        assert len(kept) >= min(steps + 1, CURVE_POINTS)
        assert (kept[0], kept[-1]) == (0, steps)
        gaps = [b - a for a, b in itertools.pairwise(kept)]
        assert max(gaps) <= steps / CURVE_POINTS + 1


def test_each_metric_has_its_own_points() -> None:
    thinning = Thinning(100_000)
    kept = [(name, step) for step in range(3) for name in "ab" if thinning.keeps(name, step)]
    assert kept == [("a", 0), ("b", 0)]


def test_clean_and_flatten() -> None:
    assert clean("test/accuracy") == "test/accuracy"
    assert clean("a//b/./c/") == "a/b/c"
    assert flatten({"a": {"b": [1, {"c": True}]}, "d": "off"}) == {
        "a.b.0": "1", "a.b.1.c": "true", "d": "off"
    }  # fmt: skip
    assert flatten({"x": "y" * 501}) == {}


class FlakyStore:
    """Fails as told; remembers what it got."""

    uri = "http://user:secret@example.invalid"

    def __init__(self, failures: int = 0, poison: str = "", seconds: float = 0.0) -> None:
        self.failures, self.poison, self.seconds = failures, poison, seconds
        self.got: list[tuple[str, int]] = []

    def write(self, record: Record) -> int:
        time.sleep(self.seconds)
        if self.failures > 0 or record.name == self.poison:
            self.failures -= 1
            raise ConnectionError("refused\nby http://user:secret@example.invalid")
        self.got.extend((record.name, point.step) for point in record.points)
        num, record.points = len(record.points), []
        return num


def fill(box: Outbox, *names: str, steps: int = 5) -> list[Record]:
    records = [Record(name, name) for name in names]
    for step in range(steps):
        for record in records:
            box.put(record, record.add, Point("loss", step, 0.0))
    return records


def test_what_a_store_did_not_take_is_written_later(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.01)
    store = FlakyStore(failures=3)
    box = Outbox(store)
    fill(box, "a", "b")
    deadline = time.monotonic() + 20
    while len(store.got) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(store.got) == [(name, step) for name in "ab" for step in range(5)]
    assert box.close(5)
    assert capfd.readouterr().err.count("\n") == 1


def test_one_bad_record_does_not_hold_up_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    store = FlakyStore(poison="bad")
    box = Outbox(store)
    fill(box, "bad", "a", "b")
    assert not box.close(5)
    assert sorted(store.got) == [(name, step) for name in "ab" for step in range(5)]
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("spooled", [True, False])
def test_of_a_store_that_is_long_away_memory_holds_a_part(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    spooled: bool,
) -> None:
    """Of what the spool has. When the store is back, such a run waits for the next process."""
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "HELD_CHANGES", 100)
    study, store = Record("0" * 32, "study"), FlakyStore(failures=10**9)
    box = Outbox(store, Spool(tmp_path, study, Place()) if spooled else None)
    [away] = fill(box, "1" * 32, steps=250)
    until(lambda: box._taken == 250 and len(away.points) == (0 if spooled else 250))
    store.failures = 0
    box.put(away, away.add, Point("loss", 250, 0.0))
    [after] = fill(box, "2" * 32)
    until(lambda: (after.name, 4) in store.got)
    assert box.close(5) != spooled
    assert ("python -m sweeps.sync" in capfd.readouterr().err) == spooled
    found = [record for path in left(tmp_path) for record in read(path).records.values()]
    assert [each for each in store.got if each[0] == away.name and spooled] == []
    for record in found:
        store.write(record)
    assert {each for each in store.got if each[0] == away.name} == {
        (away.name, step) for step in range(251)
    }


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


def test_points_go_out_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    store = FlakyStore()
    monkeypatch.setattr(FlakyStore, "write", lambda self, record: writes.append(record))
    box = Outbox(store)
    fill(box, "a", steps=2500)
    assert box.close(5)
    assert len(writes) in (3, 4)  # one at once, one per 1000 changes, the rest


def test_a_call_costs_microseconds_while_the_store_hangs() -> None:
    box = Outbox(FlakyStore(seconds=3.0))
    record = Record("a", "a")
    times = []
    for step in range(20_000):
        started = time.perf_counter()
        box.put(record, record.add, Point("loss", step, 0.0))
        times.append(time.perf_counter() - started)
    assert sorted(times)[len(times) // 2] < 50e-6
    assert max(times) < 1.0  # none waited for the write of 3 s that went on meanwhile
    started = time.monotonic()
    box.close(0.2)
    assert time.monotonic() - started < 2
