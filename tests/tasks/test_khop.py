"""k-hop induction: worked examples, brute force, and the exact law of hops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.khop import KHop

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """a b a c a: at the last a, the a before it was followed by c; from c nothing follows."""
    task = KHop(num_letters=3, length=5, max_hops=2)
    letters = np.array([[0, 1, 0, 2, 0]])
    one = task.render({"hops": np.array([[1]]), "letters": letters}, keys(1), "test")
    assert one.inputs.tolist() == [[4, 0, 1, 0, 2, 0]]
    assert one.targets.tolist() == [[NO, NO, NO, 1, NO, 2]]
    two = task.render({"hops": np.array([[2]]), "letters": letters}, keys(1), "test")
    assert two.targets.tolist() == [[NO] * 6]
    marked = KHop(variant="sanford", num_letters=3, length=5, max_hops=2)
    two = marked.render({"hops": np.array([[2]]), "letters": letters}, keys(1), "test")
    assert two.targets.tolist() == [[NO, 3, 3, 3, 3, 3]]
    assert marked.vocabulary["hops"] == range(4, 7)


def brute(letters: list[int], place: int, hops: int) -> int | None:
    for _ in range(hops):
        earlier = [j for j in range(place) if letters[j] == letters[place]]
        if not earlier:
            return None
        place = earlier[-1] + 1
    return letters[place]


@pytest.mark.parametrize("variant", ["canonical", "sanford"])
def test_answers_by_brute_force(variant: str) -> None:
    task = KHop.model_validate(
        {"variant": variant, "num_letters": 4, "length": 40, "min_hops": 0, "max_hops": 5}
    )
    batch = task.generate(range(200), "test")
    other = NO if variant == "canonical" else 4
    for row, out, hops in zip(
        batch.inputs.tolist(), batch.targets.tolist(), batch.factors["num_hops"], strict=True
    ):
        assert row[0] - task.first_hop == hops
        assert all(a != b for a, b in pairwise(row[1:]))
        found = [brute(row[1:], i, hops) for i in range(40)]
        assert out[1:] == [other if y is None else y for y in found]


def test_letters_are_a_uniform_walk() -> None:
    drawn = KHop(num_letters=5, length=6).draw(keys(6000), "train")["letters"]
    for i in range(6):
        assert stats.chisquare(np.bincount(drawn[:, i], minlength=5)).pvalue > 1e-4
    pairs = np.bincount(drawn[:, 2] * 5 + drawn[:, 3], minlength=25)
    assert stats.chisquare(pairs[pairs > 0]).pvalue > 1e-4
    assert (pairs > 0).sum() == 20


def test_published_shares_without_an_answer() -> None:
    """4 letters, 100 of them: .04 .07 .13 .25 .49 for 1, 2, 4, 8, 16 hops."""
    found = []
    for hops in (1, 2, 4, 8, 16):
        task = KHop(variant="sanford", num_letters=4, length=100, min_hops=hops, max_hops=hops)
        found.append(task.chance)
    assert found[-1] == pytest.approx(0.49, abs=0.005)
    assert found[0] == pytest.approx(0.96 / 4, abs=0.005)
    one = KHop(num_letters=4, length=98, min_hops=2, max_hops=2)
    assert one.floors == {"the letter itself": pytest.approx(0.505, abs=0.002)}


@pytest.mark.parametrize(
    ("letters", "length", "hops"),
    [(4, 60, (1, 6)), (16, 128, (1, 4)), (3, 12, (0, 5)), (8, 48, (2, 2))],
)
def test_guesses_attain_the_floors(letters: int, length: int, hops: tuple[int, int]) -> None:
    task = KHop(num_letters=letters, length=length, min_hops=hops[0], max_hops=hops[1])
    batch = task.generate(range(8000), "test")
    one = KHop(num_letters=letters, length=length, min_hops=1, max_hops=1)
    single = one.render(
        {"hops": np.full((8000, 1), 1), "letters": batch.inputs[:, 1:]}, keys(8000), "test"
    )
    guesses = {"the letter itself": batch.inputs, "one hop, whatever is asked": single.targets}
    due = batch.mask
    for name, value in task.floors.items():
        right = (guesses[name] == batch.targets) & due
        shares = right.sum(axis=1) - value * due.sum(axis=1)
        sigma = shares.std() / 8000**0.5
        assert abs(shares.mean()) < 4 * sigma, name
    if hops[0] == 0:
        assert "the letter itself" in task.floors


def test_published_settings() -> None:
    task = tasks.preset("sanford-khop")
    assert (task.context.length, task.context.num_inputs) == (99, 5 + 17)
    assert task.generate(range(50)).mask[:, 1:].all()


REFUSED = [
    ({"min_hops": 5}, "min_hops=5 exceeds max_hops=4"),
    ({"length": 5}, "max_hops=4 can never be made in length=5: needs length >= 6"),
    ({"num_letters": 2}, "num_letters: .*greater than or equal to 3, got 2"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("khop", **fields)
