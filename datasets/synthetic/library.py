"""The textures that the streets of one split share: training and test streets never show the same
one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vssbench.datasets.synthetic import cars, sprites, textures
from vssbench.datasets.synthetic.ripmap import Atlas, Pixels, pack

#: storeys of the houses that the facades are drawn for
STOREYS = (2, 3, 4, 5)

#: kind -> how it is drawn, and how many of it a library holds
KINDS: dict[str, tuple[Callable[[np.random.Generator], Pixels], int]] = {
    "sky": (textures.sky, 6),
    "road": (textures.road, 5),
    "paving": (textures.paving, 6),
    "lawn": (textures.lawn, 2),
    "roof": (textures.roof, 4),
    "wall": (textures.blank_wall, 6),
    "gable": (textures.gable, 4),
    "bark": (textures.bark, 3),
    "crown": (sprites.crown, 10),
    "fence": (sprites.fence, 8),
    "metal": (sprites.metal, 4),
    "sign": (sprites.sign, 16),
    "person": (sprites.person, 16),
    "leg": (sprites.leg, 10),
    "cyclist_side": (sprites.cyclist_side, 10),
    "cyclist_back": (sprites.cyclist_back, 10),
    "shadow": (lambda rng: sprites.shade(0.6), 1),
    "shade": (lambda rng: sprites.shade(0.06), 1),
    "crossing": (sprites.crossing, 2),
}
FACADES_A_HEIGHT = 4
CARS = 12
CAR_PARTS: dict[str, Callable[[np.random.Generator, np.ndarray], Pixels]] = {
    "car_side": cars.side,
    "car_back": cars.back,
    "car_nose": cars.nose,
    "car_screen": cars.screen,
    "car_panel": cars.panel,
}


@dataclass(frozen=True)
class Library:
    """An atlas and, for each kind of texture, the numbers of its variants. Variant k of every car
    part is of one car; the kind of a facade is ``facade`` and its storeys."""

    atlas: Atlas
    kinds: dict[str, list[int]]

    def pick(self, kind: str, rng: np.random.Generator) -> int:
        """Return the number of a random texture of that kind."""
        return self.kinds[kind][int(rng.integers(len(self.kinds[kind])))]


@lru_cache(maxsize=4)
def library(*seed: int) -> Library:
    """Draw every texture from a seed; takes a second or two."""
    drawn: list[Pixels] = []
    kinds: dict[str, list[int]] = {}
    for kind, texture in _draw(np.random.default_rng(list(seed))):
        kinds.setdefault(kind, []).append(len(drawn))
        drawn.append(texture)
    return Library(pack(drawn), kinds)


def _draw(rng: np.random.Generator) -> Iterator[tuple[str, Pixels]]:
    for kind, (draw, count) in KINDS.items():
        for _ in range(count):
            yield kind, draw(rng)
    for storeys in STOREYS:
        for _ in range(FACADES_A_HEIGHT):
            yield f"facade{storeys}", textures.facade(rng, storeys)
    for _ in range(CARS):
        paint = cars.random_paint(rng)
        for kind, draw_part in CAR_PARTS.items():
            yield kind, draw_part(rng, paint)
