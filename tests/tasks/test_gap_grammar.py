"""Gap grammar: the grammar, walks, gaps, floors, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.gap_grammar import GapGrammar

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


FIELDS: list[dict[str, Any]] = [
    {},
    {"ambiguity": 12, "gap_rate": 0.3},
    {"num_symbols": 5, "num_out": 2, "ambiguity": 4, "gap_rate": 0.0, "length": 60},
    {"num_symbols": 41, "ambiguity": 24, "gap_rate": 0.8, "num_gaps": 1},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_grammars(fields: dict[str, Any]) -> None:
    """Successors differ and show different symbols; every symbol and every state is reached."""
    task = GapGrammar(**fields)
    successors, symbols = task.grammar
    assert successors.shape == (task.num_symbols + task.ambiguity, task.num_out)
    assert symbols[: task.num_symbols].tolist() == list(range(task.num_symbols))
    shown = symbols[successors]
    assert all(len(set(row)) == task.num_out for row in shown.tolist())
    met = {0}
    for _ in range(len(symbols)):
        met |= {int(n) for state in met for n in successors[state]}
    assert met == set(range(len(symbols)))
    other = GapGrammar(**fields, grammar_seed=1).grammar
    assert not np.array_equal(successors, other[0])
    assert GapGrammar(**fields, seed=3).grammar[0] is successors


def states_of(task: GapGrammar, row: list[int]) -> list[int]:
    """All walks at once, as sets: written differently from the loop."""
    successors, symbols = task.grammar
    here, found = {0}, []
    for token in row:
        if token < task.num_symbols:
            here = {int(n) for s in here for n in successors[s] if symbols[n] == token}
        assert len(here) == 1
        found.append(next(iter(here)))
    return found


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_walks_follow_the_grammar_over_gaps(fields: dict[str, Any]) -> None:
    task = GapGrammar(**fields)
    successors, symbols = task.grammar
    batch = task.generate(range(60), "test")
    expected = []
    for b in range(60):
        row, due = batch.inputs[b].tolist(), batch.targets[b].tolist()
        states = states_of(task, row)
        assert task.states(batch.inputs[b : b + 1]).tolist() == [states]
        for t, target in enumerate(due):
            following = row[t + 1] if t + 1 < len(row) else None
            if target == NO:
                assert following is None or following >= task.num_symbols
                continue
            assert following in (None, target)
            legal = symbols[successors[states[t]]].tolist()
            assert target in legal
            expected.append(
                [1 / task.num_out if y in legal else 0 for y in range(task.context.num_outputs)]
            )
    assert np.array_equal(task.true_probs(batch), np.array(expected))
    answers = task.oracle(batch.inputs)[batch.mask]
    assert task.allowed(batch, answers).all()
    assert abs((answers == batch.targets[batch.mask]).mean() - task.ceiling) < 0.04


def test_gaps_and_steps_follow_their_law() -> None:
    task = GapGrammar(gap_rate=0.3)
    batch = task.generate(range(2000))
    gap = batch.inputs >= task.num_symbols
    assert stats.binomtest(int(gap.sum()), gap.size, 0.3).pvalue > 1e-4
    ids = np.bincount(batch.inputs[gap] - task.num_symbols, minlength=8)
    assert stats.chisquare(ids).pvalue > 1e-4
    law = task.true_probs(batch)
    rank = np.cumsum(law > 0, axis=1)[np.arange(len(law)), batch.targets[batch.mask]] - 1
    assert stats.chisquare(np.bincount(rank, minlength=3)).pvalue > 1e-4
    runs = [max(map(len, "".join("g" if x else "." for x in row).split("."))) for row in gap[:99]]
    assert batch.factors["longest_gap"][:99].tolist() == runs
    assert np.array_equal(batch.factors["num_targets"], batch.mask.sum(axis=1))


@pytest.mark.parametrize("fields", [*FIELDS, {"noise": 0.3}], ids=str)
def test_floors_are_attained(fields: dict[str, Any]) -> None:
    """The commonest symbol behind each token (gaps are one), learned from other examples."""
    task = GapGrammar(**fields)
    size, num = task.num_symbols, 4000
    tables = np.zeros((2, size + 1, size))
    kept: Any = None
    for i, split in enumerate(("train", "test")):
        batch = task.generate(range(num), split)
        last = np.minimum(batch.inputs[batch.mask], size)
        np.add.at(tables[i], (last, batch.targets[batch.mask]), 1)
        kept = batch, last
    guess = tables[0].argmax(axis=1)
    right = tables[1][np.arange(size + 1), guess].sum() / tables[1].sum()
    assert right == pytest.approx(task.floors["last token"], abs=0.01)
    best = tables[0].sum(axis=0).argmax()
    assert tables[1][:, best].sum() / tables[1].sum() == pytest.approx(task.chance, abs=0.01)
    if task.noise:
        return
    batch, last = kept
    legal = task.allowed(batch, guess[last]).mean()
    assert legal <= task.allowed_floor + 0.01
    if not task.ambiguity:
        assert task.allowed_floor >= 1 - task.gap_rate


NOISY: list[dict[str, Any]] = [
    {"noise": 0.2},
    {"num_symbols": 5, "num_out": 2, "ambiguity": 4, "gap_rate": 0.3, "noise": 0.4, "length": 30},
]


@pytest.mark.parametrize("fields", NOISY, ids=str)
def test_noise_shows_other_symbols(fields: dict[str, Any]) -> None:
    """The walk is that of the same grammar without noise; what is shown of it is any symbol."""
    task, plain = GapGrammar(**fields), GapGrammar(**fields | {"noise": 0.0})
    some = keys(2000)
    noisy, clear = (t.render(t.draw(some, "train"), some, "train") for t in (task, plain))
    length = task.length - 1  # the last one has a target in any case
    given, true = noisy.inputs[:, :length], clear.inputs[:, :length]
    symbol = true < task.num_symbols
    assert np.array_equal(given[~symbol], true[~symbol])
    share = (given != true)[symbol].mean()
    expected = task.noise * (1 - 1 / task.num_symbols)
    assert abs(share - expected) < 4 * (0.25 / symbol.sum()) ** 0.5
    wrong = np.bincount(given[symbol & (given != true)], minlength=task.num_symbols)
    assert (wrong > 0).all()
    scored = noisy.mask[:, :-2]
    assert (noisy.targets == clear.targets)[noisy.mask].all()
    assert (given[:, 1:][scored] == true[:, 1:][scored]).all(), "noise is no target"
    assert abs(scored.sum() / symbol[:, 1:].sum() - (1 - task.noise)) < 0.01


@pytest.mark.parametrize("fields", NOISY, ids=str)
def test_beliefs_are_sums_over_all_walks(fields: dict[str, Any]) -> None:
    """P(next symbol | tokens) from every walk of six steps, one by one."""
    task = GapGrammar(**fields | {"length": 200})
    successors, symbols = task.grammar
    batch = task.generate(range(6), "test")
    law = task._believed(batch.inputs)
    for row, found in zip(batch.inputs.tolist(), law, strict=True):
        walks, read = {(0,): 1.0}, 0
        for t, token in enumerate(row):
            if token < task.num_symbols:
                read += 1
                walks = {
                    (*walk, int(n)): p
                    / task.num_out
                    * (task.noise / task.num_symbols + (1 - task.noise) * (symbols[n] == token))
                    for walk, p in walks.items()
                    for n in successors[walk[-1]]
                }
            expected = np.zeros(task.context.num_outputs)
            for walk, p in walks.items():
                for n in successors[walk[-1]]:
                    expected[symbols[n]] += p / task.num_out
            assert found[t] == pytest.approx(expected / expected.sum(), abs=1e-12)
            if read == 5:
                break


@pytest.mark.parametrize("fields", NOISY, ids=str)
def test_the_oracle_sees_through_noise(fields: dict[str, Any]) -> None:
    task = GapGrammar(**fields)
    batch = task.generate(range(1500), "test")
    law, due = task.true_probs(batch), batch.targets[batch.mask]
    assert np.abs(law.sum(axis=1) - 1).max() < 1e-12
    right = (task.oracle(batch.inputs)[batch.mask] == due).mean()
    assert right == pytest.approx(task.ceiling, abs=4 * (0.25 / len(due)) ** 0.5 + 0.003)
    assert task.floors["last token"] < right < 1 / task.num_out
    named = law[np.arange(len(due)), due]  # probabilities are what they say
    for low in np.arange(0, 0.5, 0.1):
        here = (law > low) & (law <= low + 0.1)
        hits = here[np.arange(len(due)), due].sum()
        sigma = (law * (1 - law) * here).sum() ** 0.5
        assert abs(hits - law[here].sum()) < 5 * sigma + 1
    assert named.min() > 0
    with pytest.raises(ValueError, match=r"noise=.*any symbol is allowed"):
        task.allowed(batch, due)


def test_beliefs_without_noise_are_the_states() -> None:
    task = GapGrammar(ambiguity=12, gap_rate=0.3)
    batch = task.generate(range(50), "test")
    assert np.allclose(task._believed(batch.inputs)[batch.mask], task.true_probs(batch))


def test_there_is_always_a_target() -> None:
    task = GapGrammar(length=9, gap_rate=0.5)
    assert task.generate(range(20_000)).mask.any(axis=1).all()


def test_the_loop_is_its_plain_statement() -> None:
    task = GapGrammar(length=40, ambiguity=5, gap_rate=0.4)
    successors, symbols = task.grammar
    some = keys(20)
    gaps, steps = rng.words(some, 1, 41), rng.words(some, 2, 41)
    tokens = task.walks(some)[0]
    for b in range(20):
        state, walk = 0, []
        for t in range(41):
            drawn = int(steps[b, t]) >> 32
            if int(gaps[b, t]) >> 32 < int(0.4 * 2**32):
                walk.append(16 + (drawn * 8 >> 32))
            else:
                state = int(successors[state, drawn * 3 >> 32])
                walk.append(int(symbols[state]))
        assert tokens[b].tolist() == walk


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_no_walk_is_in_two_splits(noise: float) -> None:
    """Equal inputs are one content, whatever comes behind them and whichever symbol is noise."""
    task = GapGrammar(
        length=10, num_symbols=3, num_out=2, num_gaps=1, gap_rate=0.2, noise=noise, ambiguity=2
    )
    assert task.partitioned
    train, test = (
        {row.tobytes() for row in task.generate(range(3000), split).inputs}
        for split in ("train", "test")
    )
    assert test
    assert not train & test


def test_published_settings() -> None:
    task = tasks.preset("selectivbench")
    assert task == GapGrammar(num_symbols=41, ambiguity=24, gap_rate=0.1, length=200)
    assert tasks.preset("selectivbench-noise").to_dict() == task.to_dict() | {"noise": 0.2}
    assert tasks.preset("gap-grammar-cpu") == GapGrammar()


REFUSED = [
    ({"num_out": 17}, "num_out=17 exceeds num_symbols=16: needs <= 16"),
    ({"num_out": 1}, "num_out=1 leaves one walk only: needs >= 2"),
    ({"gap_rate": 0.99}, "gap_rate=0.99 leaves hardly a symbol in length=200: needs length >= 4"),
    (
        {"noise": 0.99},
        "gap_rate=0.5 with noise=0.99 leaves hardly a symbol in length=200: needs length >= 80",
    ),
    ({"noise": 1.0}, "noise: .*less than 1, got 1.0"),
    ({"gap_rate": 1.0}, "gap_rate: .*less than 1, got 1.0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("gap-grammar", **fields)
