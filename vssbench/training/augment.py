"""Augmentation of stills and of pairs: random scale and crop, flip, colour jitter, compression, ego-motion.

Every random choice comes from a generator that the caller seeds by (seed, phase, epoch, sample), so that training can be
resumed, and spread over any number of loader processes, without changing a single sample.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vssbench.errors import UsageError
from vssbench.video import Image, LabelMap

Motion = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """crop: (height, width) in pixels; scales: range of the random zoom (log-uniform); jitter: relative strength of the
    brightness, contrast and saturation changes; compression: share of stills that pass through JPEG of quality 10-70."""

    crop: tuple[int, int] = (240, 320)
    scales: tuple[float, float] = (0.5, 2.0)
    jitter: float = 0.4
    compression: float = 0.5

    def window(self, height: int, width: int, rng: np.random.Generator) -> Window:
        """A random window of an image. Raises UsageError where the crop is larger than the image allows."""
        crop_height, crop_width = self.crop
        smallest = max(self.scales[0], crop_height / height, crop_width / width)
        if smallest > self.scales[1]:
            raise UsageError(
                f"a crop of {crop_height}x{crop_width} needs images of at least {math.ceil(crop_height / self.scales[1])}x"
                f"{math.ceil(crop_width / self.scales[1])}; found {height}x{width}: choose a smaller --crop"
            )
        scale = math.exp(rng.uniform(math.log(smallest), math.log(self.scales[1])))
        box_height, box_width = min(height, crop_height / scale), min(width, crop_width / scale)
        top, left = rng.uniform(0, height - box_height), rng.uniform(0, width - box_width)
        return Window((left, top, left + box_width, top + box_height), self.crop, bool(rng.random() < 0.5))


@dataclass(frozen=True)
class Window:
    """A box (left, top, right, bottom) of an image in pixels, resampled to ``size`` (height, width), perhaps mirrored."""

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    flip: bool

    def image(self, image: Image) -> Image:
        return self._cut(image, Pillow.Resampling.BILINEAR)

    def label(self, label: LabelMap) -> LabelMap:
        return self._cut(label, Pillow.Resampling.NEAREST)

    def motion(self, motion: Motion) -> Motion:
        """The field (H, W, 2) inside the box, in pixels of the resampled window."""
        height, width = self.size
        left, top, right, bottom = self.box
        scale_x, scale_y = width / (right - left), height / (bottom - top)
        columns = np.clip(left + (np.arange(width) + 0.5) / scale_x, 0, motion.shape[1] - 1).astype(np.intp)
        rows = np.clip(top + (np.arange(height) + 0.5) / scale_y, 0, motion.shape[0] - 1).astype(np.intp)
        cut = motion[rows[:, None], columns] * np.array([scale_x, scale_y], np.float32)
        if self.flip:
            cut = cut[:, ::-1] * np.array([-1, 1], np.float32)
        return np.ascontiguousarray(cut, np.float32)

    def _cut(self, pixels: npt.NDArray[np.uint8], resampling: Pillow.Resampling) -> npt.NDArray[np.uint8]:
        height, width = self.size
        cut = np.asarray(Pillow.fromarray(pixels).resize((width, height), resampling, box=self.box))
        return np.ascontiguousarray(cut[:, ::-1] if self.flip else cut)


@dataclass(frozen=True)
class Colour:
    """Brightness, contrast and saturation factors, applied in that order as torchvision's ColorJitter may."""

    brightness: float
    contrast: float
    saturation: float

    @classmethod
    def draw(cls, strength: float, rng: np.random.Generator) -> Colour:
        return cls(*(float(value) for value in rng.uniform(1 - strength, 1 + strength, 3)))

    def apply(self, image: Image) -> Image:
        pixels = image.astype(np.float32) * self.brightness
        mean = pixels.mean()
        pixels = mean + (pixels - mean) * self.contrast
        gray = (pixels @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
        pixels = gray + (pixels - gray) * self.saturation
        return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def compress(image: Image, quality: int) -> Image:
    """An image as JPEG of that quality shows it: block artefacts much like those of a video codec's I-frames."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(buffer).convert("RGB"))


def augment_still(
    image: Image, label: LabelMap, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Image, LabelMap]:
    """A random window of a labelled still, jittered and perhaps compressed."""
    window = augmentation.window(image.shape[0], image.shape[1], rng)
    image, label = window.image(image), window.label(label)
    image = Colour.draw(augmentation.jitter, rng).apply(image)
    if rng.random() < augmentation.compression:
        image = compress(image, int(rng.integers(10, 71)))
    return image, label


@dataclass(frozen=True)
class EgoMotion:
    """A camera's motion over a few frames, drawn at random: zoom about a vanishing point, shift, small rotation.

    ``zoom`` is the size of things in the keyframe relative to the last frame (below 1: the camera drives forward); ``shift`` is
    in pixels; ``angle`` in radians; ``centre`` is the vanishing point (x, y) in pixels; ``frames`` counts the frames after
    the keyframe.
    """

    zoom: float
    shift: tuple[float, float]
    angle: float
    centre: tuple[float, float]
    frames: int

    @classmethod
    def draw(cls, height: int, width: int, rng: np.random.Generator) -> EgoMotion:
        frames = int(rng.integers(1, 5))
        strength = frames / 4  # a longer run of frames has come further
        return cls(
            zoom=1 - strength * rng.uniform(-0.03, 0.25),
            shift=(strength * rng.normal(0, 0.04) * width, strength * rng.normal(0, 0.02) * height),
            angle=strength * rng.normal(0, 0.02),
            centre=(width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65)),
            frames=frames,
        )

    def affine(self, step: int) -> tuple[float, float, float, float, float, float]:
        """Where frame ``step`` (0 = keyframe, ``frames`` = the still itself) samples the still, as Pillow's coefficients.

        A pixel (x, y) of that frame shows the still at (a x + b y + c, d x + e y + f); see :meth:`flow` for the reverse.
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
        """The frames from the keyframe to the still, which comes last and unchanged. Borders are mirrored."""
        height, width = still.shape[:2]
        margin_y, margin_x = height // 4, width // 4
        padded = Pillow.fromarray(np.pad(still, ((margin_y, margin_y), (margin_x, margin_x), (0, 0)), mode="reflect"))
        frames = []
        for step in range(self.frames):
            a, b, c, d, e, f = self.affine(step)
            coefficients = (a, b, c + margin_x, d, e, f + margin_y)
            moved = padded.transform((width, height), Pillow.Transform.AFFINE, coefficients, Pillow.Resampling.BILINEAR)
            frames.append(np.asarray(moved))
        return [*frames, still]

    def flow(self, height: int, width: int) -> Motion:
        """The exact backward motion (H, W, 2) from the still to the keyframe."""
        a, b, c, d, e, f = self.affine(0)
        matrix = np.linalg.inv(np.array([[a, b], [d, e]]))
        rows, columns = np.mgrid[:height, :width]
        # Pillow samples at pixel centres: (x + 0.5, y + 0.5) is what the coefficients act on
        points = np.stack([columns + 0.5 - c, rows + 0.5 - f], -1)
        source = points @ matrix.T
        return (source - np.stack([columns + 0.5, rows + 0.5], -1)).astype(np.float32)
