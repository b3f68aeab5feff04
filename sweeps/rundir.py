"""One run's folder, `out/runs/<fingerprint>`: what is in it, and when it counts as finished."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError
from torch import Tensor

from sweeps.atomic import inside, write_bytes, write_json, write_text
from sweeps.edited import refuse_edited
from sweeps.experiment import Experiment, Result
from sweeps.provenance import provenance
from sweeps.results import CURVE, write_curve
from sweeps.words import WordError
from zoo.spec import explain, import_components

NO_TABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
NO_ARRAYS = (ValueError, TypeError, AttributeError, KeyError, EOFError, RuntimeError, OSError)
NO_ARRAYS += (zipfile.BadZipFile, zlib.error)


class RunDirectory:
    """The files of one experiment below an output folder."""

    def __init__(self, root: Path, experiment: Experiment) -> None:
        self.experiment = experiment
        self.path = inside(root, f"runs/{experiment.fingerprint}")

    @cached_property
    def checkpoints(self) -> Path:
        """Where the weights are."""
        return self.path / "checkpoint"

    def result(self) -> Result | None:
        """The finished result, None if there is none yet.

        Raises: WordError for a file that does not hold one.
        """
        path = self.path / "result.json"
        try:
            return Result.from_dict(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise WordError(f"{path} is damaged; remove it and the run is repeated") from None

    @staticmethod
    def covers(result: Result, splits: Sequence[str]) -> bool:
        """Whether a result has scores on all these splits."""
        return set(splits) <= {score.split for score in result.scores}

    def begin(self, device: str) -> None:
        """Write down what is about to run. From here on the run is unfinished.

        Raises: WordError where the folder says that it is of another experiment.
        """
        refuse_edited(self.path / "experiment.json", self.experiment.to_dict(), _but_place)
        (self.path / "result.json").unlink(missing_ok=True)
        text = json.dumps(self.experiment.to_dict(), indent=2, sort_keys=True)
        write_text(self.path / "experiment.json", text + "\n")
        write_json(self.path / "provenance.json", provenance(device))

    def write_curve(self, rows: Sequence[Sequence[Any]]) -> None:
        """Scores over steps."""
        curve = [dict(zip(CURVE, row, strict=True)) for row in rows]
        write_curve(self.path / "curve.parquet", curve)

    def curve(self) -> list[tuple[Any, ...]]:
        """What `write_curve` wrote; nothing where it has not yet.

        Raises: WordError for a file that holds something else.
        """
        path = self.path / "curve.parquet"
        if not path.exists():
            return []
        data = path.read_bytes()  # apart: a disk that cannot be read is no damage
        try:
            return pl.read_parquet(data).select(*CURVE).cast(pl.Schema(CURVE)).rows()
        except NO_TABLE:
            raise self._damaged(path) from None

    def write_kernels(self, initial: Mapping[str, Tensor], final: Mapping[str, Tensor]) -> None:
        """Every kernel before and after training. Each (channels, taps)"""
        arrays = {f"initial/{name}": k.cpu().numpy() for name, k in initial.items()}
        arrays |= {f"final/{name}": k.cpu().numpy() for name, k in final.items()}
        data = io.BytesIO()
        np.savez_compressed(data, **arrays)  # pyright: ignore[reportArgumentType]
        write_bytes(self.path / "kernels.npz", data.getvalue())

    def kernels(self) -> dict[str, np.ndarray]:
        """What `write_kernels` wrote; nothing where it has not yet. Each (channels, taps)

        Raises: WordError for a file that holds something else.
        """
        path = self.path / "kernels.npz"
        if not path.exists():
            return {}
        data = io.BytesIO(path.read_bytes())
        try:
            with np.load(data, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except NO_ARRAYS:
            raise self._damaged(path) from None

    def _damaged(self, path: Path) -> WordError:
        return WordError(f"{path} is damaged; remove {self.path} and the run is repeated")

    def finish(self, result: Result) -> None:
        """Written last: this file is what "finished" means."""
        write_json(self.path / "result.json", result.to_dict())


def _but_place(content: dict[str, Any]) -> dict[str, Any]:
    """An experiment without where its files are: their hashes count."""
    return {**content, "task": {**content["task"], "path": None}}


def read_experiment(path: Path) -> Experiment:
    """An experiment from its JSON file.

    Raises: ValueError with one line if it is not there, not JSON or not an experiment.
    """
    for package in ("zoo", "tasks"):  # a kind is known once its class exists
        import_components(package)
    try:
        return Experiment.model_validate_json(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; name a run's experiment.json") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not JSON; name a run's experiment.json") from None
