"""From a seed to a clip: streets and frames are drawn when asked for, and the latest are kept."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vssbench.core.video import Clip, Image, LabelMap
from vssbench.datasets.synthetic import street
from vssbench.datasets.synthetic.flow import motion
from vssbench.datasets.synthetic.library import Library, library
from vssbench.datasets.synthetic.plan import FPS
from vssbench.datasets.synthetic.render import View, render

#: raised whenever any pixel of any clip changes
VERSION = 2
#: deviation of the sensor's noise, in grey levels
NOISE = 2.5


@dataclass(frozen=True)
class Recipe:
    """All that a clip follows from: which split, seed and number, and its frames and size in
    pixels."""

    test: bool
    seed: int
    number: int
    frames: int
    height: int
    width: int

    @property
    def street_seed(self) -> tuple[int, ...]:
        """Seeds the street's layout; no test street shares it with a training street."""
        return (int(self.test), self.seed, self.number)

    @property
    def texture_seed(self) -> tuple[int, ...]:
        """Seeds the textures, which all streets of a split share."""
        return (int(self.test), self.seed)

    @property
    def identity(self) -> tuple[object, ...]:
        """All that tells the clip from any other, for its fingerprint."""
        return ("synthetic", VERSION, astuple(self))

    def clip(self, name: str) -> Clip:
        """Return the clip, nothing of it drawn yet."""
        fingerprint = hashlib.sha256(repr(self.identity).encode()).hexdigest()
        return Clip(
            name,
            self.frames,
            self.height,
            self.width,
            FPS,
            self.image,
            self.label,
            fingerprint,
            self.flow,
            picture=self.picture,
        )

    def image(self, index: int) -> Image:
        """Return frame ``index``, uint8 (H, W, 3). Raises IndexError beyond the clip's end."""
        image = _frame(self, index)[0].copy()
        # drawn with it, and likely to be asked for when other frames have come between
        _packed_label(self, index)
        return image

    def picture(self, index: int) -> str:
        """Tell a frame by its street and its place, whatever its size."""
        return f"synthetic {VERSION} {self.street_seed} {index}"

    def label(self, index: int) -> LabelMap:
        """Return the class of each pixel of frame ``index``, uint8 (H, W). Raises IndexError beyond
        the clip's end."""
        values = np.frombuffer(zlib.decompress(_packed_label(self, index)), np.uint8)
        return values.reshape(self.height, self.width).copy()

    def flow(self, source: int, target: int) -> npt.NDArray[np.float32]:
        """Return exact backward motion, float32 (H, W, 2), see
        :func:`vssbench.datasets.synthetic.flow.motion`."""
        labels = _street(self).scene.table.label
        return motion(_view(self, source), _view(self, target), labels)


@dataclass(frozen=True)
class ValidationRecipe(Recipe):
    """A clip of the streets held out of training: its street and its textures are in neither
    split."""

    @property
    def street_seed(self) -> tuple[int, ...]:
        """See Recipe; 0 and 1 are the splits'."""
        return (2, self.seed, self.number)

    @property
    def texture_seed(self) -> tuple[int, ...]:
        """See Recipe."""
        return (2, self.seed)

    @property
    def identity(self) -> tuple[object, ...]:
        """See Recipe."""
        return (*super().identity, "validation")


def _textures(recipe: Recipe) -> Library:
    return library(*recipe.texture_seed)


@lru_cache(maxsize=64)
def _street(recipe: Recipe) -> street.Street:
    seconds = recipe.frames / FPS
    return street.build(_textures(recipe), np.random.default_rng([*recipe.street_seed, 1]), seconds)


@lru_cache(maxsize=4)
def _view(recipe: Recipe, index: int) -> View:
    if not 0 <= index < recipe.frames:
        raise IndexError(f"frame {index} of a clip of {recipe.frames} frames")
    place, seconds = _street(recipe), index / FPS
    camera = place.drive.camera(seconds)
    return render(
        place.scene,
        _textures(recipe).atlas,
        place.air,
        camera,
        seconds,
        (recipe.height, recipe.width),
    )


@lru_cache(maxsize=4)
def _frame(recipe: Recipe, index: int) -> tuple[Image, LabelMap]:
    view, place = _view(recipe, index), _street(recipe)
    colour = np.empty((recipe.height, recipe.width, 3), np.float32)
    for channel, gain in enumerate(place.gains):
        np.multiply(view.colour[channel], np.float32(gain), out=colour[..., channel])
    colour += _noise(colour.size, np.random.default_rng([*recipe.street_seed, 2, index])).reshape(
        colour.shape
    )
    # a half more, since a cast to integers cuts off
    colour += np.float32(0.5)
    return np.clip(colour, 0, 255, out=colour).astype(np.uint8), place.scene.table.label.take(
        view.surface
    )


@lru_cache(maxsize=256)
def _packed_label(recipe: Recipe, index: int) -> bytes:
    """Return a frame's label in a few kilobytes: each method that is scored asks for it again."""
    return zlib.compress(_frame(recipe, index)[1].tobytes(), level=1)


def _noise(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return that many samples of sensor noise.

    They are a stretch of a store that starts at random, which is faster than to draw them.
    """
    store = _noise_store(count)
    start = int(rng.integers(count))
    return store[start : start + count]


@lru_cache(maxsize=2)
def _noise_store(count: int) -> npt.NDArray[np.float32]:
    return NOISE * np.random.default_rng(count).standard_normal(2 * count, np.float32)
