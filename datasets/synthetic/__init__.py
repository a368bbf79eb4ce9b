"""Synthetic street: a drawn drive, every frame labelled in CamVid's 11 classes, exact motion;
nothing to download.

Clips are drawn from a seed, frame by frame when asked for. Training and test streets differ in
layout and in every texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from vssbench.core.bounds import CLIPS, FRAMES, PIXELS
from vssbench.core.dataset import Dataset
from vssbench.core.division import Division
from vssbench.core.errors import UsageError
from vssbench.core.video import Clip
from vssbench.datasets.synthetic.classes import CLASSES
from vssbench.datasets.synthetic.clips import Recipe, ValidationRecipe

SPLITS = ("train", "test")
#: how many streets methods are trained on, and for how many frames each
TRAINING_CLIPS, TRAINING_FRAMES = 48, 24
#: how many more are held out, likewise
VALIDATION_CLIPS, VALIDATION_FRAMES = 8, 24


class Synthetic(Dataset):
    """Drawn streets.

    ``split`` is what methods are scored on, test or train; ``height`` and ``width`` the pictures'
    size, which video codecs want even; ``clips`` and ``frames`` how many test clips of how many
    frames; ``seed`` draws other streets.
    """

    title = "Synthetic street"
    disjoint = True
    drawn = True

    def __init__(
        self,
        *,
        split: Literal["train", "test"] = "test",
        height: int = 360,
        width: int = 480,
        clips: int = 4,
        frames: int = 36,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("height", height, 16),
            ("width", width, 16),
            ("clips", clips, 1),
            ("frames", frames, 1),
            ("seed", seed, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(
                    f"synthetic cannot have {name}={value}: expected a whole number of {least} or "
                    "more"
                )
        FRAMES.check(frames, f"synthetic with frames={frames}", UsageError)
        CLIPS.check(clips, f"synthetic with clips={clips}", UsageError)
        PIXELS.check(height * width, f"synthetic of {height}x{width}", UsageError)
        if height % 2 or width % 2:
            raise UsageError(
                f"synthetic cannot be {width}x{height}: video needs an even width and height"
            )
        self.split, self.height, self.width = split, height, width
        self.test_clips, self.frames, self.seed = clips, frames, seed
        self.classes = tuple(CLASSES)
        self.palette = tuple(CLASSES.values())

    def clips(self) -> Sequence[Clip]:
        """Return the clips of the split; the training split's are those of
        :meth:`training_clips`."""
        if self.split == "train":
            return self.training_clips()
        return self._draw(Recipe, "test", self.test_clips, self.frames)

    def training_clips(self) -> Sequence[Clip]:
        """Return streets that no test clip shows, built from textures that no test clip shows."""
        return self._draw(Recipe, "train", TRAINING_CLIPS, TRAINING_FRAMES)

    def division(self) -> Division:
        """Return all training streets, and more streets of textures of their own, which are in
        neither split."""
        held = self._draw(ValidationRecipe, "validation", VALIDATION_CLIPS, VALIDATION_FRAMES)
        return Division(
            self.training_clips(),
            held,
            f"{VALIDATION_CLIPS} streets of textures of their own, drawn for it",
        )

    def _draw(self, kind: type[Recipe], split: str, count: int, frames: int) -> list[Clip]:
        clips = (
            kind(split == "test", self.seed, number, frames, self.height, self.width).clip(
                f"{split}-{number:02d}"
            )
            for number in range(count)
        )
        return [replace(clip, labelled=tuple(range(frames))) for clip in clips]
