"""Pictures of a user's files, read as sequences of pixels.

    lra-image   CIFAR-10 in grey, 1,024 ids of 0 to 255; or normalised reals (variant=s4)
    scifar      CIFAR-10 in colour, 1,024 x 3 reals
    smnist      MNIST row by row, 784 reals        pmnist   in a fixed random order

CIFAR-10 is read from its binary version (data_batch_1.bin ... test_batch.bin, 3,073 bytes a
picture), MNIST from its idx files (train-images-idx3-ubyte, packed with gzip or not).

Source:  Tay et al. 2021, arXiv:2011.04006 (LRA);  Le et al. 2015, arXiv:1504.00941 (sequential
         and permuted MNIST);  state-spaces/s4@d27bdf9 src/dataloaders/basic.py for the means.
Differs: validation pictures are a tenth of the training ones by content, 45,000 and 5,000 as
         nearly as can be; the order of pmnist comes from our generator unless `order` says other.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.files import Classes, FilesMissing
from tasks.published import Preset
from tasks.records import Records, content_hashes, share_out
from tasks.rng import U, example_keys, permutation
from zoo.spec import Context

SIDE, PIXELS = 32, 1024  # of CIFAR
RECORD = 1 + 3 * PIXELS
BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
PICKLED = ("cifar-10-batches-py", "data_batch_1")
GREY_WEIGHTS = (19595, 38470, 7471)  # of 2^16: 0.299, 0.587, 0.114
COLOUR_MEAN = np.array([0.4914, 0.4822, 0.4465])
COLOUR_SD = np.array([0.247, 0.2435, 0.2616])
GREY_MEAN, GREY_SD = 122.6, 61.0
MNIST_MEAN, MNIST_SD = 0.1307, 0.3081
ORDER = 1  # field of pmnist's order, and its stream
ORDER_STREAM = 784
NUMPY_SEED = 92916  # the other usual order: numpy's RandomState of this seed


class _Cifar(Classes):
    """What is made of CIFAR-10's pictures."""

    layout: ClassVar[str] = (
        "FOLDER with data_batch_1.bin to data_batch_5.bin and test_batch.bin "
        "(cifar-10-binary.tar.gz, unpacked: cifar-10-batches-bin)"
    )

    @property
    def picture(self) -> tuple[int, int]:
        return SIDE, SIDE

    def files(self) -> list[Path]:
        root = self.root
        inner = root / "cifar-10-batches-bin"
        here = inner if inner.is_dir() else root
        if not (here / BATCHES[0]).is_file() and any((root / name).exists() for name in PICKLED):
            raise FilesMissing(
                f"{self.kind}: path={self.path} holds pickled batches, which can run code when "
                "they are opened: get cifar-10-binary.tar.gz from the same page, and unpack it"
            )
        return self.need(*(here / name for name in BATCHES))

    def read(self) -> Records:
        batches = [self._batch(file) for file in self.files()]
        all_of_them = np.concatenate(batches)
        num = len(all_of_them)
        pictures = self.converted(all_of_them[:, 1:].reshape(num, 3, PIXELS))
        test = num - len(batches[-1])
        given = {"train": np.arange(test), "test": np.arange(test, num)}
        return _pictures(pictures, all_of_them[:, 0].astype(np.int64), given)

    def _batch(self, file: Path) -> NDArray[np.uint8]:
        data = np.frombuffer(file.read_bytes(), np.uint8)
        if not data.size or data.size % RECORD or data[::RECORD].max() > 9:
            raise self.refuse(file, f"{data.size} bytes are not pictures of {RECORD} bytes")
        return data.reshape(-1, RECORD)

    def converted(self, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(N, 3, 1024) -> (N, 1024) or (N, 1024, 3)"""
        return np.ascontiguousarray(colours.swapaxes(1, 2))


class LraImage(_Cifar, kind="lra-image"):
    """LRA Image: what is on a small picture, read pixel by pixel in grey?

    lra   grey values are ids 0 to 255.      s4    they are reals, of mean 0 and variance 1
    """

    variant: Literal["lra", "s4"] = "lra"

    @property
    def context(self) -> Context:
        if self.variant == "lra":
            return self.classified(10, PIXELS, ids=256)
        return self.classified(10, PIXELS, features=1)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"grey": range(256)} if self.variant == "lra" else {}

    def converted(self, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As the image library does: the weighted sum, rounded."""
        total = np.full(colours[:, 0].shape, 2**15, np.uint32)
        for i, weight in enumerate(GREY_WEIGHTS):
            total += np.uint32(weight) * colours[:, i]
        return (total >> np.uint32(16)).astype(np.uint8)

    def shown(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        if self.variant == "lra":
            return values.astype(np.int64)
        return ((values[..., None] - GREY_MEAN) / GREY_SD).astype(np.float32)


class SequentialCifar(_Cifar, kind="scifar"):
    """Sequential CIFAR: what is on a small picture, read pixel by pixel in colour?"""

    @property
    def context(self) -> Context:
        return self.classified(10, PIXELS, features=3)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    def shown(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        return ((values / 255 - COLOUR_MEAN) / COLOUR_SD).astype(np.float32)


class SequentialMnist(Classes, kind="smnist"):
    """Sequential MNIST: which digit is it, read pixel by pixel?

    order   rows: as it is written.   random: a fixed random order.   bit-reversed: by the
            number's bits backwards.  numpy-92916: numpy's RandomState(92916), often used.
    """

    layout: ClassVar[str] = (
        "FOLDER with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte "
        "and t10k-labels-idx1-ubyte, each as it is or with .gz (MNIST)"
    )
    order: Annotated[
        Literal["rows", "random", "bit-reversed", "numpy-92916"],
        Field(description="in which order pixels are read"),
    ] = "rows"

    @property
    def context(self) -> Context:
        return self.classified(10, 784, features=1)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    @property
    def picture(self) -> tuple[int, int] | None:
        return (28, 28) if self.order == "rows" else None

    def files(self) -> list[Path]:
        found = []
        for part in ("train", "t10k"):
            for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
                packed = self.root / f"{name}.gz"
                found.append(packed if packed.is_file() else self.root / name)
        return self.need(*found)

    def read(self) -> Records:
        files = self.files()
        pictures = [self._idx(file, 2051) for file in files[::2]]
        labels = [self._idx(file, 2049) for file in files[1::2]]
        for file, images, numbers in zip(files[::2], pictures, labels, strict=True):
            if len(images) != len(numbers) or images.shape[1:] != (28, 28) or numbers.max() > 9:
                raise self.refuse(file, f"{images.shape} pictures for {len(numbers)} labels")
        num, total = len(pictures[0]), sum(map(len, pictures))
        flat = np.concatenate(pictures).reshape(total, 784)
        given = {"train": np.arange(num), "test": np.arange(num, total)}
        targets = np.concatenate(labels).astype(np.int64)
        return _pictures(flat[:, pixel_order(self.order)], targets, given)

    def _idx(self, file: Path, magic: int) -> NDArray[np.uint8]:
        """An idx file: a magic number, the sizes, then bytes; whole numbers are big-endian."""
        try:
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        except (OSError, EOFError, zlib.error):
            raise self.refuse(file, "not a whole gzip file") from None
        num_axes = magic & 255
        header = np.frombuffer(data[: 4 + 4 * num_axes], ">u4")
        if len(header) != 1 + num_axes or header[0] != magic:
            raise self.refuse(file, f"not an idx file of magic number {magic}")
        shape = tuple(int(size) for size in header[1:])
        body = np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes)
        if body.size != np.prod(shape, dtype=np.int64) or not body.size:
            raise self.refuse(file, f"{body.size} bytes for {' x '.join(map(str, shape))}")
        return body.reshape(shape)

    def shown(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
        return ((values[..., None] / 255 - MNIST_MEAN) / MNIST_SD).astype(np.float32)


class PermutedMnist(SequentialMnist, kind="pmnist"):
    """Permuted MNIST: which digit is it, its pixels read in a fixed random order?

    `order` as of smnist.
    """

    order: Annotated[
        Literal["rows", "random", "bit-reversed", "numpy-92916"],
        Field(description="in which order pixels are read"),
    ] = "random"


def pixel_order(name: str, num: int = 784) -> NDArray[np.int64]:
    """Which pixel is read at each position.                                         (num,)"""
    if name == "random":
        return permutation(example_keys(ORDER_STREAM, np.zeros(1, U)), ORDER, num)[0]
    if name == "bit-reversed":
        bits = (num - 1).bit_length()
        backwards = np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits)])
        return backwards[backwards < num]
    if name == "numpy-92916":  # an old generator, whose stream is frozen
        return np.random.RandomState(NUMPY_SEED).permutation(num)
    return np.arange(num)


def _pictures(
    values: NDArray[np.uint8], targets: NDArray[np.int64], given: dict[str, NDArray[np.int64]]
) -> Records:
    """Records of pictures (N, L) or (N, L, C)."""
    num, length = values.shape[:2]
    ends = (np.arange(num) + 1) * length
    return Records(
        values=values.reshape(num * length, *values.shape[2:]),
        begins=ends - length,
        ends=ends,
        targets=targets,
        splits=share_out(
            given, lambda numbers: content_hashes([values[i].tobytes() for i in numbers])
        ),
    )


PUBLISHED = (
    Preset(
        name="lra-image-grey",
        paper="Tay et al. 2021, Long Range Arena, arXiv:2011.04006",
        section="image classification on sequences of pixels",
        upstream="google-research/long-range-arena lra_benchmarks/image",
        differs=("about 5,000 pictures for validation, chosen by content",),
        value=LraImage(),
    ),
    Preset(
        name="s4-image",
        paper="Gu et al. 2022, S4, arXiv:2111.00396",
        section="LRA image, as S4 reads it",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/lra.py",
        differs=("about 5,000 pictures for validation, chosen by content",),
        value=LraImage(variant="s4"),
    ),
    Preset(
        name="s4-pmnist",
        paper="Gu et al. 2022, S4, arXiv:2111.00396",
        section="permuted MNIST, bits backwards",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/basic.py",
        differs=("a tenth of the training pictures is for validation",),
        value=PermutedMnist(order="bit-reversed"),
    ),
)
