"""Answers that a model writes itself, token by token, judged by the task: many may be right.

Teacher forcing tells nothing of them: behind another first token, other tokens are right.

Axes: B examples, L positions of the context, T tokens of an answer.
"""

from __future__ import annotations

import numpy as np
import torch

from tasks.batch import Batch
from tasks.writing import Writing
from zoo.model import Model


@torch.no_grad()
def write(model: Model, batch: Batch, writing: Writing, generator: torch.Generator) -> np.ndarray:
    """What the model writes behind each prompt, the inputs before the first scored place.

    Args:    batch      examples, each with more scored places than `writing.given`
             generator  of the draws, on the CPU
    Returns: answers (B, T) with what was given in front, 0 behind their end; an answer that does
             not end within the context is cut there.
    Source:  one position after the other, greedily or at temperature 1.
    """
    starts = batch.mask.argmax(1)
    places = starts + writing.given  # where the next token is due
    num, length = batch.inputs.shape
    tokens = np.where(np.arange(length) <= places[:, None], batch.inputs, 0)
    answers = np.zeros((num, int((length - starts).max())), np.int64)
    rows, given = np.arange(num), np.arange(writing.given)
    answers[:, : writing.given] = batch.targets[rows[:, None], starts[:, None] + given]
    while len(rows):
        here = places[rows]
        found = _next(model, tokens[rows, : int(here.max()) + 1], here, writing, generator)
        answers[rows, here - starts[rows]] = found
        goes_on = (found != writing.stop) & (here + 1 < length)
        rows, found = rows[goes_on], found[goes_on]
        places[rows] += 1
        tokens[rows, places[rows]] = found
    return answers


def _next(
    model: Model,
    tokens: np.ndarray,
    places: np.ndarray,
    writing: Writing,
    generator: torch.Generator,
) -> np.ndarray:
    """The token that is due at one place of each row.                                  (B,)"""
    device = next(model.parameters()).device
    flat = torch.from_numpy(np.arange(len(tokens)) * tokens.shape[1] + places).to(device)
    lengths = torch.from_numpy(places + 1).to(device)
    inputs = torch.from_numpy(np.ascontiguousarray(tokens)).to(device)
    logits = model(inputs, rows=flat, lengths=lengths).cpu().double().nan_to_num()
    if not writing.sampled:
        return logits.argmax(-1).numpy()
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0].numpy()
