"""Named suites: the arms of a published question, with a base, a task and a size to ask it at.

Two sizes: "cpu" ends within 20 minutes on two cores, tuning and seeds included; "published" is the
setting of the paper, as far as it is known and there is such a task here. What a paper reports goes
into plan.json, so that a report can set it beside what was found: of other hardware, data and code.

    python -m ablations.run suite=list
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from reports.published import figure

WIDTH = 96


@dataclass(frozen=True)
class Row:
    """The published figure that stands beside an arm, by its name in reports/data/published.toml.

    table: where it is not the one of the other rows.
    """

    arm: str
    figure: str
    table: str = ""


@dataclass(frozen=True)
class Reported:
    """Published figures of one table, beside the arms of a suite."""

    table: str
    rows: tuple[Row, ...]

    def record(self) -> dict[str, Any]:
        """What plan.json keeps: the figures themselves, so that a report needs no suite."""
        found = {row.arm: figure(row.table or self.table, row.figure) for row in self.rows}
        first = next(iter(found.values()))
        return {
            "metric": f"{first.metric}, %" if first.unit == "percent" else first.metric,
            "task": first.about_what,
            "source": f"{first.paper}, {first.where}",
            "lower_is_better": first.lower_is_better,
            "rows": [
                {"arm": arm, "value": row.value, "status": row.status} for arm, row in found.items()
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A question as a value. All words are those of the command line."""

    name: str
    question: str
    source: str  # whose question it is
    base: str
    task: str
    arms: tuple[str, ...]
    grid: bool = False  # all combinations of the arms
    cpu: tuple[str, ...] = ()  # settings
    minutes: float  # of one core at CPU size, tuning and seeds included, roughly
    published: tuple[str, ...] = ()  # settings, the task with its own `task=`
    reported: tuple[Reported, ...] = ()

    def settings(self, size: str) -> tuple[str, ...]:
        """The settings of a size.

        Raises: ValueError where nothing of that size was published.
        """
        if size == "published" and not self.published:
            raise ValueError(
                f"suite={self.name} was published at no size of its own; leave out size"
            )
        return tuple(w for w in getattr(self, size) if not w.startswith("task="))

    def task_at(self, size: str) -> str:
        """The task of a size."""
        own = [w.partition("=")[2] for w in getattr(self, size) if w.startswith("task=")]
        return own[0] if own else self.task

    def record(self, size: str) -> dict[str, Any]:
        """What plan.json keeps."""
        reported = [each.record() for each in self.reported]
        kept = {name: getattr(self, name) for name in ("name", "question", "source")}
        return {**kept, "size": size, "reported": reported}


SGCONV = "Li, Cai, Zhang, Chen, Dey 2023, arXiv:2210.09298"
SGCONV_PLOT = f"{SGCONV}, notebooks/plot.ipynb of the authors"
LONG_CONV = "Fu et al. 2023, arXiv:2302.06646"
HYENA = "Poli et al. 2023, arXiv:2302.10866"
H3 = "Fu, Dao et al. 2023, arXiv:2212.14052"
ZOOLOGY = "Arora, Eyuboglu et al. 2024, arXiv:2312.04927"
LEVEL_OF_TEXT = "one task of Long Range Arena, at the level of Text"
UNNAMED = "read at the source, which does not name the task"
# Six layers of 256, both directions, as SGConv on Text.
LRA_TEXT = (
    "task=lra-text-4096",
    "model.width=256",
    "model.depth=6",
    "model.mixers.0.direction=two_sided",
    "train.batch_size=16",
    "train.steps=50000",
    "train.weight_decay=0.05",
)
# Eight layers of 128, as SGConv and LongConv on ListOps.
LRA_LISTOPS = (
    "task=lra-listops",
    "model.width=128",
    "model.depth=8",
    "train.batch_size=50",
    "train.steps=80000",
    "train.weight_decay=0.05",
)
# As hyena-131k-30vs.yaml of the authors: two layers of 64, 400 epochs of 4,000 examples.
HYENA_RECALL = (
    "task=h3-associative-recall",
    "task.num_pairs=65535",
    "task.num_keys=14",
    "task.num_values=14",
    "model.width=64",
    "train.num_train=4000",
    "train.steps=50000",
    "train.weight_decay=0.1",
)
# As h3-vs10.yaml of the authors: two layers of 32, 200 epochs of 5,000 examples.
H3_RECALL = (
    "task=h3-associative-recall",
    "train.num_train=5000",
    "train.steps=31250",
    "train.weight_decay=0.1",
)

DECAY_SPEED = Reported(
    "sgconv-decay",
    (
        Row("decay.speed=0", "decay speed 0"),
        Row("decay.speed=0.5", "decay speed 0.5"),
        Row("decay.speed=0.75", "decay speed 0.75"),
        Row("baseline", "decay speed 1"),
        Row("decay.speed=1.5", "decay speed 1.5"),
        Row("decay.speed=2", "decay speed 2"),
    ),
)

DIMENSION = Reported(
    "sgconv-dimension",
    (
        *(Row(f"parameterization.size={d}", f"dimension {d}") for d in (1, 2, 4)),
        Row("baseline", "dimension 8"),
        *(Row(f"parameterization.size={d}", f"dimension {d}") for d in (16, 32, 64)),
    ),
)

SQUASH_AND_SMOOTH = Reported(
    "long-conv-regularization",
    (
        Row("baseline", "squash"),
        Row("regularization=off", "no regularization"),
        Row("smoothness=moving-average", "smooth, squash", "long-conv-regularization-others"),
        Row(
            "regularization=off smoothness=moving-average",
            "smooth",
            "long-conv-regularization-others",
        ),
    ),
)

# CKConv stands for no window and no short filters.
RECALL_131K = Reported(
    "hyena-window",
    (
        Row("baseline", "as published"),
        Row("decay=off gating.short=1", "no window, no short filters (CKConv)"),
    ),
)

# Without its gating H3 is S4D.
H3_SYNTHETICS = tuple(
    Reported(table, (Row("baseline", "H3"), Row("gating=off", "S4D")))
    for table in ("h3-recall", "h3-induction")
)

# Without its gating Hyena is LongConv.
PILE_355M = Reported(
    "zoology-pile",
    (Row("baseline", "Hyena", "zoology-pile-others"), Row("gating=off", "LongConv")),
)

EVERY = (
    Suite(
        name="five-properties",
        question="Which of the five properties does this model need?",
        source="none: the question of this project",
        base="all-on",
        task="selective-copying",
        arms=(
            "length=off",
            "decay=off",
            "parameterization=off",
            "smoothness=off",
            "gating=off",
        ),
        minutes=6,
    ),
    Suite(
        name="sgconv-decay",
        question="How fast must a kernel decay? Scale i weighs 2^(-speed i); the base has 1.",
        source=SGCONV,
        base="sgconv",
        task="stack-queue",
        arms=("arm.decay.speed=0,0.5,0.75,1,1.5,2",),
        cpu=("train.steps=600",),
        minutes=8,
        published=LRA_TEXT,
        reported=(DECAY_SPEED,),
    ),
    Suite(
        name="sgconv-dimension",
        question="How many numbers does a scale need? The base has 8.",
        source=SGCONV,
        base="sgconv",
        task="stack-queue",
        arms=("arm.parameterization.size=1,2,4,8,16,32,64",),
        cpu=("task.length=256",),  # at 64, a scale of 64 would be all of the kernel
        minutes=13,
        published=LRA_TEXT,
        reported=(DIMENSION,),
    ),
    Suite(
        name="long-conv-regularization",
        question="Do free taps need to be squashed, smoothed, both, or neither?",
        source=LONG_CONV,
        base="long-conv",
        task="stack-queue",
        arms=("regularization=off", "smoothness=moving-average"),
        grid=True,
        minutes=4,
        published=(
            *LRA_LISTOPS,
            "model.mixers.0.kernel.regularization.threshold=0.002",
            "model.mixers.0.kernel.parameterization.kernel_lr=5e-4",
        ),
        reported=(SQUASH_AND_SMOOTH,),
    ),
    Suite(
        name="hyena-window",
        question="Is it the window or the short filters that Hyena has over CKConv?",
        source=HYENA,
        base="hyena",
        task="in-context-recall",
        arms=("decay=off", "arm.gating.short=1"),
        grid=True,
        cpu=("task.length=64", "train.steps=450"),
        minutes=8,
        published=HYENA_RECALL,
        reported=(RECALL_131K,),
    ),
    Suite(
        name="hyena-frequency",
        question="How rough must an implicit filter be? Sine frequency x law of the first weights.",
        source=f"{HYENA}; the two laws are those of its language model and of its synthetic tasks",
        base="hyena",
        task="in-context-recall",
        arms=("arm.parameterization.frequency=1,10", "arm.parameterization.init=torch"),
        grid=True,
        cpu=("task.length=64", "train.steps=450"),
        minutes=13,
        published=HYENA_RECALL,
    ),
    Suite(
        name="h3-parts",
        question="Which part of H3 recalls: the shift, the long memory, the products, the heads?",
        source=H3,
        base="h3",
        task="in-context-recall",
        arms=(
            "key_kernel=off",
            "arm.kernel.length=off",
            "gating=off",
            "arm.head_dim=1",
            "arm.mixers=h3-conv",
        ),
        cpu=("task.length=64", "train.steps=600"),
        minutes=24,
        published=H3_RECALL,
        reported=H3_SYNTHETICS,
    ),
    Suite(
        name="gating",
        question="Which products around a convolution are needed?",
        source=f"{ZOOLOGY}; {HYENA}",
        base="hyena",
        task="in-context-recall",
        arms=("gating=off,glu,linear,multiplicative",),
        cpu=("task.length=64", "train.steps=450"),
        minutes=9,
        published=(
            "task=zoology-mqar-256",
            "model.width=128",
            "train.num_train=100000",
            "train.batch_size=256",
            "train.steps=25000",
            "train.weight_decay=0.1",
        ),
        reported=(PILE_355M,),
    ),
    Suite(
        name="truncation",
        question="How many taps of a long kernel does the task need?",
        source="Miralles-González et al. 2025, arXiv:2501.14850: Long Range Arena is mostly local",
        base="sgconv",
        task="stack-queue",
        arms=("length=taps", "length.taps=1,4,16,32"),
        cpu=("train.steps=600",),
        minutes=7,
        published=LRA_LISTOPS,
    ),
    Suite(
        name="two-principles",
        question="Few parameters, decay, or both: what makes a global kernel work?",
        source=SGCONV,
        base="sgconv",
        task="stack-queue",
        arms=("parameterization=off", "decay=off"),
        grid=True,
        cpu=("train.steps=600",),
        minutes=5,
        published=LRA_TEXT,
        reported=(
            Reported(
                "sgconv-decay",
                (Row("baseline", "decay speed 1"), Row("decay=off", "decay speed 0")),
            ),
        ),
    ),
    Suite(
        name="smoothness",
        question="Does it matter how smooth a kernel is between its free numbers?",
        source=f"{SGCONV} (linear and nearest); {LONG_CONV} (moving average)",
        base="sgconv",
        task="stack-queue",
        arms=("arm.parameterization.interpolation=nearest,cubic", "smoothness=moving-average"),
        cpu=("train.steps=600",),
        minutes=5,
        published=LRA_TEXT,
    ),
)
SUITES = {suite.name: suite for suite in EVERY}


def listing() -> Iterator[str]:
    """Every suite for a person: what it asks, of what, at which size, what was reported."""
    yield "suites: python -m ablations.run suite=NAME [base=...] [task=...] [size=published]"
    for suite in EVERY:
        yield ""
        yield f"{suite.name}"
        yield from _wrapped("", f"{suite.question}")
        yield from _wrapped("arms", f"{' '.join(suite.arms)}{' (all combinations)' * suite.grid}")
        small = " ".join(suite.cpu)
        yield from _wrapped("cpu", f"base={suite.base} task={suite.task} {small}".rstrip())
        clock = f"{suite.minutes / 2:.2g} by the clock with jobs=2 on two cores"
        yield from _wrapped("", f"about {suite.minutes:g} CPU minutes, {clock}")
        yield from _wrapped("published", " ".join(suite.published) or "at no size of its own")
        yield from _wrapped("source", suite.source)
        for each in (reported.record() for reported in suite.reported):
            sure = [row for row in each["rows"] if row["status"] != "memory"]
            rows = ", ".join(f"{row['arm']} {row['value']:g}" for row in sure)
            yield from _wrapped("reported", f"{rows} ({each['metric']}; {each['task']})")


def _wrapped(title: str, text: str) -> list[str]:
    lines = wrap(text, WIDTH - 13, break_long_words=False, break_on_hyphens=False)
    return [f"  {(title if i == 0 else ''):<11}{line}" for i, line in enumerate(lines)]
