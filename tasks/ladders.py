"""MAD's difficulty ladders: its baseline setting, and each knob turned alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.published import Preset, mad
from tasks.task import Task

WORDS = {"vocab_size": "vocab", "num_tokens": "tokens", "frac_noise": "noise"}  # in names


def ladder(
    name: str, value: Task, knobs: Mapping[str, Sequence[float]], *differs: str
) -> tuple[Preset, ...]:
    """The baseline, and for every step of a knob a preset such as `NAME-length-512`."""
    found = [mad(name, value, *differs)]
    for knob, steps in knobs.items():
        for step in steps:
            harder = type(value).model_validate({**value.to_dict(), knob: step})
            preset = replace(
                mad(f"{name}-{_word(knob)}-{_written(step)}", harder, *differs),
                section=f"difficulty: {knob}={step}",
                upstream="athms/mad-lab@0f49a45 configs/tasks",
            )
            found.append(preset)
    return tuple(found)


def _word(knob: str) -> str:
    return WORDS.get(knob, knob)


def _written(step: float) -> str:
    """A share as its hundredths: names have no dots."""
    return str(step) if isinstance(step, int) else f"{step * 100:.0f}"
