"""The texts of the Long Range Arena, from a user's files.

    lra-text        path/{train,test}/{pos,neg}/*.txt            IMDb's aclImdb, two classes
    lra-retrieval   path/new_aan_pairs.{train,eval,test}.tsv     pairs of papers, two classes

Source:  Tay et al. 2021, "Long Range Arena", arXiv:2011.04006;  google-research/long-range-arena
         lra_benchmarks/{text_classification,matching}/input_pipeline.py.
Differs: a byte is its value plus 1 (0 pads).  A tenth of LRA Text's training files is kept for
         validation, where its users validate on the test files.  Retrieval is one sequence of
         both documents with a separator between them, not two towers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.files import Classes, FilesMissing
from tasks.published import Preset
from tasks.records import Records, content_hashes, one_after_another, share_out
from tasks.rng import Words
from tasks.task import Content
from zoo.spec import Context

BYTES = 256
SEPARATOR = BYTES + 1  # id between two documents


def spelled_byte(byte: int) -> str:
    """How a byte is written: itself if it can be printed."""
    return chr(byte) if 33 <= byte < 127 else f"x{byte:02x}"


class LraText(Classes, kind="lra-text"):
    """LRA Text: is a film review, read byte by byte, positive?

    Reviews longer than `length` are cut.  Class 1 is positive.
    """

    layout: ClassVar[str] = (
        "FOLDER with train/pos/*.txt, train/neg/*.txt, test/pos/*.txt and test/neg/*.txt "
        "(IMDb reviews, aclImdb)"
    )
    length: Annotated[int, Field(ge=1, le=2**24, description="bytes that are read")] = 4096

    @property
    def context(self) -> Context:
        return self.classified(2, self.length, ids=BYTES + 1)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"pad": range(1), "byte": range(1, BYTES + 1)}

    def spell(self, token: int) -> str | None:
        return spelled_byte(token - 1) if token else None

    def files(self) -> list[Path]:
        found = []
        for part in ("train/neg", "train/pos", "test/neg", "test/pos"):
            here = sorted((self.root / part).glob("*.txt"))
            if not here:
                raise FilesMissing(f"{self.kind}: no {part}/*.txt in {self.path}; {self.layout}")
            found += here
        return found

    def read(self) -> Records:
        files = self.files()
        texts = [file.read_bytes() or b" " for file in files]
        begins, ends = one_after_another([len(text) for text in texts])
        parts = np.array([file.parent.parent.name == "test" for file in files])
        given = {"train": np.flatnonzero(~parts), "test": np.flatnonzero(parts)}
        return Records(
            values=np.frombuffer(b"".join(texts), np.uint8),
            begins=begins,
            ends=ends,
            targets=np.array([file.parent.name == "pos" for file in files]).astype(np.int64),
            splits=share_out(given, lambda numbers: content_hashes([texts[i] for i in numbers])),
        )

    def shown(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        there = np.arange(values.shape[1]) < lengths[:, None]
        return np.where(there, values.astype(np.int64) + 1, 0)


class LraRetrieval(Classes, kind="lra-retrieval"):
    """LRA Retrieval: does one paper cite the other? Two texts, read byte by byte.

    The first `length` bytes of each, the first paper, a separator, then the second.
    """

    layout: ClassVar[str] = (
        "FOLDER with new_aan_pairs.train.tsv, new_aan_pairs.eval.tsv and new_aan_pairs.test.tsv "
        "(lra_release/tsv_data)"
    )
    length: Annotated[int, Field(ge=1, le=2**23, description="bytes read of each text")] = 4000

    @property
    def context(self) -> Context:
        return self.classified(2, 2 * self.length + 1, ids=BYTES + 2)

    @property
    def vocabulary(self) -> dict[str, range]:
        separator = range(SEPARATOR, SEPARATOR + 1)
        return {"pad": range(1), "byte": range(1, SEPARATOR), "separator": separator}

    def spell(self, token: int) -> str | None:
        return spelled_byte(token - 1) if 0 < token < SEPARATOR else None

    def files(self) -> list[Path]:
        names = ("train", "eval", "test")
        return self.need(*(self.root / f"new_aan_pairs.{name}.tsv" for name in names))

    def read(self) -> Records:
        texts: list[bytes] = []
        labels: list[int] = []
        splits: dict[str, NDArray[np.int64]] = {}
        for name, file in zip(("train", "validation", "test"), self.files(), strict=True):
            first = len(labels)
            for label, pair in self._pairs(file):
                labels.append(label)
                texts += pair
            splits[name] = np.arange(first, len(labels))
        begins, ends = one_after_another([len(text) for text in texts])
        return Records(
            values=np.frombuffer(b"".join(texts), np.uint8),
            begins=begins,  # of record n: texts 2 n and 2 n + 1
            ends=ends,
            targets=np.array(labels, np.int64),
            splits=splits,
        )

    def _pairs(self, file: Path) -> Iterator[tuple[int, list[bytes]]]:
        """Lines of a label, two ids and two texts; only the bytes that will be read are kept."""
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                columns = line.rstrip(b"\r\n").split(b"\t")
                if len(columns) != 5 or columns[0] not in (b"0", b"1", b"0.0", b"1.0"):
                    raise self.refuse(
                        file,
                        f"line {number} is not a label, two ids and two texts with tabs between",
                    )
                yield columns[0][:1] == b"1", [text[: self.length] or b" " for text in columns[3:]]

    @property
    def num_contents(self) -> int:
        return len(self.records.targets)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        numbers, records, length = content["record"][:, 0], self.records, self.length
        inputs = np.zeros((len(numbers), self.context.length), np.int64)
        first, before = records.cut(records.values, 2 * numbers, length)
        second, behind = records.cut(records.values, 2 * numbers + 1, length)
        places = np.arange(length)
        inputs[:, :length] = np.where(places < before[:, None], first.astype(np.int64) + 1, 0)
        rows = np.arange(len(numbers))
        inputs[rows, before] = SEPARATOR
        row, place = np.nonzero(places < behind[:, None])
        inputs[row, before[row] + 1 + place] = second[row, place].astype(np.int64) + 1
        return Batch.padded(inputs, records.targets[numbers], before + 1 + behind)


PUBLISHED = (
    Preset(
        name="lra-text-4096",
        paper="Tay et al. 2021, Long Range Arena, arXiv:2011.04006",
        section="byte-level text classification",
        upstream="google-research/long-range-arena lra_benchmarks/text_classification",
        differs=("a tenth of the training files is for validation, not the test files",),
        value=LraText(),
    ),
    Preset(
        name="lra-retrieval-4000",
        paper="Tay et al. 2021, Long Range Arena, arXiv:2011.04006",
        section="byte-level document retrieval",
        upstream="google-research/long-range-arena lra_benchmarks/matching",
        differs=("one sequence with a separator, not two towers",),
        value=LraRetrieval(),
    ),
)
