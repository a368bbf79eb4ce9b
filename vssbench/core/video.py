"""Frame and Clip, which flow through the harness.

Conventions, everywhere in the project:

* images are uint8 RGB ``(H, W, 3)`` in numpy, float32 ``(N, 3, H, W)`` in ``[0, 1]`` in torch; a
  method normalises;
* labels are uint8 ``(H, W)``; the value 255 is ignored;
* motion is float32 ``(H, W, 2)`` in numpy, ``(N, 2, H, W)`` in torch, in pixels of the full image,
  ordered ``(x, y)``, and *backward*: a pixel p of this frame lies at ``p + motion[p]`` in the
  keyframe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vssbench.core.motion import MotionField

IGNORE = 255
#: how the name of what stands in a codec's place begins where frames come coded
GIVEN_FRAMES = "given frames"
#: hexadecimal digits of a picture's digest: thousands of pictures against thousands are told apart
MARK_DIGITS = 10

Image = npt.NDArray[np.uint8]
LabelMap = npt.NDArray[np.uint8]


@dataclass
class Frame:
    """One decoded frame: what a method may see of it.

    ``distance`` counts frames since the keyframe (0 at the keyframe itself); ``motion`` is the
    field to that keyframe, None where the codec carries none; ``residual`` int16 (H, W, 3), where
    it was asked for, is the image minus its motion-compensated prediction from the pictures that
    its own blocks refer to (None at a keyframe); ``bits`` is the frame's size in the stream, 0
    where it is not known; the times are seconds spent on this frame; ``psnr_db`` and ``ssim``
    compare its luma with the source's (infinite and 1 without a codec, NaN where they are unknown).
    """

    index: int
    image: Image
    picture_type: str
    distance: int
    bits: int = 0
    motion: MotionField | None = None
    decode_seconds: float = 0.0
    motion_seconds: float = 0.0
    residual: npt.NDArray[np.int16] | None = None
    psnr_db: float = float("nan")
    ssim: float = float("nan")


@dataclass(frozen=True)
class Given:
    """The coding that comes with frames that were encoded and decoded elsewhere.

    ``distances`` counts for each frame of the clip those since its keyframe, in the video that was
    coded; ``motion(i)`` is frame i's motion to that keyframe, float32 (H, W, 2), zero at a
    keyframe; ``coding`` says in words how they were coded.
    """

    distances: tuple[int, ...]
    motion: Callable[[int], npt.NDArray[np.float32]]
    coding: str

    @property
    def title(self) -> str:
        """The coding in tables, in the place of a codec's title."""
        return f"{GIVEN_FRAMES} ({self.coding})"

    def part(self, first: int, length: int) -> Given:
        """Return the coding of the frames ``first`` to ``first + length - 1``."""
        return replace(
            self,
            distances=self.distances[first : first + length],
            motion=lambda index: self.motion(first + index),
        )


@dataclass(frozen=True)
class Clip:
    """A run of consecutive frames with sparse labels, read lazily: memory does not grow with its
    length.

    ``image(i)`` and ``label(i)`` read frame i; ``label`` returns None where a frame carries no
    labels. ``flow(i, j)``, where a dataset knows it, is the exact backward motion ``(H, W, 2)``
    from frame i to frame j with NaN where frame j does not show that point. ``labelled`` are the
    frames that carry labels, in order, None where that is known only by asking for each. ``given``,
    where frames were coded before they came here, is what came with them. ``names`` are the names
    of the frames' files without their endings, where they have any. ``fingerprint`` changes
    whenever any pixel of any frame would. ``group`` names what is drawn as one for an interval:
    clips of one drive or city are not independent; by default the clip's own name. ``view_of``
    names the labelled frame of a clip that is one of several views of it, as decoded at several
    distances: all views of a frame in a group are drawn as one frame. Empty for a clip of its own.
    ``picture(i)`` tells frame i's picture from all others, in whatever clip, layout or size it
    stands: by its file's content, say. None where its pixels must tell it.
    """

    name: str
    length: int
    height: int
    width: int
    fps: float
    image: Callable[[int], Image]
    label: Callable[[int], LabelMap | None]
    fingerprint: str
    flow: Callable[[int, int], npt.NDArray[np.float32]] | None = None
    labelled: tuple[int, ...] | None = None
    given: Given | None = None
    names: tuple[str, ...] = ()
    group: str = ""
    picture: Callable[[int], str] | None = None
    view_of: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.name)

    def labelled_frames(self) -> tuple[int, ...]:
        """Return the frames that carry labels, in order."""
        if self.labelled is not None:
            return tuple(index for index in self.labelled if index < self.length)
        return tuple(index for index in range(self.length) if self.label(index) is not None)

    def frame_name(self, index: int) -> str:
        """Return the name of a frame: its file's without the ending, else its number in the clip,
        from 0, as six digits."""
        return self.names[index] if self.names else f"{index:06d}"

    def part(self, first: int, length: int) -> Clip:
        """Return the clip's frames ``first`` to ``first + length - 1`` as a clip of their own, read
        from this one."""
        flow, labelled, picture = self.flow, self.labelled, self.picture
        return replace(
            self,
            name=f"{self.name}[{first}:{first + length}]",
            length=length,
            image=lambda index: self.image(first + index),
            label=lambda index: self.label(first + index),
            flow=None if flow is None else lambda i, j: flow(first + i, first + j),
            labelled=None
            if labelled is None
            else tuple(i - first for i in labelled if first <= i < first + length),
            given=None if self.given is None else self.given.part(first, length),
            names=self.names[first : first + length],
            fingerprint=f"{self.fingerprint}[{first}:{first + length}]",
            picture=None if picture is None else lambda index: picture(first + index),
        )

    def marks(self) -> list[str]:
        """Return a digest of the picture of each frame that carries a label, or may."""
        places = range(self.length) if self.labelled is None else self.labelled_frames()
        return [self._mark(index) for index in places]

    def _mark(self, index: int) -> str:
        content = (
            self.image(index).tobytes() if self.picture is None else self.picture(index).encode()
        )
        return hashlib.sha256(content).hexdigest()[:MARK_DIGITS]

    def images(self) -> Iterator[Image]:
        """Return the frames in order, one at a time."""
        return (self.image(index) for index in range(self.length))
