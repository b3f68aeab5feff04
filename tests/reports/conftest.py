"""Small studies with known numbers, on disk as a run would leave them."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from reports.build import Report, build_study
from reports.table import Column, Strong, Table
from sweeps.results import SCHEMA, Study, read_study, write_curve, write_results, write_trials

EXPERIMENT = {
    "task": {"kind": "selective-copying", "length": 64, "num_tokens": 6, "seed": 0},
    "model": {"depth": 2, "width": 32},
    "train": {"lr": 0.003, "weight_decay": 0.01, "batch_size": 64, "steps": 500, "warmup": 0.1},
    "seed": 0,
}


@dataclass
class Synthetic:
    """A study to be written: arm -> values by seed; None is a missing run."""

    arms: dict[str, list[float | None]]
    name: str = "study"
    status: dict[tuple[str, int], str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # arm -> plan entry
    lr: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)  # arm seed split slice metric value
    trials: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[tuple[str, int], list[tuple[int, float]]] = field(default_factory=dict)
    kernels: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    still_improving: set[tuple[str, int]] = field(default_factory=set)

    def write(self, out: Path) -> Path:
        directory = out / self.name
        directory.mkdir(parents=True)
        (directory / "plan.json").write_text(json.dumps(self.make_plan()))
        rows = [row for arm in self.arms for row in self.primary_rows(arm)]
        write_results(directory / "results.parquet", rows + [self.row(**r) for r in self.rows])
        if self.trials:
            write_trials(directory / "trials.parquet", self.trials)
        for arm, values in self.arms.items():
            for seed in range(len(values)):
                self.write_run(out / "runs" / fingerprint(arm, seed), arm, seed)
        return directory

    def make_plan(self) -> dict[str, Any]:
        seeds = list(range(max(len(values) for values in self.arms.values())))
        arms = [
            {"name": arm, "changed": [] if arm == "baseline" else ["kernel.decay: a -> none"]}
            | {"parameters": 10_000, "state_bytes": 2048, "treatment_strength": None}
            | {"experiment": EXPERIMENT}
            | self.entries.get(arm, {})
            for arm in self.arms
        ]
        return {
            "schema": 1,
            "study": self.name,
            "command": "python -m ablations.run decay=off",
            "words": ["decay=off"],
            "base": "all-on",
            "task": "selective-copying",
            "settings": [],
            "primary": {"metric": "accuracy", "split": "test", "slice": "all"},
            "chance": 0.1,
            "seeds": seeds,
            "trials": 0,
            "tuning_seeds": [],
            "gain": "init",
            "match": "none",
            "notes": [],
            "arms": arms,
        } | self.plan

    def primary_rows(self, arm: str) -> list[dict[str, Any]]:
        return [
            self.row(arm=arm, seed=seed, split="test", slice="all", metric="accuracy", value=value)
            for seed, value in enumerate(self.arms[arm])
        ]

    def row(self, **given: Any) -> dict[str, Any]:
        arm, seed = given["arm"], given["seed"]
        value = given["value"]
        default = "finished" if value is not None else "killed"
        full = {
            "study": self.name,
            "base": "all-on",
            "changed": "",
            "settings": "",
            "trial": None,
            "lr": self.lr.get(arm, 0.003),
            "task": "selective-copying",
            "status": self.status.get((arm, seed), default),
            "fingerprint": fingerprint(arm, seed),
            "parameters": 10_000,
            "state_bytes": 2048,
            "steps": 500,
            "seconds": 4.0,
            "device": "cpu",
        } | given
        return {name: full[name] for name in SCHEMA}

    def write_run(self, folder: Path, arm: str, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        result = {"status": "finished", "still_improving": (arm, seed) in self.still_improving}
        (folder / "result.json").write_text(json.dumps(result | {"resumed_from": []}))
        if (arm, seed) in self.curves:
            keys = {"split": "validation", "slice": "all", "metric": "accuracy"}
            curve = self.curves[arm, seed]
            write_curve(
                folder / "curve.parquet", [{"step": s, "value": v} | keys for s, v in curve]
            )
        if seed == 0 and arm in self.kernels:
            np.savez(folder / "kernels.npz", **self.kernels[arm])


def fingerprint(arm: str, seed: int) -> str:
    return hashlib.sha256(f"{arm} {seed}".encode()).hexdigest()[:16]


@pytest.fixture(scope="session")
def synthetic():
    """The studies of this file, to be written anywhere."""
    return Synthetic


@pytest.fixture
def make_study(tmp_path: Path):
    """Write a synthetic study and read it back."""

    def make(arms: dict[str, list[float | None]], **fields: Any) -> Study:
        return read_study(Synthetic(arms, **fields).write(tmp_path / "out"))

    return make


@pytest.fixture
def rich_study(tmp_path: Path) -> Path:
    """Three arms, six seeds, with everything that a report can show."""
    return rich(tmp_path / "out")


@pytest.fixture(scope="session")
def rich_writer():
    """Write that study somewhere else."""
    return rich


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of that study, with all its files; not to be changed."""
    return build_study(rich(tmp_path_factory.mktemp("built") / "out"))


EVIL = "<script>alert('x')</script>"


@pytest.fixture
def hostile_study(make_study) -> Study:
    """A study whose every name tries to run a script."""
    return make_study(
        {"baseline": [0.5, 0.6], EVIL: [0.7, 0.8], 'x" onload="y': [0.7, 0.8]},
        name="hostile",
        plan={"study": EVIL, "command": f"run '{EVIL}'", "task": EVIL, "notes": [EVIL]}
        | {"settings": [EVIL], "base": EVIL},
        entries={EVIL: {"changed": [EVIL], "experiment": {"model": {EVIL: EVIL}}}},
        curves={("baseline", 0): [(1, 0.2), (2, 0.3)], (EVIL, 0): [(1, 0.2), (2, 0.3)]},
        rows=[
            {"arm": "baseline", "seed": 0, "split": "test", "slice": EVIL, "metric": EVIL}
            | {"value": 0.5}
        ],
    )


def rich(out: Path) -> Path:
    """Baseline, a strong effect, none; curves, kernels, tuning, slices, a divergence."""
    rng = np.random.default_rng(3)
    seeds = range(8)
    common = rng.normal(0, 0.02, 8)
    arms = {
        "baseline": list(0.62 + common + rng.normal(0, 0.01, 8)),
        "decay=off": list(0.78 + common + rng.normal(0, 0.015, 8)),
        "smoothness=off": list(0.62 + common + rng.normal(0, 0.012, 8)),
        "length=off": [*(0.31 + common + rng.normal(0, 0.02, 8))[:7], 0.1],
    }
    arms = {arm: [float(v) for v in values] for arm, values in arms.items()}
    steps = np.arange(50, 501, 50)
    status = {("length=off", 7): "diverged"}

    def curve(arm, seed):
        final = arms[arm][seed]
        rise = 1 / (1 + np.exp(-(steps - 200 - 8 * seed) / 60))
        values = 0.1 + (final - 0.1) * rise + rng.normal(0, 0.008, len(steps))
        stop = 3 if (arm, seed) in status else len(steps)
        return list(zip(steps.tolist()[:stop], values.tolist(), strict=False))

    lag = np.arange(64)
    decays = {"baseline": 8.0, "decay=off": 1e9, "smoothness=off": 8.0, "length=off": 8.0}
    rows = []
    for arm in arms:
        for seed in seeds:
            for name, first, last in (
                ("effective_length", 12.0, 17.5),
                ("roughness", 0.4, 0.52),
                ("decay_exponent", 1.2, 0.9),
                ("decay_rate", 0.11, 0.08),
            ):
                for when, value in (("initial", first), ("final", last)):
                    key = {"arm": arm, "seed": seed, "split": "kernel", "slice": when}
                    rows.append(key | {"metric": name, "value": value * decays["baseline"] / 8})
            for gap in (2, 10, 40):
                key = {"arm": arm, "seed": seed, "split": "test", "slice": f"gap={gap}"}
                value = arms[arm][seed] - gap / 200
                rows.append(key | {"metric": "accuracy", "value": value})
            key = {"arm": arm, "seed": seed, "split": "test", "slice": "all"}
            rows.append(key | {"metric": "loss", "value": 2 - arms[arm][seed]})
    rates = (0.003, 0.0001, 0.001, 0.01, 0.1)
    trials = [
        {"arm": arm, "number": n, "parameters": json.dumps({"train.lr": lr}), "seed": 10_000}
        | {
            "value": float(np.mean(arms[arm]) - 0.12 * abs(np.log10(lr / best))),
            "state": "COMPLETE",
        }
        for arm, best in zip(arms, (0.003, 0.01, 0.003, 0.1), strict=True)
        for n, lr in enumerate(rates)
    ]
    best_trial = {"baseline": 0, "decay=off": 3, "smoothness=off": 0, "length=off": 4}
    return Synthetic(
        arms,
        name="decay-length-smoothness-1234abcd",
        status=status,
        lr={arm: rates[n] for arm, n in best_trial.items()},
        rows=rows,
        trials=trials,
        curves={(arm, seed): curve(arm, seed) for arm in arms for seed in seeds},
        kernels={
            arm: {
                "initial/blocks.0.mixer.kernel": wave(lag, decays[arm], 1.0),
                "final/blocks.0.mixer.kernel": wave(lag, 1.4 * decays[arm], 1.3),
            }
            for arm in arms
        },
        still_improving={("decay=off", 2), ("decay=off", 5)},
        plan={
            "trials": 5,
            "tuning_seeds": [10_000],
            "lr_range": [1e-4, 1e-1],
            "settings": ["depth=2"],
            "command": "python -m ablations.run decay=off smoothness=off length=off depth=2",
        },
        entries={
            "decay=off": {"treatment_strength": 0.83},
            "smoothness=off": {
                "treatment_strength": 0.07,
                "changed": ["mixers.0.kernel.smoothness: moving-average -> none"],
            },
            "length=off": {
                "treatment_strength": 0.41,
                "parameters": 8_000,
                "changed": ["mixers.0.kernel.length: full -> taps"],
            },
        },
    ).write(out)


def wave(lag: np.ndarray, decay: float, frequency: float) -> np.ndarray:
    channels = np.arange(4)[:, None]
    return np.exp(-lag / decay) * np.cos(0.2 * frequency * (1 + channels) * lag)


HOSTILE = (
    "<script>alert(1)</script>",
    "\\ & % $ # _ { } ~ ^",
    "a|b `c` *d* _e_ [f](http://g)",
    "\"quoted\" 'single' --dashes-- --- -? ...",
    "[0pt]",
    "*star",
    "\\input{/etc/passwd}",
    '#import "x": * // no comment /* nor this',
    '@reference <label> #eval("1")',
    "= heading",
    "+ item",
    "- item",
    "/ term: text",
    "1. one",
    "$x^2$ ~ -0.12",
    "line\nbreak\x00null",
    "é 中 → ± † ↑ ↓ ≈ λ Δ",
    "",
)


@pytest.fixture
def hostile_table() -> Table:
    """Names that every format acts on, in a body, in headings, apart and in notes."""
    frame = pl.DataFrame({"arm": list(HOSTILE), "p": [0.01] + [0.5] * (len(HOSTILE) - 1)})
    return Table(
        name="hostile",
        caption="A & B: 100 % <b> #1 [x] $y$",
        frame=frame,
        columns=(
            Column("arm_name", lambda r: r["arm"], "left"),
            Column("p", lambda r: Strong(str(r["p"])) if r["p"] < 0.05 else str(r["p"])),
            Column("<b>_#%", lambda r: r["arm"], "left", group="#group & $5 [%]"),
            Column("q", lambda r: Strong(r["arm"]), group="#group & $5 [%]"),
        ),
        notes=("a note_with $ signs", *HOSTILE),
        apart=tuple((name, "–", Strong(name), name) for name in HOSTILE),
        apart_title="published: <i> & #1 $ %",
    )


@pytest.fixture
def names() -> tuple[str, ...]:
    """The names themselves."""
    return HOSTILE
