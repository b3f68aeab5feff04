"""Ctrl-C and SIGTERM: the first asks to stop after this step, the second stops now."""

from __future__ import annotations

import os
import signal
from types import FrameType

EXIT = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """`with StopRequest() as stop: ... stop.asked` is True once a signal came."""

    def __init__(self) -> None:
        self.asked = False
        self._old: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in SIGNALS:
            self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(EXIT)  # files are whole at any moment, so leaving at once loses nothing
        self.asked = True
