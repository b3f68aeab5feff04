"""An experiment is everything that a number depends on: task, model, training, seed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, SerializeAsAny, model_validator

from tasks.files import FileTask
from tasks.task import STREAM, Task
from zoo.model import ModelSpec
from zoo.spec import Range, Spec

SCHEMA = 1


class TrainSpec(Spec):
    """How a model is trained: AdamW, linear warm-up, cosine to zero.

    num_train: examples of a fixed set, seen epoch by epoch; None: every step is on fresh data.
    """

    lr: Annotated[float, Range(1e-4, 1e-1, log=True), Field(gt=0)] = 3e-3
    weight_decay: Annotated[float, Range(1e-4, 1.0, log=True), Field(ge=0)] = 0.01
    batch_size: Annotated[int, Field(ge=1, le=2**20)] = 32
    steps: Annotated[int, Field(ge=1, le=2**30)] = 300
    num_train: Annotated[int, Field(ge=1, le=2**24)] | None = None
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1  # fraction of the steps
    clip: Annotated[float, Field(gt=0)] | None = None  # norm of the whole gradient
    eval_every: Annotated[int, Field(ge=1)] = 50  # steps
    num_eval: Annotated[int, Field(ge=1, le=2**24)] = 512  # examples of each evaluation split
    stop_at: Annotated[float, Field(gt=0, le=1)] | None = None  # validation accuracy
    checkpoint_every: Annotated[float, Field(ge=0)] = 30.0  # seconds
    select: Literal["last", "best-validation"] = "last"

    @model_validator(mode="after")
    def _streams_are_apart(self) -> Self:
        if self.batch_size * self.steps > STREAM:
            raise ValueError(
                f"batch_size={self.batch_size} times steps={self.steps} is above {STREAM}, the "
                "examples that a seed may train on: use fewer steps"
            )
        return self


class Experiment(Spec):
    """One training run. Two equal experiments give the same bits on one machine."""

    task: SerializeAsAny[Task]
    model: ModelSpec
    train: TrainSpec = TrainSpec()
    seed: Annotated[int, Field(ge=0, lt=2**20)] = 0

    @model_validator(mode="after")
    def _fits(self) -> Experiment:
        if self.train.stop_at is not None and self.task.context.is_real:
            raise ValueError("train.stop_at is a validation accuracy; this task is a regression")
        return self

    @property
    def fingerprint(self) -> str:
        """The run's name everywhere: 16 hex digits of sha256 over the canonical JSON.

        Of a task made of files it counts what they hold, not where they are.
        """
        task = self.task
        if isinstance(task, FileTask) and task.sha256:
            task = task.model_copy(update={"path": ""})
        canonical = self.model_copy(update={"task": task}).canonical()
        text = f"seqzoo experiment {SCHEMA} {canonical}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_seed(self, seed: int) -> Experiment:
        """The same experiment with another seed."""
        return self.model_copy(update={"seed": seed})

    def with_train(self, **fields: Any) -> Experiment:
        """The same experiment trained otherwise; validated."""
        train = TrainSpec(**{**dict(self.train), **fields})
        return self.model_copy(update={"train": train})


class Score(NamedTuple):
    """One number of a run: where it was measured, on which part, and what it is."""

    split: str
    slice: str
    metric: str
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run found. Finished iff it is on disk as `result.json`."""

    fingerprint: str
    status: Literal["finished", "diverged"]
    scores: tuple[Score, ...]
    parameters: int
    state_bytes: int
    steps: int
    seconds: float
    weights: str  # sha256 of the weights that were scored
    identity: dict[str, Any]  # code, torch, device, dtype, threads
    resumed_from: tuple[int, ...] = ()
    still_improving: bool = False

    def score(self, split: str, metric: str, part: str = "all") -> float | None:
        """One score, None where it was not measured."""
        for score in self.scores:
            if (score.split, score.slice, score.metric) == (split, part, metric):
                return score.value
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "scores": [score._asdict() for score in self.scores]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        """The inverse of `to_dict`."""
        scores = tuple(Score(**score) for score in values["scores"])
        return cls(**{**values, "scores": scores, "resumed_from": tuple(values["resumed_from"])})
