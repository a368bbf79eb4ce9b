"""Augmentation of stills and of pairs: random scale and crop, flip, colour jitter, compression,
ego-motion.

Every random choice comes from a generator that the caller seeds by (seed, phase, epoch, sample), so
that training can be resumed, and spread over any number of loader processes, without changing a
single sample.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter
from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass as checked

from vssbench.core.errors import UsageError
from vssbench.core.video import IGNORE, Image, LabelMap
from vssbench.data.colour import GREY_SHARES

Motion = npt.NDArray[np.float32]
Share = Annotated[float, Field(ge=0, le=1)]
#: what fills an image beyond its border: about the mean that normalisation takes to 0
GREY = 116
#: share of the stills that are rotated, as in PSPNet's code
ROTATED = 0.5


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """Ranges and shares that random choices are drawn from.

    crop: (height, width) in pixels. scales: of the random zoom; ``scale_draw`` takes them as the
    ends of a log-uniform or uniform range, or as a list of which one is chosen. jitter: relative
    strength of the brightness, contrast and saturation changes. compression: share of stills that
    pass through JPEG of quality 10-70. flip: share that is mirrored. small: an image that the zoom
    leaves smaller than the crop is enlarged to fit, or padded (label 255). rotation: largest angle
    in degrees, of half of the stills; blur: share of the stills that a Gaussian of at most 1 pixel
    blurs, as PSPNet's code does.
    """

    crop: tuple[PositiveInt, PositiveInt] = (240, 320)
    scales: tuple[PositiveFloat, ...] = (0.5, 2.0)
    jitter: NonNegativeFloat = 0.4
    compression: Share = 0.5
    flip: Share = 0.5
    scale_draw: Literal["log", "uniform", "list"] = "log"
    small: Literal["enlarge", "pad"] = "enlarge"
    rotation: NonNegativeFloat = 0.0
    blur: Share = 0.0

    def __post_init__(self) -> None:
        if not self.scales or (
            self.scale_draw != "list" and (len(self.scales) != 2 or self.scales[0] > self.scales[1])
        ):
            raise ValueError(
                "scales are the two ends of a range, the smaller first, or with scale_draw = "
                "'list' any number"
            )

    def window(self, height: int, width: int, rng: np.random.Generator) -> Window:
        """Return a random window of an image. Raises UsageError where the crop is larger than the
        image allows."""
        crop_height, crop_width = self.crop
        scale = self._scale(height, width, rng)
        box_height, box_width = crop_height / scale, crop_width / scale
        if self.small == "enlarge":  # rounding may have left the box larger by a hair
            box_height, box_width = min(height, box_height), min(width, box_width)
        top, left = (
            float(rng.uniform(0, room)) if room >= 0 else room / 2
            for room in (height - box_height, width - box_width)
        )
        return Window(
            (left, top, left + box_width, top + box_height),
            self.crop,
            bool(rng.random() < self.flip),
        )

    def _scale(self, height: int, width: int, rng: np.random.Generator) -> float:
        fitting = (
            max(self.crop[0] / height, self.crop[1] / width) if self.small == "enlarge" else 0.0
        )
        largest = max(self.scales)
        if fitting > largest:
            raise UsageError(
                f"a crop of {self.crop[0]}x{self.crop[1]} needs images of at least "
                f"{math.ceil(self.crop[0] / largest)}x{math.ceil(self.crop[1] / largest)}; found "
                f"{height}x{width}: choose a smaller --crop"
            )
        if self.scale_draw == "list":
            return max(fitting, float(rng.choice(self.scales)))
        if self.scale_draw == "uniform":
            return max(fitting, float(rng.uniform(self.scales[0], largest)))
        return math.exp(rng.uniform(math.log(max(fitting, self.scales[0])), math.log(largest)))


@dataclass(frozen=True)
class Window:
    """A box (left, top, right, bottom) of an image in pixels, resampled to ``size`` (height,
    width), perhaps mirrored.

    A box may reach beyond the image: there an image is grey, and a label ignored.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    flip: bool

    def image(self, image: Image) -> Image:
        return self._cut(image, Pillow.Resampling.BILINEAR, GREY)

    def label(self, label: LabelMap) -> LabelMap:
        return self._cut(label, Pillow.Resampling.NEAREST, IGNORE)

    def motion(self, motion: Motion) -> Motion:
        """Return the field (H, W, 2) inside the box, in pixels of the resampled window."""
        height, width = self.size
        left, top, right, bottom = self.box
        scale_x, scale_y = width / (right - left), height / (bottom - top)
        columns = np.clip(left + (np.arange(width) + 0.5) / scale_x, 0, motion.shape[1] - 1).astype(
            np.intp
        )
        rows = np.clip(top + (np.arange(height) + 0.5) / scale_y, 0, motion.shape[0] - 1).astype(
            np.intp
        )
        cut = motion[rows[:, None], columns] * np.array([scale_x, scale_y], np.float32)
        if self.flip:
            cut = cut[:, ::-1] * np.array([-1, 1], np.float32)
        return np.ascontiguousarray(cut, np.float32)

    def flow(self, flow: Motion) -> Motion:
        """Return :meth:`motion` with NaN where no place in the keyframe is known.

        There the box reaches beyond the image, or the keyframe's place lies outside the box.
        """
        height, width = self.size
        left, top, right, bottom = self.box
        cut = self.motion(flow)
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top + (np.arange(height) + 0.5) * (bottom - top) / height
        if self.flip:
            x = x[::-1]
        inside = ((x >= 0) & (x < flow.shape[1])) & ((y >= 0) & (y < flow.shape[0]))[:, None]
        return without_hidden(cut, inside)

    def _cut(
        self, pixels: npt.NDArray[np.uint8], resampling: Pillow.Resampling, beyond: int
    ) -> npt.NDArray[np.uint8]:
        height, width = self.size
        left, top, right, bottom = self.box
        before = math.ceil(max(0.0, -top)), math.ceil(max(0.0, -left))
        after = (
            math.ceil(max(0.0, bottom - pixels.shape[0])),
            math.ceil(max(0.0, right - pixels.shape[1])),
        )
        if any((*before, *after)):
            edges = [(before[0], after[0]), (before[1], after[1]), (0, 0)]
            pixels = np.pad(pixels, edges[: pixels.ndim], constant_values=beyond)
        box = (left + before[1], top + before[0], right + before[1], bottom + before[0])
        pixels, box = _around(pixels, box, (width, height))
        cut = Pillow.fromarray(pixels).resize((width, height), resampling, box=box)
        return np.asarray(cut.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT) if self.flip else cut)


Box = tuple[float, float, float, float]


def _around(
    pixels: npt.NDArray[np.uint8], box: Box, size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], Box]:
    """Return the part of an image that resampling a box to ``size`` (width, height) reads, and the
    box in it.

    Pillow copies the image that it is given, whatever of it is used.
    """
    left, top, right, bottom = box
    # the bilinear filter reaches one new pixel beyond the box, or one old one where it enlarges
    across, down = (
        math.ceil(max(1.0, extent / new)) + 1
        for extent, new in zip((right - left, bottom - top), size, strict=True)
    )
    x, y = max(0, math.floor(left) - across), max(0, math.floor(top) - down)
    part = pixels[y : math.ceil(bottom) + down, x : math.ceil(right) + across]
    return np.ascontiguousarray(part), (left - x, top - y, right - x, bottom - y)


def without_hidden(flow: Motion, visible: npt.NDArray[np.bool_]) -> Motion:
    """Return the flow (H, W, 2), NaN where ``visible`` (H, W) does not hold or where it leads out
    of the picture."""
    height, width = visible.shape
    x, y = flow[..., 0] + np.arange(width), flow[..., 1] + np.arange(height)[:, None]
    with np.errstate(invalid="ignore"):
        there = visible & (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return np.where(there[..., None], flow, np.float32(np.nan))


@dataclass(frozen=True)
class Colour:
    """Brightness, contrast and saturation factors, applied in that order as torchvision's
    ColorJitter may."""

    brightness: float
    contrast: float
    saturation: float

    @classmethod
    def draw(cls, strength: float, rng: np.random.Generator) -> Colour:
        return cls(*(float(value) for value in rng.uniform(1 - strength, 1 + strength, 3)))

    def apply(self, image: Image) -> Image:
        """Return an image (H, W, 3) in this light; contrast is about its mean over all pixels and
        channels."""
        # all three steps are linear in a pixel's colour, the same for every pixel: one matrix,
        # rounded once
        gain = self.brightness * self.contrast
        # sums of whole numbers, a row at a time so that 32 bits hold them
        mean = (
            float(image.sum((1, 2), dtype=np.uint32).sum(dtype=np.uint64))
            / max(1, image.size)
            * self.brightness
        )
        offset = mean * (1 - self.contrast)
        matrix: list[float] = []
        for channel in range(3):
            mixed = [gain * (1 - self.saturation) * share for share in GREY_SHARES]
            mixed[channel] += gain * self.saturation
            matrix += [*mixed, offset]
        return np.asarray(Pillow.fromarray(image).convert("RGB", tuple(matrix)))


def compress(image: Image, quality: int) -> Image:
    """Return an image as JPEG of that quality shows it: block artefacts much like those of a video
    codec's I-frames."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(buffer).convert("RGB"))


def rotate(image: Image, label: LabelMap, degrees: float) -> tuple[Image, LabelMap]:
    """Turn image and label about their centre.

    What comes in at the corners is grey, and ignored.
    """
    turned = Pillow.fromarray(image).rotate(
        degrees, Pillow.Resampling.BILINEAR, fillcolor=(GREY,) * 3
    )
    return np.asarray(turned), np.asarray(Pillow.fromarray(label).rotate(degrees, fillcolor=IGNORE))


def augment_still(
    image: Image, label: LabelMap, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Image, LabelMap]:
    """Return a random window of a labelled still, perhaps turned, blurred, jittered and
    compressed."""
    if augmentation.rotation and rng.random() < ROTATED:
        image, label = rotate(
            image, label, rng.uniform(-augmentation.rotation, augmentation.rotation)
        )
    window = augmentation.window(image.shape[0], image.shape[1], rng)
    image, label = window.image(image), window.label(label)
    if augmentation.blur and rng.random() < augmentation.blur:
        image = np.asarray(Pillow.fromarray(image).filter(ImageFilter.GaussianBlur(rng.random())))
    image = Colour.draw(augmentation.jitter, rng).apply(image)
    if rng.random() < augmentation.compression:
        image = compress(image, int(rng.integers(10, 71)))
    return image, label


@dataclass(frozen=True)
class EgoMotion:
    """A camera's motion over a few frames, drawn at random: zoom about a vanishing point, shift,
    small rotation.

    ``zoom`` is the size of things in the keyframe relative to the last frame (below 1: the camera
    drives forward); ``shift`` is in pixels; ``angle`` in radians; ``centre`` is the vanishing point
    (x, y) in pixels; ``frames`` counts the frames after the keyframe.
    """

    zoom: float
    shift: tuple[float, float]
    angle: float
    centre: tuple[float, float]
    frames: int

    @classmethod
    def draw(
        cls, height: int, width: int, rng: np.random.Generator, frames: tuple[int, int] = (1, 4)
    ) -> EgoMotion:
        """Draw a random motion over a random number of frames.

        ``frames`` is the range of their number, from 1 up; the longest run moves by about as much,
        however long it is.
        """
        count = int(rng.integers(frames[0], frames[1] + 1))
        strength = count / max(frames[1], 4)
        return cls(
            zoom=1 - strength * rng.uniform(-0.03, 0.25),
            shift=(strength * rng.normal(0, 0.04) * width, strength * rng.normal(0, 0.02) * height),
            angle=strength * rng.normal(0, 0.02),
            centre=(width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65)),
            frames=count,
        )

    def affine(self, step: int) -> tuple[float, float, float, float, float, float]:
        """Return where frame ``step`` samples the still, as Pillow's coefficients.

        0 is the keyframe, ``frames`` the still itself.

        A pixel (x, y) of that frame shows the still at (a x + b y + c, d x + e y + f); see
        :meth:`flow` for the reverse.
        """
        share = (self.frames - step) / self.frames
        zoom, angle = self.zoom**-share, -self.angle * share
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        x, y = self.centre
        shift_x, shift_y = self.shift[0] * share, self.shift[1] * share
        return (
            cos,
            -sin,
            x - cos * (x + shift_x) + sin * (y + shift_y),
            sin,
            cos,
            y - sin * (x + shift_x) - cos * (y + shift_y),
        )

    def sequence(self, still: Image) -> list[Image]:
        """Return the frames from the keyframe to the still, which comes last and unchanged. Borders
        are mirrored."""
        height, width = still.shape[:2]
        margin_y, margin_x = height // 4, width // 4
        padded = Pillow.fromarray(
            np.pad(still, ((margin_y, margin_y), (margin_x, margin_x), (0, 0)), mode="reflect")
        )
        frames = []
        for step in range(self.frames):
            a, b, c, d, e, f = self.affine(step)
            coefficients = (a, b, c + margin_x, d, e, f + margin_y)
            moved = padded.transform(
                (width, height), Pillow.Transform.AFFINE, coefficients, Pillow.Resampling.BILINEAR
            )
            frames.append(np.asarray(moved))
        return [*frames, still]

    def flow(self, height: int, width: int) -> Motion:
        """Return the exact backward motion (H, W, 2) from the still to the keyframe."""
        a, b, c, d, e, f = self.affine(0)
        matrix = np.linalg.inv(np.array([[a, b], [d, e]]))
        rows, columns = np.mgrid[:height, :width]
        # Pillow samples at pixel centres: (x + 0.5, y + 0.5) is what the coefficients act on
        points = np.stack([columns + 0.5 - c, rows + 0.5 - f], -1)
        source = points @ matrix.T
        return (source - np.stack([columns + 0.5, rows + 0.5], -1)).astype(np.float32)
