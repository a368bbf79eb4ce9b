"""Frames of training clips kept on disk: what is drawn or decoded slowly is read back fast, by any
number of trainings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vssbench.core import files
from vssbench.core.shown import encoded
from vssbench.core.video import Clip, Image, LabelMap


@dataclass(frozen=True)
class KeptFrames:
    """The frames of one clip in a folder: one file a frame, uint8 (H, W, 4), label last; (H, W, 3)
    without one.

    Damaged files are made again. A class, not a closure: data loaders that start fresh processes
    pickle it.
    """

    clip: Clip
    folder: Path

    def image(self, index: int) -> Image:
        """Return a frame, uint8 (H, W, 3)."""
        return np.ascontiguousarray(self._frame(index)[..., :3])

    def label(self, index: int) -> LabelMap | None:
        """Return a frame's label, uint8 (H, W); None where it has none."""
        frame = self._frame(index)
        return np.ascontiguousarray(frame[..., 3]) if frame.shape[2] == 4 else None

    def _frame(self, index: int) -> np.ndarray:
        path = self.folder / f"{index}.npy"
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            frame = self._made(index)
        with files.draft(path) as draft:
            np.save(draft, frame)
        return frame

    def _made(self, index: int) -> np.ndarray:
        image, label = self.clip.image(index), self.clip.label(index)
        return image if label is None else np.dstack([image, label])


def kept(clip: Clip, folder: Path) -> Clip:
    """Return the clip with its frames kept in a folder of its own under ``folder``, named by its
    fingerprint."""
    name = hashlib.sha256(encoded(f"{clip.name} {clip.fingerprint}")).hexdigest()[:16]
    frames = KeptFrames(clip, folder / name)
    return replace(clip, image=frames.image, label=frames.label)
