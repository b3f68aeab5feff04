"""Grammars: random ones, and rules from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tasks
from tasks.grammars import Grammar, random_rules
from tasks.lano import Lano


@pytest.mark.parametrize(("depth", "low", "high"), [(3, 13, 26), (4, 27, 75), (5, 60, 173)])
def test_random_grammars(depth: int, low: int, high: int) -> None:
    """No rule stands twice on a level, all symbols are used, lengths are of the stated order."""
    for seed in range(4):
        levels = random_rules(depth, 3, (2, 3), (2, 3), seed)
        assert [len(level) for level in levels] == [1] + [3] * (depth - 1)
        for level in levels:
            sides = [rule for rules in level for rule in rules]
            assert len(set(sides)) == len(sides)
            assert {s for side in sides for s in side} == {0, 1, 2}
            assert all(2 <= len(rules) <= 3 for rules in level)
            assert all(2 <= len(side) <= 3 for side in sides)
        assert not list(Grammar(levels).problems())
        assert low * 0.7 < Grammar(levels).mean_tokens < high * 1.1
    assert random_rules(depth, 3, (2, 3), (2, 3), 0) != random_rules(depth, 3, (2, 3), (2, 3), 1)


def test_rules_from_a_file(tmp_path: Path) -> None:
    """As many rules as were written; the task holds them, not the file's name."""

    def name(level: int, symbol: int) -> str:
        return f"s{level}{symbol}"

    levels = random_rules(6, 3, (2, 2), (2, 3), 0)
    content = [
        {
            f"s{a}{i}": [[f"s{a + 1}{s}" for s in rule] for rule in rules]
            for i, rules in enumerate(level)
        }
        for a, level in enumerate(levels)
    ]
    file = tmp_path / "cfg3b.json"
    file.write_text(json.dumps(content))
    task = Lano.model_validate({"grammar": str(file)})
    assert task.rules.num_rules == 32
    assert task.grammar == levels
    file.unlink()
    again = Lano.model_validate(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert again.generate(range(5)).inputs.tolist() == task.generate(range(5)).inputs.tolist()
    numbers = tmp_path / "numbers.json"
    numbers.write_text('[{"22": [[20, 21]]}, {"20": [[1, 3, 2]], "21": [[1, 1]]}]')
    small = Lano.model_validate({"grammar": str(numbers)})
    assert small.grammar == ((((0, 1),),), (((0, 2, 1),), ((0, 0),)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is neither 'random' nor a grammar's file"),
        ("[1, 2", "is neither 'random' nor a grammar's file"),
        ('{"S": []}', "needs a list of objects that map symbols to lists of lists"),
        ('[{"S": 3}]', "needs a list of objects that map symbols to lists of lists"),
        ("[]", "needs a list of objects"),
        ('[{"S": [["A"]]}, {"B": [["x"]]}]', "a symbol is missing in the next level"),
        ('[{"S": [["A"]], "T": [["A"]]}, {"A": [["x"]]}]', "level 0 needs exactly one symbol"),
        ('[{"S": [["A"]]}, {"A": [["x"]], "B": [["x"]]}]', "level 0 must use all symbols of the"),
        ('[{"S": [["A", "A", "A", "A"]]}, {"A": [["x"]]}]', "level 0 needs rules of 1 to 3"),
        ('[{"S": [["A"]]}, {"A": []}]', "level 1 needs rules of 1 to 3"),
    ],
    ids=str,
)
def test_bad_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "g.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        tasks.make_task("lano", grammar=str(file))
    assert "\n" not in str(caught.value)
