"""How tasks share out their ids: ranges one behind the other, halves for keys and values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from tasks.task import Task


def in_turn(sizes: Mapping[str, int]) -> dict[str, range]:
    """Ids from 0 on: {"pad": 1, "key": 8} is {"pad": range(0, 1), "key": range(1, 9)}."""
    ids, start = {}, 0
    for name, num in sizes.items():
        ids[name] = range(start, start + num)
        start += num
    return ids


class Halves(Task):
    """Recall where a half of the ids are keys, the others values that stand behind them."""

    @property
    @abstractmethod
    def num_ordinary(self) -> int:
        """Ids that are keys or values."""

    @property
    def num_keys(self) -> int:
        """Ids of keys."""
        return self.num_ordinary // 2

    @property
    def num_values(self) -> int:
        """Ids of values."""
        return self.num_ordinary - self.num_keys

    @property
    def chance(self) -> float:
        """Each target is uniform over the ids of values."""
        return 1 / self.num_values

    @property
    def answers_follow(self) -> bool:
        return True  # a value stands behind each repeated key
