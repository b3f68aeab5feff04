"""What waits for the tracking store, and the threads that write it.

Training puts changes into a queue and never waits, not even for a file: a write lets other threads
take the interpreter. One thread keeps what is said in the spool, whatever the store does. The other
hands records to the store in batches, and tries again later what a store that is away did not take.
"""

from __future__ import annotations

import contextlib
import math
import queue
import sys
import threading
import time
from typing import Any

from sweeps.address import masked, public
from sweeps.spool import NoSpool
from sweeps.tracked import Change, Record, Store

FLUSH_SECONDS, FLUSH_CHANGES = 5.0, 1000  # whichever comes first
RETRY_SECONDS = 300.0  # the longest wait before a store that is away is asked again
TOGETHER_SECONDS = 0.02  # the points of one evaluation are kept in one go
AWAY_SECONDS = 5.0  # how long a store that was away is waited for at the end
HELD_CHANGES = 200_000  # for a store that is away: 50 MB; what is more, only the spool has

# A method of the record with its arguments; None: there will be no more.
Event = tuple[Record, Change, Any] | None


class Outbox:
    """The threads: from what is said to the spool, and from there to the store."""

    def __init__(self, store: Store, spool: NoSpool | None = None) -> None:
        self._store, self._spool = store, spool or NoSpool()
        self._where = public(store.uri)
        self._lock = threading.Lock()  # of the spool, and of the count of what it holds
        self._said = self._taken = 0
        self._adopted = False
        self._inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()  # what the spool has
        self._changed: dict[Record, None] = {}  # in the order of their first change
        self._changes = 0  # since the last flush
        self._held = 0  # changes since the store had everything, or this was looked at
        self._left: set[str] = set()  # runs that are left to the spool
        self._due = math.inf  # when the next flush is
        self._wait = FLUSH_SECONDS  # longer after failures
        self._warned = False
        self._keeper = threading.Thread(target=self._keep, name="spool", daemon=True)
        self._writer = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self.started = False

    def put(self, record: Record, change: Change, *args: object) -> None:
        if not self.started:  # not before: a command that tracks nothing needs no mlflow
            self.started = True
            self._keeper.start()
            self._writer.start()
        self._inbox.put((record, change, args))

    def close(self, timeout: float) -> bool:
        """Whether everything is written. What is not is a line, which says how it will be."""
        assert self.started
        self._inbox.put(None)
        self._keeper.join(timeout)
        away = self._wait > FLUSH_SECONDS
        self._writer.join(min(timeout, AWAY_SECONDS) if away else timeout)
        written = not self._writer.is_alive() and not self._changed and not self._left
        with self._lock:
            rest = self._spool.rest()
        if rest:
            self._say(f"{self._where} has not everything; {rest}")
        elif not written:
            self._warn(f"{self._where} has not everything")
        return written

    def _keep(self) -> None:
        """Write down what is said, and pass it on."""
        said: list[Event] = []
        while None not in said:
            said = [self._inbox.get()]
            time.sleep(TOGETHER_SECONDS)
            while not self._inbox.empty():
                said.append(self._inbox.get())
            events = [event for event in said if event is not None]
            with self._lock:
                self._spool.append(events)
                self._said += len(events)
            for event in said:
                self._queue.put(event)

    def _run(self) -> None:
        self._take()
        self._due = time.monotonic()  # open the store at once: that takes seconds
        while self._take():
            if self._held > HELD_CHANGES:
                self._leave()
            enough = self._changes >= FLUSH_CHANGES and self._wait == FLUSH_SECONDS
            if enough or time.monotonic() >= self._due:
                self._flush(list(self._changed))
        limit = math.inf
        for record in list(self._changed):  # whatever one of them meets, the others are tried
            if time.monotonic() < limit and not self._flush([record]):
                limit = min(limit, time.monotonic() + AWAY_SECONDS)
        with self._lock:
            self._spool.end()

    def _take(self) -> bool:
        """Carry out one change, or none if a flush is due first. False: there will be no more."""
        wait = None if self._due == math.inf else max(0.0, self._due - time.monotonic())
        try:
            event = self._queue.get(timeout=wait)
        except queue.Empty:
            return True
        if event is None:
            return False
        self._taken += 1
        record, change, args = event
        if record.key in self._left:
            return True
        change(*args)
        self._changed[record] = None
        self._changes += 1
        self._held += 1
        self._due = min(self._due, time.monotonic() + self._wait)
        return True

    def _leave(self) -> None:
        """Forget runs that the spool has, for good: what comes after a gap would hide it."""
        points = sum(len(record.points) for record in self._changed)
        self._held = 0
        with self._lock:
            if points <= HELD_CHANGES // 2 or not self._spool.has_all:
                return
        for record in [each for each in self._changed if each.points]:
            del self._changed[record]
            self._left.add(record.key)
            record.forget()

    def _flush(self, records: list[Record]) -> bool:
        """Write in order up to the first failure; the record that failed comes last next time."""
        self._due, self._changes = math.inf, 0
        self._adopt()
        for record in records:
            del self._changed[record]
            try:
                self._store.write(record)
            except Exception as error:  # whatever it is, training goes on
                self._changed[record] = None
                self._warn(f"{self._where} cannot be written ({type(error).__name__}: {error})")
                self._wait = min(2 * self._wait, RETRY_SECONDS)
                self._due = time.monotonic() + self._wait
                self._spool.sync()
                return False
            self._adopted = True  # too late now: what the store has of a run is asked only once
        self._wait = FLUSH_SECONDS
        self._held = 0
        with self._lock:
            if not (self._changed or self._left) and self._taken == self._said:
                self._spool.clear()
        return True

    def _adopt(self) -> None:
        """Before anything is written, what a process of this study that was killed has left."""
        if not self._adopted:
            with contextlib.suppress(Exception):  # our own records meet the same, and tell
                self._spool.adopt(self._store)
                self._adopted = True

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            self._say(f"{masked(text)[:270]}; training goes on")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"warning: MLflow: {masked(text)}\n")
