"""The handwritten digits that scikit-learn carries, read as sequences of pixels.

    1,797 pictures of 8 x 8 pixels of 0 to 16     64 ids, ten classes

Source:  Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", UCI, the test
         part, as scikit-learn has it (sklearn.datasets.load_digits).
"""

from __future__ import annotations

import numpy as np

from tasks.files import FilesMissing
from tasks.records import Readout, Records, RecordTask, content_hashes, share_out
from zoo.spec import Context

SIDE, GREYS = 8, 17


class Digits(RecordTask, kind="digits"):
    """Digits: which handwritten digit is it, its 64 pixels read row by row?

    Needs scikit-learn.  Splits are by content: about 1,350, 220 and 220 pictures.
    """

    readout: Readout = "mean"

    @property
    def context(self) -> Context:
        return Context(num_inputs=GREYS, num_outputs=10, length=SIDE * SIDE, head=self.readout)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"grey": range(GREYS)}

    @property
    def picture(self) -> tuple[int, int]:
        return SIDE, SIDE

    def read(self) -> Records:
        try:
            from sklearn.datasets import load_digits
        except ModuleNotFoundError:
            raise FilesMissing(
                "digits reads the pictures that scikit-learn carries: pip install scikit-learn"
            ) from None
        pictures, labels = load_digits(return_X_y=True)
        pictures = np.asarray(pictures).astype(np.uint8)
        num = len(pictures)
        ends = (np.arange(num) + 1) * SIDE * SIDE
        hashes = content_hashes([picture.tobytes() for picture in pictures])
        return Records(
            values=pictures.reshape(-1),
            begins=ends - SIDE * SIDE,
            ends=ends,
            targets=np.asarray(labels).astype(np.int64),
            splits=share_out({"all": np.arange(num)}, lambda numbers: hashes[numbers]),
        )
