"""Several tasks as one: which arm is better, and how many digits that is said with."""

from reports.contrast import analyse
from reports.tasks_together import by_task_table, together

NAMES = ("easy", "hard")
BASE = [0.50 + 0.01 * i for i in range(8)]


def moved(by, spread):
    return [b + by + spread * (i % 3) for i, b in enumerate(BASE)]


def study(make_study, name, values, metric="accuracy"):
    """A baseline and one arm, by this metric."""
    arms = {"baseline": BASE, "x": values}
    rows = [
        {"arm": a, "seed": s, "split": "test", "slice": "all", "metric": metric, "value": v}
        for a, own in arms.items()
        for s, v in enumerate(own)
        if metric != "accuracy"
    ]
    plan = {"primary": {"metric": metric, "split": "test", "slice": "all"}, "chance": None}
    return analyse(make_study(arms, name=name, rows=rows, plan=plan))


def test_of_a_loss_the_lower_one_is_better(make_study):
    lower, low = moved(-0.2, -0.01), moved(-0.1, -0.01)
    two = [study(make_study, n, v, "loss") for n, v in zip(NAMES, (lower, low), strict=True)]
    (sentence,) = together(two, NAMES, draw=False).found
    assert sentence.startswith("x: better than baseline on 2 and worse on 0 of 2 tasks")


def test_of_an_accuracy_the_higher_one_is_better(make_study):
    two = [study(make_study, "easy", moved(-0.2, -0.01)), study(make_study, "hard", BASE)]
    (sentence,) = together(two, NAMES, draw=False).found
    assert sentence.startswith("x: better than baseline on 0 and worse on 1 of 2 tasks")


def test_digits_are_those_of_the_intervals_of_each_task(make_study):
    tiny, wide = moved(-0.0003, -0.00001), [b + 0.4 * (-1) ** i for i, b in enumerate(BASE)]
    two = [study(make_study, n, v) for n, v in zip(NAMES, (tiny, wide), strict=True)]
    cells = by_task_table(two, NAMES).cells()[1]
    assert getattr(cells[2], "text", cells[2]) == "-0.0003"
    assert cells[4] == "+0.00"
    (sentence,) = together(two, NAMES, draw=False).found
    assert "differences from -0.0003 to +0.0000;" in sentence
