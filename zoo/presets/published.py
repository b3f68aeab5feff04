"""What a preset is: a published system as a value, with its source and what is different here."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.model import ModelSpec

PRESETS: dict[str, Published] = {}


@dataclass(frozen=True)
class Published:
    """A system by name. It exists from the moment it is made; two of one name are an error."""

    name: str
    paper: str
    section: str
    upstream: str  # repository, file and commit
    differs: tuple[str, ...]
    value: ModelSpec

    def __post_init__(self) -> None:
        known = PRESETS.setdefault(self.name, self)
        if known is not self and known != self:
            raise ValueError(f"two presets are called {self.name!r}: rename one of them")
