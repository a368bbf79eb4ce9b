"""Pairs with exact flow, to train a flow network: of video that knows its motion, or of stills
under affine motion.

The second kind is made as Flying Chairs was (Dosovitskiy et al., ICCV 2015, section 4.1): a
background moves by an affine map, and objects before it by maps of their own. The objects are
pieces of other stills with irregular outlines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from vssbench.core.video import IGNORE, Image, LabelMap
from vssbench.training.augment import Colour, EgoMotion, Motion, compress, without_hidden
from vssbench.training.pairs import late_frames
from vssbench.training.samples import (
    Sample,
    Samples,
    Stills,
    image_tensor,
    label_tensor,
    motion_tensor,
)

#: frames from keyframe to image where a phase names none: DFF's range of training pairs without the
#: keyframe itself
GAPS = (1, 9)
#: range of the number of moving objects before a still
OBJECTS = (2, 6)
#: diameter of an object as a share of the picture's height
DIAMETERS = (0.15, 0.6)


def _flow_sample(keyframe: Image, image: Image, label: LabelMap, flow: Motion) -> Sample:
    return {
        "image": image_tensor(image),
        "label": label_tensor(label),
        "keyframe": image_tensor(keyframe),
        "flow": motion_tensor(flow),
    }


class VideoFlow(Samples):
    """Pairs of video that knows its motion (``Clip.flow``), ``gaps`` frames apart; every frame i
    once an epoch."""

    def __init__(self, stills: Stills, gaps: tuple[int, int] = GAPS) -> None:
        self.stills, self.gaps, self.memory = stills, gaps, stills.memory
        self.targets = late_frames(stills, gaps[0])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        stills = self.stills
        rng = np.random.default_rng([stills.seed, epoch, number, 4])
        target = self.targets[number]
        clip, index = stills.frames[target]
        earlier = index - int(rng.integers(self.gaps[0], min(self.gaps[1], index) + 1))
        known = stills.clips[clip].flow
        assert known is not None  # the loop takes other samples for clips without it
        image, label = stills.still(target)
        window = stills.augmentation.window(image.shape[0], image.shape[1], rng)
        colour = Colour.draw(stills.augmentation.jitter, rng)
        first, last = (
            colour.apply(window.image(item)) for item in (stills.image(clip, earlier), image)
        )
        if rng.random() < stills.augmentation.compression:
            quality = int(rng.integers(10, 71))
            first, last = compress(first, quality), compress(last, quality)
        return _flow_sample(first, last, window.label(label), window.flow(known(index, earlier)))


class AffineFlow(Samples):
    """Pairs made of a still: it, and objects before it, move by random affine maps; every still
    once an epoch.

    ``gaps`` counts frames of :class:`EgoMotion`; a gap of 0 repeats the picture. Objects have no
    label.
    """

    def __init__(self, stills: Stills, gaps: tuple[int, int] = GAPS) -> None:
        self.stills, self.gaps, self.memory = stills, gaps, stills.memory

    def __len__(self) -> int:
        return len(self.stills)

    def __getitem__(self, position: Any) -> Sample:
        epoch, number = position
        stills = self.stills
        rng = np.random.default_rng([stills.seed, epoch, number, 5])
        image, label = stills.still(number)
        window = stills.augmentation.window(image.shape[0], image.shape[1], rng)
        layers = [Layer.background(window.image(image), self._motion(rng))]
        for _ in range(int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))):
            other, _ = stills.still(int(rng.integers(len(stills))))
            texture = stills.augmentation.window(other.shape[0], other.shape[1], rng).image(other)
            layers.append(Layer.object(texture, rng, still=self.gaps[1] == 0))
        scene = compose(layers)
        colour = Colour.draw(stills.augmentation.jitter, rng)
        first, last = colour.apply(scene.keyframe), colour.apply(scene.image)
        if rng.random() < stills.augmentation.compression:
            quality = int(rng.integers(10, 71))
            first, last = compress(first, quality), compress(last, quality)
        hidden = np.where(scene.covered, np.uint8(IGNORE), window.label(label))
        return _flow_sample(first, last, hidden, scene.flow)

    def _motion(self, rng: np.random.Generator) -> EgoMotion:
        height, width = self.stills.augmentation.crop
        low, high = self.gaps
        if high == 0 or (low == 0 and rng.random() < 1 / (high + 1)):
            return EgoMotion(1.0, (0.0, 0.0), 0.0, (0.0, 0.0), 1)
        return EgoMotion.draw(height, width, rng, (max(low, 1), high))


@dataclass(frozen=True)
class Layer:
    """A picture (H, W, 3) as it is in the image, its outline (H, W), and its affine motion to the
    keyframe."""

    texture: Image
    outline: npt.NDArray[np.bool_]
    motion: EgoMotion

    @classmethod
    def background(cls, texture: Image, motion: EgoMotion) -> Layer:
        return cls(texture, np.ones(texture.shape[:2], bool), motion)

    @classmethod
    def object(cls, texture: Image, rng: np.random.Generator, still: bool = False) -> Layer:
        """Return an irregular piece of ``texture`` at a random place, turned, scaled and shifted
        about its centre."""
        height, width = texture.shape[:2]
        radius = height * rng.uniform(*DIAMETERS) / 2
        centre = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        waves = sum(
            rng.uniform(-0.2, 0.2) * np.cos(order * angles + rng.uniform(0, 2 * math.pi))
            for order in (2, 3, 5)
        )
        radii = radius * (1 + waves)
        corners = [
            (centre[0] + r * math.cos(a), centre[1] + r * math.sin(a))
            for r, a in zip(radii, angles, strict=True)
        ]
        canvas = Pillow.new("L", (width, height))
        ImageDraw.Draw(canvas).polygon(corners, fill=1)
        shift = float(rng.normal(0, 0.06) * width), float(rng.normal(0, 0.06) * height)
        motion = EgoMotion(
            float(rng.uniform(0.85, 1.15)), shift, float(rng.normal(0, 0.12)), centre, 1
        )
        if still:
            motion = EgoMotion(1.0, (0.0, 0.0), 0.0, centre, 1)
        return cls(texture, np.asarray(canvas, bool), motion)

    def in_keyframe(self) -> tuple[Image, npt.NDArray[np.bool_]]:
        """Return picture and outline where the motion takes them.

        A picture's borders are mirrored, an outline's are empty.
        """
        height, width = self.texture.shape[:2]
        outline = Pillow.fromarray(self.outline.astype(np.uint8))
        if self.outline.all():
            moved = np.ones_like(self.outline)
        else:
            moved = np.asarray(
                outline.transform((width, height), Pillow.Transform.AFFINE, self.motion.affine(0)),
                bool,
            )
        return self.motion.sequence(self.texture)[0], moved


@dataclass(frozen=True)
class Scene:
    """Keyframe and image (H, W, 3), the exact flow (H, W, 2) from image to keyframe, NaN where the
    keyframe does not show the point, and where (H, W) objects cover the background of the image."""

    keyframe: Image
    image: Image
    flow: Motion
    covered: npt.NDArray[np.bool_]


def compose(layers: list[Layer]) -> Scene:
    """Lay the layers over one another, the first at the back, in both frames."""
    height, width = layers[0].texture.shape[:2]
    keyframe, image = np.zeros((height, width, 3), np.uint8), np.zeros((height, width, 3), np.uint8)
    shown_first, shown_last = np.zeros((height, width), int), np.zeros((height, width), int)
    flow = np.zeros((height, width, 2), np.float32)
    for number, layer in enumerate(layers):
        texture, outline = layer.in_keyframe()
        keyframe[outline], shown_first[outline] = texture[outline], number
        image[layer.outline], shown_last[layer.outline] = layer.texture[layer.outline], number
        flow[layer.outline] = layer.motion.flow(height, width)[layer.outline]
    # where the point lands, the keyframe must show the same layer
    column = np.clip(np.rint(flow[..., 0] + np.arange(width)), 0, width - 1).astype(np.intp)
    row = np.clip(np.rint(flow[..., 1] + np.arange(height)[:, None]), 0, height - 1).astype(np.intp)
    visible = shown_first[row, column] == shown_last
    return Scene(keyframe, image, without_hidden(flow, visible), shown_last > 0)
