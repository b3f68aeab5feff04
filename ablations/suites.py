"""Named suites: the arms of a published question, for any base."""

from __future__ import annotations

SUITES: dict[str, tuple[str, ...]] = {
    "five-properties": (
        "length=off",
        "decay=off",
        "parameterization=off",
        "smoothness=off",
        "gating=off",
    ),
}
