"""Lays out a street: carriageway, pavements, houses and gardens on either side, and who is about;
and the drive along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vssbench.datasets.synthetic.canvas import Air
from vssbench.datasets.synthetic.geometry import Camera
from vssbench.datasets.synthetic.library import STOREYS, Library
from vssbench.datasets.synthetic.props import AHEAD, DOWN, KERB, RIGHT, Workshop
from vssbench.datasets.synthetic.surfaces import NAMES, Layer, Scene, SceneObject, Surface, Vector
from vssbench.datasets.synthetic.textures import FACADE_LENGTH, ROAD_LENGTH

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
        """Where the camera is at that time."""
        swings = [
            amplitude * np.sin(rate * seconds + phase)
            for amplitude, rate, phase in zip(self.amplitudes, self.rates, self.phases, strict=True)
        ]
        position = np.array([self.lane + swings[0], self.height + swings[1], self.speed * seconds])
        return Camera(position, swings[2], swings[3], swings[4])


@dataclass(frozen=True)
class Street:
    """A scene with its air, the drive through it, and the camera's exposure, RGB gains (3,)."""

    scene: Scene
    air: Air
    drive: Drive
    gains: Vector


def build(library: Library, rng: np.random.Generator, seconds: float) -> Street:
    """A random street for a drive of that many seconds."""
    plan = _Plan.draw(library, rng, seconds)
    objects = [
        *plan.ground(),
        *plan.row(-1),
        *plan.row(1),
        *plan.furniture(-1),
        *plan.furniture(1),
        *plan.traffic(),
    ]
    objects += plan.end()
    haze = rng.uniform(190, 225) * np.array([0.98, 1.0, 1.02])
    air = Air((float(haze[0]), float(haze[1]), float(haze[2])), rng.uniform(110, 400))
    gains = rng.uniform(0.82, 1.12) * (1 + rng.normal(0, 0.035, 3))
    return Street(
        Scene(objects), air, plan.drive, (float(gains[0]), float(gains[1]), float(gains[2]))
    )


@dataclass(frozen=True)
class _Plan:
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
    def draw(cls, library: Library, rng: np.random.Generator, seconds: float) -> _Plan:
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

    def ground(self) -> list[SceneObject]:
        """Sky, road, kerbs, pavements, what lies behind them, the shade of the houses, and
        crossings."""
        rng, pick, far = self.shop.rng, self.shop.library.pick, self.length + 60
        span = far + BEHIND
        turn = rng.uniform(0, 4.0)
        sky = Surface(
            pick("sky", rng),
            0,
            (-2.0, 1.5, 1.0),
            RIGHT,
            DOWN,
            (4.0, 1.6),
            (4.0, 1.7),
            (turn, 0.0),
            infinite=True,
        )
        # under the pavements too, so that its centre line divides the lanes
        half = max(self.kerbs.values())
        road = self._flat(
            "road", "Road", -half, 0.0, 2 * half, (2 * half, ROAD_LENGTH), self.shop.tint(0.1)
        )
        items = [SceneObject(Layer.SKY, [sky], far), SceneObject(Layer.GROUND, [road], far)]
        for side in (-1, 1):
            edge, walk, tint = side * self.kerbs[side], self.walks[side], self.shop.tint(0.1)
            paving, kerb = pick("paving", rng), pick("paving", rng)
            beyond = self._flat(
                "lawn",
                "Tree",
                edge + side * walk if side > 0 else edge - walk - 40,
                KERB,
                40.0,
                (6.0, 6.0),
                tint,
            )
            left = edge if side > 0 else edge - walk
            slabs = Surface(
                paving,
                NAMES.index("Pavement"),
                (left, KERB, -BEHIND),
                RIGHT,
                AHEAD,
                (walk, span),
                (4.0, 4.0),
                tint=tint,
            )
            face = Surface(
                kerb,
                NAMES.index("Pavement"),
                (edge, KERB, -BEHIND),
                AHEAD,
                DOWN,
                (span, KERB),
                (6.0, 3.0),
                tint=tint,
            )
            items += [SceneObject(Layer.GROUND, [beyond, slabs, face], far)]
        return items + self._stains(span)

    def _flat(
        self,
        kind: str,
        label: str,
        left: float,
        y: float,
        width: float,
        period: tuple[float, float],
        tint: Vector,
    ) -> Surface:
        """A strip of ground along the whole street."""
        size = (width, self.length + 60 + BEHIND)
        texture, origin = self.shop.library.pick(kind, self.shop.rng), (left, y, -BEHIND)
        return Surface(texture, NAMES.index(label), origin, RIGHT, AHEAD, size, period, tint=tint)

    def _stains(self, span: float) -> list[SceneObject]:
        """The shade of the houses on the unlit side, and zebra crossings."""
        rng, items = self.shop.rng, []
        if self.shop.sunlit:
            walk, kerb = self.walks[-self.sun], self.kerbs[-self.sun]
            reach = rng.uniform(0.2, 1.1) * kerb
            middle, dark = span / 2 - BEHIND, 0.45 * self.shop.sunlit
            items.append(
                self.shop.shadow((-self.sun * (kerb + walk / 2), KERB, middle), (walk, span), dark)
            )
            items.append(
                self.shop.shadow(
                    (-self.sun * (kerb - reach / 2), 0.0, middle), (reach, span), dark, "shade"
                )
            )
        for z in np.arange(rng.uniform(10, 60), self.busy, 60.0):
            texture, size = (
                self.shop.library.pick("crossing", rng),
                (self.kerbs[-1] + self.kerbs[1], 3.0),
            )
            stripes = Surface(
                texture,
                None,
                (-self.kerbs[-1], 0.0, float(z)),
                RIGHT,
                AHEAD,
                size,
                size,
                tint=self.shop.tint(0.1),
            )
            items.append(SceneObject(Layer.DECAL, [stripes], float(z)))
        return items

    def row(self, side: int) -> list[SceneObject]:
        """The houses and gardens of one side, from near to far."""
        rng, items = self.shop.rng, []
        z, height = -BEHIND, 0.0
        while z < self.length:
            if rng.random() < 0.4:
                length, height = rng.uniform(6, 16), 0.0
                items += self._garden(side, z, z + length)
            else:
                length, before = rng.uniform(1.0, 2.6) * FACADE_LENGTH, height
                storeys = int(rng.choice(STOREYS, p=[0.15, 0.35, 0.33, 0.17]))
                height = storeys * STOREY + KERB
                items.append(
                    self._house(
                        side,
                        z,
                        length,
                        self.kerbs[side] + self.walks[side],
                        storeys,
                        height > before,
                    )
                )
            z += length
        return items

    def _house(
        self, side: int, z: float, length: float, inset: float, storeys: int, end_shows: bool
    ) -> SceneObject:
        """A front along the street, a roof with its gable, and the near end where that shows."""
        shop, building = self.shop, NAMES.index("Building")
        height, x, span = storeys * STOREY + KERB, side * inset, length + 0.05
        light = 1 + shop.sunlit * (0.12 if side != self.sun else -0.3)
        tint, end_tint = shop.tint(0.1, light), shop.tint(0.1, 0.85)
        faces = []
        if end_shows:
            corner = (x if side > 0 else x - HOUSE_DEPTH, height, z)
            faces.append(shop.panel("wall", "Building", corner, (HOUSE_DEPTH, height), end_tint))
        if shop.rng.random() < 0.6:
            rise = HOUSE_DEPTH / 2 * shop.rng.uniform(0.6, 1.0)
            slope = np.array([side * HOUSE_DEPTH / 2, rise, 0.0])
            rafter = float(np.linalg.norm(slope))
            ridge = tuple(np.array([x, height, z]) + slope)
            corner = (x if side > 0 else x - HOUSE_DEPTH, height + rise, z)
            faces.append(shop.panel("gable", "Building", corner, (HOUSE_DEPTH, rise), end_tint))
            tiles, period = shop.library.pick("roof", shop.rng), (3.0, 3.0)
            faces.append(
                Surface(
                    tiles,
                    building,
                    ridge,
                    AHEAD,
                    tuple(-slope / rafter),
                    (span, rafter),
                    period,
                    tint=shop.tint(0.1, light),
                )
            )
        texture = shop.library.pick(f"facade{storeys}", shop.rng)
        period = (FACADE_LENGTH, height)
        faces.append(
            Surface(
                texture, building, (x, height, z), AHEAD, DOWN, (span, height), period, tint=tint
            )
        )
        return SceneObject(Layer.BACKGROUND, faces, z)

    def _garden(self, side: int, z: float, end: float) -> list[SceneObject]:
        """A fence at the pavement, trees behind it, and a house set back."""
        rng, edge = self.shop.rng, self.kerbs[side] + self.walks[side]
        items = [
            self._house(
                side, z, end - z, edge + rng.uniform(4.0, 8.0), int(rng.choice(STOREYS[:3])), True
            )
        ]
        if rng.random() < 0.85:
            items += self.shop.fence(
                side * (edge + 0.05), z, end, Layer.BOUNDARY, self.shop.tint(0.15)
            )
        for place in np.arange(z + rng.uniform(1, 4), end, rng.uniform(4, 8)):
            items += self.shop.tree(
                side * (edge + rng.uniform(1.5, 3.5)),
                float(place),
                Layer.BACKGROUND,
                rng.uniform(5, 10),
            )
        return items

    def furniture(self, side: int) -> list[SceneObject]:
        """Lamps, signs, kerbside trees, parked cars and people on one side's pavement."""
        rng, items, kerb = self.shop.rng, [], self.kerbs[side]
        kerbside = side * (kerb + 0.45)
        for z in np.arange(rng.uniform(-2, 14), self.busy, rng.uniform(14, 22)):
            items += self.shop.lamp(kerbside, float(z), -side)
        for z in np.arange(rng.uniform(4, 16), self.busy, rng.uniform(10, 18)):
            items += self.shop.sign(
                kerbside + side * rng.uniform(0, 0.4), float(z) + rng.uniform(-2, 2)
            )
        for z in np.arange(rng.uniform(4, 25), self.busy, rng.uniform(22, 40)):
            end = float(z) + rng.uniform(5, 12)
            items += self.shop.fence(
                side * (kerb + 0.25), float(z), end, Layer.KERB, self.shop.tint(0.15)
            )
        if rng.random() < 0.7:
            for z in np.arange(rng.uniform(6, 20), self.busy, rng.uniform(11, 20)):
                items += self.shop.tree(
                    kerbside + side * rng.uniform(0.1, 0.5),
                    float(z),
                    Layer.PAVEMENT,
                    rng.uniform(5, 9),
                )
        if kerb - self.lane > MARGIN:
            z = rng.uniform(0, 12)
            while z < self.busy:
                items += self.shop.car(side * (kerb - PARKING / 2), z, int(side * self.side), 0.0)
                z += rng.choice([5.6, 8.0, 18.0], p=[0.5, 0.2, 0.3]) + rng.uniform(0, 2)
        z = rng.uniform(5, 9)
        while z < self.busy:
            pace = rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4]) * rng.uniform(1.0, 1.6)
            place = side * (kerb + rng.uniform(0.6, self.walks[side] - 0.3))
            items += self.shop.person(place, z, (0.0, 0.0, pace))
            z += rng.uniform(1.5, 8)
        return items

    def traffic(self) -> list[SceneObject]:
        """Oncoming cars, cyclists either way, and a car ahead or people who cross."""
        rng, items = self.shop.rng, []
        own, other = self.side * self.lane / 2, -self.side * self.lane / 2
        if rng.random() < 0.6:
            # never slower than the camera, which would run into it
            items += self.shop.car(
                own, rng.uniform(9, 26), 1, self.drive.speed * rng.uniform(1.0, 1.15)
            )
        else:
            items += self._crossers()
        z = rng.uniform(10, 30)
        while z < self.busy:
            items += self.shop.car(other + rng.uniform(-0.2, 0.2), z, -1, 9.0)
            z += rng.uniform(9, 32)
        edge = self.lane - 0.35
        z = rng.uniform(8, 20)
        while z < self.busy:
            items += self.shop.cyclist(self.side * edge, z, (0.0, 0.0, rng.uniform(4.0, 7.0)))
            z += rng.uniform(8, 28)
        z = rng.uniform(12, 30)
        while z < self.busy:
            items += self.shop.cyclist(-self.side * edge, z, (0.0, 0.0, -rng.uniform(4.0, 6.0)))
            z += rng.uniform(12, 36)
        return items

    def _crossers(self) -> list[SceneObject]:
        """People and cyclists who cross the road."""
        rng, items = self.shop.rng, []
        for z in np.arange(rng.uniform(9, 22), self.busy, rng.uniform(12, 25)):
            way = float(rng.choice([-1.0, 1.0]))
            if rng.random() < 0.5:
                items += self.shop.cyclist(
                    -way * self.lane * rng.uniform(0.5, 1.0),
                    float(z),
                    (way * rng.uniform(2, 4), 0.0, 0.0),
                )
            else:
                pace = (way * rng.uniform(1.0, 1.7), 0.0, 0.0)
                items += self.shop.person(
                    -way * self.lane * rng.uniform(-0.2, 1.0), float(z), pace, 0.0
                )
        return items

    def end(self) -> list[SceneObject]:
        """Close the view: houses across the street's end and trees before them."""
        rng, items = self.shop.rng, []
        x = -30.0
        while x < 30:
            storeys = int(rng.choice(STOREYS))
            width, height = rng.uniform(1, 2) * FACADE_LENGTH, storeys * STOREY
            texture = self.shop.library.pick(f"facade{storeys}", rng)
            front = Surface(
                texture,
                NAMES.index("Building"),
                (x, height, self.length + 25),
                RIGHT,
                DOWN,
                (width, height),
                (FACADE_LENGTH, height),
                tint=self.shop.tint(0.1, 0.9),
            )
            items.append(SceneObject(Layer.BACKGROUND, [front], self.length + 25))
            x += width
        for place in np.arange(-14, 14, 6):
            items += self.shop.tree(
                float(place + rng.uniform(-2, 2)),
                self.length + 15,
                Layer.BACKGROUND,
                rng.uniform(5, 9),
            )
        return items
