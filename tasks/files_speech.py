"""Spoken words of a user's files: Speech Commands, a second of sound each.

    path/yes/0a7c2a8d_nohash_0.wav, path/no/..., path/validation_list.txt, path/testing_list.txt

Source:  Warden 2018, arXiv:1804.03209;  Gu et al. 2022, S4, arXiv:2111.00396, section 4 (raw
         speech, 16,000 samples; and at half the rate without training again).
Differs: sound is a sixteen-bit number over 2^15, nothing is normalised; at lower rates every n-th
         sample is kept, without a filter, as recalled of S4; not checked against the source.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.files import Classes, FilesMissing
from tasks.published import Preset
from tasks.records import Records
from tasks.rng import Words
from tasks.task import Content
from zoo.spec import Context

RATE = 16_000  # samples a second, and of a word
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
TEN = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
ALL = (
    *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward"),
    *("four", "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on"),
    *("one", "right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual"),
    *("wow", "yes", "zero"),
)


class SpeechCommands(Classes, kind="speech-commands"):
    """Speech Commands: which word is said, from the samples of its sound?

    A second of one channel, cut or filled with 0; `every` keeps each n-th sample of it, so that
    16,000 / every are read.  Files are read when they are asked for.
    """

    layout: ClassVar[str] = (
        "FOLDER with a folder of .wav files for each word, validation_list.txt and "
        "testing_list.txt (Speech Commands, version 2)"
    )

    num_words: Annotated[
        Literal["35", "10"], Field(description="all words, or the ten commands")
    ] = "35"
    every: Annotated[int, Field(ge=1, le=16, description="keep each n-th sample")] = 1

    def problems(self) -> Iterator[str]:
        if RATE % self.every:
            yield f"every={self.every} does not divide {RATE}: needs 1, 2, 4, 5, 8, 10 or 16"

    @property
    def words(self) -> tuple[str, ...]:
        """The classes, in the order of the alphabet."""
        return ALL if self.num_words == "35" else TEN

    @property
    def context(self) -> Context:
        return self.classified(len(self.words), RATE // self.every, features=1)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    def files(self) -> list[Path]:
        lists = self.need(*(self.root / name for name in LISTS.values()))
        return [*lists, *(file for word in self.words for file in self._sounds(word))]

    def _sounds(self, word: str) -> list[Path]:
        found = sorted((self.root / word).glob("*.wav"))
        if not found:
            raise FilesMissing(f"{self.kind}: no {word}/*.wav in {self.path}; {self.layout}")
        return found

    def read(self) -> Records:
        sounds = self.files()[len(LISTS) :]
        number = {f"{f.parent.name}/{f.name}": i for i, f in enumerate(sounds)}
        splits: dict[str, NDArray[np.int64]] = {}
        for split, name in LISTS.items():
            listed = (self.root / name).read_text().split()
            held = [number[entry] for entry in listed if entry in number]
            splits[split] = np.array(sorted(held), np.int64)
        held_out = np.concatenate(list(splits.values()))
        splits["train"] = np.setdiff1d(np.arange(len(sounds)), held_out)
        ends = (np.arange(len(sounds)) + 1) * RATE
        labels = [self.words.index(file.parent.name) for file in sounds]
        return Records(
            values=np.array([str(file) for file in sounds]),  # read when they are asked for
            begins=ends - RATE,
            ends=ends,
            targets=np.array(labels, np.int64),
            splits=splits,
        )

    def sound(self, file: Path) -> NDArray[np.float32]:
        """A second of a file, in [-1, 1).                                      (16000 / every,)"""
        try:
            with wave.open(str(file), "rb") as opened:
                form = (opened.getnchannels(), opened.getsampwidth(), opened.getframerate())
                data = opened.readframes(RATE)
        except (wave.Error, EOFError):
            raise self.refuse(file, "not a whole .wav file") from None
        if form != (1, 2, RATE):
            raise self.refuse(
                file,
                f"{form[0]} channels of {8 * form[1]} bits at {form[2]} Hz: needs one of 16 bits "
                f"at {RATE} Hz",
            )
        samples = np.zeros(RATE, np.float32)
        heard = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
        samples[: len(heard)] = heard.astype(np.float32) / 2**15
        return samples[:: self.every]

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        numbers, records = content["record"][:, 0], self.records
        inputs = np.zeros((len(numbers), self.context.length, 1), np.float32)
        for row, file in zip(inputs, records.values[numbers], strict=True):
            row[:, 0] = self.sound(Path(str(file)))
        return Batch.of(inputs, records.targets[numbers])


PUBLISHED = (
    Preset(
        name="s4-speech-commands",
        paper="Gu et al. 2022, S4, arXiv:2111.00396",
        section="raw speech classification, 35 words",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/sc.py",
        differs=("nothing is normalised",),
        value=SpeechCommands(),
    ),
    Preset(
        name="s4-speech-commands-half",
        paper="Gu et al. 2022, S4, arXiv:2111.00396",
        section="raw speech classification at half the rate",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/sc.py",
        differs=("nothing is normalised", "as recalled; not checked against the source"),
        value=SpeechCommands(every=2),
    ),
)
