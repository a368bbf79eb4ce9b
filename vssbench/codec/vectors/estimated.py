"""Motion estimated from the decoded pictures, for any codec: DIS optical flow to the picture
before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors.reader import BlockVectors, VectorReader, no_vectors
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.motion import NONE, grid_shape
from vssbench.data.colour import luma

_PACKAGES = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)

#: pixels of a side below which OpenCV's search raises errors or reads beyond the picture: its
#: patches have 8, at a quarter of the size
_LEAST = 32


class EstimatedVectors(VectorReader):
    """Dense inverse search (Kroeger et al., ECCV 2016; OpenCV's ``ultrafast``) on luma, averaged
    over each cell.

    Every picture refers to the one before it. It costs several times what a codec's own vectors do,
    and sees motion, not what an encoder chose to send: a fair baseline.
    """

    dear = True

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._flow = _estimator()
        self._before: npt.NDArray[np.uint8] | None = None

    @classmethod
    def check(cls) -> str:
        """See VectorReader."""
        _estimator()
        for package in _PACKAGES:
            try:
                return f"DIS optical flow of OpenCV {version(package)}"
            except PackageNotFoundError:
                continue
        return "DIS optical flow of OpenCV"

    @classmethod
    def library(cls) -> str:
        """See VectorReader."""
        try:
            return cls.check()
        except MotionUnavailable:
            return ""

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader: nothing is asked of the decoder."""

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        yield index, self.follow(index, luma(picture)[: self.height, : self.width])

    def follow(self, index: int, grey: npt.NDArray[np.uint8]) -> BlockVectors:
        """Return the vectors of the next picture, uint8 (H, W), to the one before it; none in the
        first."""
        if grey.shape != (self.height, self.width):
            raise DataError(
                f"picture {index} is {grey.shape[1]}x{grey.shape[0]}, those before it "
                f"{self.width}x{self.height}: motion is estimated between pictures of one size; "
                "cut the video in two there, or convert it"
            )
        before, self._before = self._before, _large_enough(grey)
        if before is None:
            return no_vectors(self.height, self.width, self.cell)
        flow = self._flow.calc(self._before, before, None)[: self.height, : self.width]
        rows, columns = grid_shape(self.height, self.width, self.cell)
        padding = (
            (0, rows * self.cell - self.height),
            (0, columns * self.cell - self.width),
            (0, 0),
        )
        whole = np.pad(flow, padding, mode="edge") if any(pad for _, pad in padding) else flow
        grid = whole.reshape(rows, self.cell, columns, self.cell, 2).mean((1, 3), dtype=np.float32)
        references = np.full((1, rows, columns), index - 1 if index else NONE, np.int32)
        return BlockVectors(grid[None], references, index - 1)


def _large_enough(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the picture, a small one with its last rows and columns repeated."""
    more = [(0, max(0, _LEAST - length)) for length in grey.shape]
    whole = np.pad(grey, more, mode="edge") if max(more) > (0, 0) else grey
    return np.ascontiguousarray(whole)


def _estimator() -> Any:
    try:
        with _same_environment():
            import cv2
    except ImportError as error:
        raise MotionUnavailable(
            "motion=estimated needs OpenCV, which is not installed: pip install 'vssbench[flow]'"
        ) from error
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)


@contextmanager
def _same_environment() -> Iterator[None]:
    """Take back what OpenCV does on its import: it puts its own folder and the current one where
    all programs that are started from here look for their libraries."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(
            {name: value for name, value in before.items() if os.environ.get(name) != value}
        )
