"""Frames of a stream from elsewhere as a network sees them: the right way up, at its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow

from vssbench.core.motion import MotionField
from vssbench.core.video import Frame, Image
from vssbench.data.videofile import turned


@dataclass
class ViewedField(MotionField):
    """Motion of a picture that is turned by ``rotation`` degrees anticlockwise and then resized to
    ``size`` (height, width)."""

    rotation: int = 0
    size: tuple[int, int] = (0, 0)

    def dense(self) -> npt.NDArray[np.float32]:
        """See MotionField: in pixels of the picture as it is viewed."""
        return resized_motion(turned_motion(super().dense(), self.rotation), self.size)


def turned_motion(motion: npt.NDArray[np.float32], rotation: int) -> npt.NDArray[np.float32]:
    """Turn a field (H, W, 2) with its picture: its vectors turn with it."""
    for _ in range(rotation // 90 % 4):
        motion = np.rot90(motion)
        motion = np.stack([motion[..., 1], -motion[..., 0]], -1)
    return motion


def resized_motion(
    motion: npt.NDArray[np.float32], size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Resize a field with its picture: the nearest vector, in the new pixels."""
    height, width = motion.shape[:2]
    if (height, width) == size:
        return motion
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(np.intp)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(np.intp)
    scale = np.array([size[1] / width, size[0] / height], np.float32)
    return np.ascontiguousarray(motion[rows][:, columns] * scale)


def resized_image(image: Image, size: tuple[int, int]) -> Image:
    """Resize an image to (height, width): bilinear, over all pixels that a new one covers."""
    if image.shape[:2] == size:
        return image
    # a copy: torch wants memory that it may write to
    return np.array(Pillow.fromarray(image).resize((size[1], size[0]), Pillow.Resampling.BILINEAR))


def resized_residual(
    residual: npt.NDArray[np.int16], size: tuple[int, int]
) -> npt.NDArray[np.int16]:
    """Resize a residual, int16, as :func:`resized_image` does an image."""
    if residual.shape[:2] == size:
        return residual
    planes = torch.from_numpy(residual.astype(np.float32)).permute(2, 0, 1)[None]
    smaller = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True)
    return smaller[0].permute(1, 2, 0).round().numpy().astype(np.int16)


def viewed(frame: Frame, image: Image, rotation: int, size: tuple[int, int]) -> Frame:
    """Return the frame as the network sees it: ``image`` is its own the right way up; motion and
    residual turn and shrink with it."""
    motion, residual = frame.motion, frame.residual
    if motion is not None and (rotation or (motion.height, motion.width) != size):
        motion = ViewedField(
            motion.grid,
            motion.cell,
            motion.height,
            motion.width,
            motion.intra_share,
            rotation=rotation,
            size=size,
        )
    if residual is not None:
        residual = resized_residual(turned(residual, rotation), size)
    return Frame(
        frame.index, resized_image(image, size), frame.picture_type, frame.distance, frame.bits,
        motion,
        frame.decode_seconds, frame.motion_seconds, residual,
    )  # fmt: skip
