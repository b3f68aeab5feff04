"""Studies with everything that a figure can show, of any number of arms and seeds."""

import json
from functools import cache

import numpy as np
import pytest

from reports.contrast import analyse
from reports.study_figures import pictures
from sweeps.results import read_study

SUITE = {
    "kind": "length-suite",
    "inner": {"kind": "mqar", "length": 64, "num_pairs": 8, "vocab_size": 256, "seed": 0},
    "lengths": [16, 32, 128, 256, 512],
    "seed": 0,
}
SLICES = {
    "num_pairs": (2, 4, 8, 16, 32, 64),
    "length": (16, 32, 128, 256, 512),
    "longest_gap": ("0..1", "2..3", "4..7", "8..15", "16..31", "32..63"),
    "root": (-1, 0, 1, 2, 3),
    "shift": ("skewed", "orthogonal", "scaled"),
}
STEPS = np.arange(50, 501, 50)


def level(arm, seed):
    """The accuracy of an arm's seed: what all numbers of its study follow from."""
    return float(0.9 - 0.06 * (arm % 9) + 0.02 * np.sin(3.7 * arm + 1.3 * seed) - 0.004 * seed)


def slope(accuracy, name, i):
    """What a slice scores: less for more pairs and for longer sequences."""
    if name == "num_pairs":
        return float(1 / (1 + np.exp(i - 1 - 4 * accuracy)) ** 0.5)
    if name == "length":
        return 0.995 if i < 2 + 3 * accuracy else accuracy - 0.05 * i
    return accuracy - 0.05 * i


def all_rows(arms, num_seeds):
    for a, arm in enumerate(arms):
        for seed in range(num_seeds):
            own = {"arm": arm, "seed": seed}
            for name, values in SLICES.items():
                for i, value in enumerate(values):
                    part = own | {"split": "test", "slice": f"{name}={value}"}
                    yield part | {"metric": "accuracy", "value": slope(level(a, seed), name, i)}
            for when, more in (("initial", 0), ("final", 1)):
                kernel = own | {"split": "kernel", "slice": when}
                measures = {"effective_length": 224 + a, "decay_exponent": -0.132 - a}
                measures["decay_rate"] = 0.000614  # as long as numbers come
                for metric, value in measures.items():
                    yield kernel | {"metric": metric, "value": value * (1 + more + seed / 100)}


def trials_of(arms):
    for a, arm in enumerate(arms):
        for n, lr in enumerate((1e-3, 1e-5, 1e-4, 1e-2, 1e-1)):
            value = 0.9 - 0.03 * a - 0.1 * abs(np.log10(lr) + 3)
            text = json.dumps({"train.lr": lr})
            yield {"arm": arm, "number": n, "parameters": text, "seed": 10_000} | {
                "value": value,
                "state": "COMPLETE",
            }


def entry(a):
    kernels = {2**i: 512 * (2 + i) if a % 2 else 64 * 2**i for i in range(4, 11)}
    return {
        "parameters_by_length": kernels,
        "state_bytes": 1024 * 2 ** (a % 4),
        "experiment": {"task": SUITE, "train": {"lr": 1e-3}, "model": {}, "seed": 0},
    }


@pytest.fixture(scope="session")
def full_study(synthetic, tmp_path_factory):
    """Write a study of these arms with every kind of data."""

    def make(arms, num_seeds=3, **fields):
        lag = np.arange(64)
        kernel = np.exp(-lag / 9) * np.cos(np.arange(4)[:, None] * lag / 4)
        curve = [(int(s), 0.1 + 0.8 / (1 + np.exp((200 - s) / 60))) for s in STEPS]
        seeds = range(num_seeds)
        given = {
            "name": "full",
            "rows": list(all_rows(arms, num_seeds)),
            "trials": list(trials_of(arms)),
            "curves": {
                (arm, seed): [(s, v * level(a, seed)) for s, v in curve]
                for a, arm in enumerate(arms)
                for seed in seeds
            },
            "kernels": {arm: {"initial/k": kernel, "final/k": kernel**3} for arm in arms},
            "entries": {arm: entry(a) for a, arm in enumerate(arms)},
            "plan": {"trials": 5, "chance": 1 / 128, "tuning_seeds": [10_000]},
        }
        values = {arm: [level(a, seed) for seed in seeds] for a, arm in enumerate(arms)}
        out = tmp_path_factory.mktemp("full")
        directory = synthetic(values, **given | fields).write(out)
        space = {"train.lr": "0.0001..0.1:log", "model.width": "8,16"}
        shares = {"train.lr": 0.75, "model.width": 0.25}
        said = {arms[0]: {"space": space, "importance": shares}}
        (directory / "search.json").write_text(json.dumps(said))
        return analyse(read_study(directory))

    return make


@pytest.fixture(scope="session")
def analysis(full_study):
    """A baseline and three arms with long names."""
    name = "mixers.0.kernel.parameterization=multiscale width={}"
    return full_study(["baseline", *(name.format(width) for width in (16, 32, 48))])


@pytest.fixture(scope="session")
def drawn(analysis):
    """Its figures by style, drawn once."""
    return cache(lambda look: {p.name: p for p in pictures(analysis, look)})


@pytest.fixture(scope="session")
def rows_of():
    """Rows of slices of the test split: value of the factor -> a number for each seed."""

    def make(values, name="gap", arm="baseline", metric="accuracy"):
        return [
            {"arm": arm, "seed": seed, "split": "test", "slice": f"{name}={value}"}
            | {"metric": metric, "value": each}
            for value, row in values.items()
            for seed, each in enumerate(row)
        ]

    return make


@pytest.fixture
def sliced(make_study):
    """A study of these rows, judged."""

    def make(rows, seeds=3, **fields):
        arms = dict.fromkeys(["baseline", *(row["arm"] for row in rows)])
        return analyse(make_study({arm: [0.6] * seeds for arm in arms}, rows=rows, **fields))

    return make


@pytest.fixture(scope="session")
def line_of():
    """The one line of a figure that the legend calls so."""

    def find(figure, name):
        (line,) = [each for each in figure.axes[0].lines if each.get_label() == name]
        return line

    return find
