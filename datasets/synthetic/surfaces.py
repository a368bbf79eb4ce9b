"""Surfaces of a street: textured rectangles, still or moving, and their places in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vssbench.core.video import IGNORE
from vssbench.datasets.synthetic.classes import CLASSES
from vssbench.datasets.synthetic.geometry import Camera, Matrix

NAMES = tuple(CLASSES)

Vector = tuple[float, float, float]


class Layer(IntEnum):
    """Painted in this order; within a layer, objects from far to near.

    The camera drives between the kerbs, so that what stands nearer to the street's middle can only
    be in front.
    """

    SKY = 0
    GROUND = 1
    DECAL = 2
    BACKGROUND = 3
    BOUNDARY = 4
    PAVEMENT = 5
    KERB = 6
    ROAD = 7


@dataclass(frozen=True)
class Swing:
    """A pendulum in the surface's own plane, about its origin: ``angle`` in radians, ``rate`` in
    radians a second."""

    angle: float
    rate: float
    phase: float


@dataclass(frozen=True)
class Surface:
    """A rectangle: ``origin`` is its first corner at time 0, ``u`` and ``v`` its unit edges,
    ``size`` their lengths in metres.

    The texture's first row and column lie at the origin; it repeats every ``period`` metres from
    ``shift`` metres on. ``tint`` multiplies its colour. ``label`` is a class index; None for what
    only stains the ground below it: a decal, such as a shadow, shows and is labelled, and moves, as
    that ground. A ``one_sided`` surface is seen only from the side from which its texture is not
    mirrored. An ``infinite`` one's origin is a direction: it shows no parallax.
    """

    texture: int
    label: int | None
    origin: Vector
    u: Vector
    v: Vector
    size: tuple[float, float]
    period: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)
    tint: Vector = (1.0, 1.0, 1.0)
    opacity: float = 1.0
    one_sided: bool = False
    infinite: bool = False
    swing: Swing | None = None


@dataclass
class SceneObject:
    """Surfaces that move as one, painted in their order. ``nearest`` is the least z that any of
    them reaches at time 0."""

    layer: Layer
    surfaces: list[Surface]
    nearest: float
    velocity: Vector = (0.0, 0.0, 0.0)


class Table:
    """The properties of all surfaces as arrays, a row each; what is painted with is float32."""

    def __init__(self, surfaces: list[Surface]) -> None:
        self.label = np.array(
            [IGNORE if item.label is None else item.label for item in surfaces], np.uint8
        )
        self.stain = self.label == IGNORE
        self.one_sided = np.array([item.one_sided for item in surfaces])
        self.infinite = np.array([item.infinite for item in surfaces])
        self.origin = np.array([item.origin for item in surfaces], np.float64)
        self.axes = np.array([(item.u, item.v) for item in surfaces], np.float64)
        self.corners = np.array(
            [
                [(0, 0, 1), (w, 0, 1), (w, h, 1), (0, h, 1)]
                for w, h in (item.size for item in surfaces)
            ]
        )
        self.texture = np.array([item.texture for item in surfaces], np.int32)
        self.size = np.array([item.size for item in surfaces], np.float32)
        rate = np.array([(1 / item.period[0], 1 / item.period[1]) for item in surfaces], np.float32)
        shift = np.array([item.shift for item in surfaces], np.float32) * rate
        spans = np.array(
            [
                (item.size[0] / abs(item.period[0]), item.size[1] / item.period[1])
                for item in surfaces
            ]
        )
        end = np.where((spans < 1 + 1e-6) & (shift % 1 == 0), 1, np.inf).astype(np.float32)
        #: periods a metre; shift in periods; 1 where the texture shows once, infinite where it
        #: repeats; size; each along u, v
        self.mapping = np.concatenate([rate, shift, end, self.size], axis=1).T
        opacity = np.array([(*item.tint, 1.0) for item in surfaces]) * np.array(
            [[item.opacity] for item in surfaces]
        )
        self.tint = opacity.astype(np.float32)
        #: whether distance hazes it
        self.hazy = (~self.infinite & ~self.stain).astype(np.float32)


class Scene:
    """All objects of a street and their surfaces, numbered through; ``first`` is the number of each
    object's first surface."""

    def __init__(self, objects: list[SceneObject]) -> None:
        self.objects = objects
        self.surfaces = [surface for item in objects for surface in item.surfaces]
        self.table = Table(self.surfaces)
        counts = [len(item.surfaces) for item in objects]
        self.first = [int(number) for number in np.cumsum([0, *counts[:-1]])]
        self._velocities = np.repeat(
            np.array([item.velocity for item in objects], np.float64), counts, axis=0
        )
        self._swings = [
            (number, item.swing)
            for number, item in enumerate(self.surfaces)
            if item.swing is not None
        ]

    def projections(self, camera: Camera, calibration: Matrix, seconds: float) -> Matrix:
        """Return plane coordinates to pixels of every surface at that time, float64 (surfaces, 3,
        3)."""
        axes = self.table.axes.copy()
        for number, swing in self._swings:
            angle = swing.angle * np.sin(swing.rate * seconds + swing.phase)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            axes[number] = turn @ axes[number]
        origins = self.table.origin + self._velocities * seconds
        # what is infinitely far away turns with the camera but never comes nearer
        origins = np.where(self.table.infinite[:, None], origins, origins - camera.position)
        frames = np.concatenate([axes, origins[:, None]], axis=1).transpose(0, 2, 1)
        return calibration @ camera.rotation() @ frames

    def order(self, seconds: float) -> list[int]:
        """Return the numbers of all surfaces in painting order at that time."""

        def key(number: int) -> tuple[int, float, int]:
            item = self.objects[number]
            return item.layer, -(item.nearest + item.velocity[2] * seconds), number

        return [
            self.first[number] + part
            for number in sorted(range(len(self.objects)), key=key)
            for part in range(len(self.objects[number].surfaces))
        ]
