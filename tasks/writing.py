"""How a model is made to write answers, of tasks where more than one is right."""

from __future__ import annotations

from typing import NamedTuple


class Writing(NamedTuple):
    """How a model is made to write an answer, which `accepts` then judges."""

    stop: int  # the id that ends an answer
    given: int = 0  # tokens of the example's own answer that it goes on from
    sampled: bool = False  # drawn from the model's law; False: the likeliest token, one by one
