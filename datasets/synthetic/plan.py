"""The measures of a street and the drive along it, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vssbench.datasets.synthetic.geometry import Camera
from vssbench.datasets.synthetic.library import Library
from vssbench.datasets.synthetic.props import Workshop

FPS = 30.0
#: metres of street before the first and beyond the last place of the camera; small things end
#: before the houses do
BEHIND, BEYOND, SMALL_BEYOND = 8.0, 120.0, 65.0
STOREY, HOUSE_DEPTH = 3.0, 8.0
#: metres between a lane and the kerb, with and without parked cars
PARKING, MARGIN = 2.1, 0.3


@dataclass(frozen=True)
class Drive:
    """The camera's path: a steady speed with slight sway, yaw, pitch and roll, each a sine of its
    own rate and phase.

    ``amplitudes`` and ``rates`` are of x, y (metres), yaw, pitch, roll (radians); rates in radians
    a second.
    """

    lane: float
    height: float
    speed: float
    amplitudes: tuple[float, ...]
    rates: tuple[float, ...]
    phases: tuple[float, ...]

    def camera(self, seconds: float) -> Camera:
        """Return where the camera is at that time."""
        swings = [
            amplitude * np.sin(rate * seconds + phase)
            for amplitude, rate, phase in zip(self.amplitudes, self.rates, self.phases, strict=True)
        ]
        position = np.array([self.lane + swings[0], self.height + swings[1], self.speed * seconds])
        return Camera(position, swings[2], swings[3], swings[4])


@dataclass(frozen=True)
class Plan:
    """The measures of a street. ``side`` is the side people drive on, 1 for the right; ``sun`` the
    side the sun shines on."""

    shop: Workshop
    drive: Drive
    side: int
    sun: int
    lane: float
    kerbs: dict[int, float]
    walks: dict[int, float]
    length: float
    busy: float

    @classmethod
    def draw(cls, library: Library, rng: np.random.Generator, seconds: float) -> Plan:
        side, sun = (int(rng.choice([-1, 1])) for _ in range(2))
        lane = rng.uniform(2.6, 3.1)
        drive = Drive(
            lane=side * lane * rng.uniform(0.5, 0.62),
            height=rng.uniform(1.4, 1.75),
            speed=rng.uniform(7.5, 12.0),
            amplitudes=(
                0.06,
                0.012,
                rng.uniform(0.02, 0.06),
                rng.uniform(0.002, 0.006),
                rng.uniform(0.002, 0.008),
            ),
            rates=tuple(rng.uniform((0.8, 5, 1.0, 5, 1.5), (1.6, 9, 2.2, 9, 4))),
            phases=tuple(rng.uniform(0, 2 * np.pi, 5)),
        )
        walks = {number: rng.uniform(2.7, 4.4) for number in (-1, 1)}
        kerbs = {
            number: lane + (PARKING if rng.random() < share else MARGIN)
            for number, share in ((side, 0.35), (-side, 0.65))
        }
        shop = Workshop(library, rng, rng.choice([0.0, 0.4, 1.0]))
        return cls(
            shop,
            drive,
            side,
            sun,
            lane,
            kerbs,
            walks,
            drive.speed * seconds + BEYOND,
            drive.speed * seconds + SMALL_BEYOND,
        )
