"""Objects of a street: cars, people, cyclists, trees, posts, signs, fences. Sizes are in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vssbench.datasets.synthetic.library import Library
from vssbench.datasets.synthetic.surfaces import NAMES, Layer, SceneObject, Surface, Swing, Vector

RIGHT: Vector = (1.0, 0.0, 0.0)
AHEAD: Vector = (0.0, 0.0, 1.0)
DOWN: Vector = (0.0, -1.0, 0.0)
KERB = 0.12

CAR_LENGTH, CAR_WIDTH, CAR_HEIGHT = 4.2, 1.76, 1.46
#: a car's profile, as (metres from the tail, height)
TAIL_TOP, ROOF_END, SCREEN_FOOT, NOSE_TOP, NOSE, TAIL = (
    (0.36, 1.43),
    (2.5, 1.4),
    (3.2, 0.87),
    (4.1, 0.78),
    (4.14, 0.02),
    (0.02, 0.02),
)
#: the faces that reach across a car: texture, the profile's points at its upper and lower edge,
#: towards the nose or the tail
CAR_FACES = (
    ("car_panel", TAIL_TOP, ROOF_END, 1),
    ("car_panel", SCREEN_FOOT, NOSE_TOP, 1),
    ("car_screen", ROOF_END, SCREEN_FOOT, 1),
    ("car_nose", NOSE_TOP, NOSE, 1),
    ("car_back", TAIL_TOP, TAIL, -1),
)
#: strides a second, as an angular rate
STRIDE = 2 * np.pi * 0.9
CYCLIST = 1.8


@dataclass(frozen=True)
class Workshop:
    """Makes objects of a library's textures; every one differs in brightness and hue. ``sunlit``
    0..1 is the sun's strength."""

    library: Library
    rng: np.random.Generator
    sunlit: float

    def tint(self, spread: float = 0.12, level: float = 1.0) -> Vector:
        """Return a random brightness around ``level`` and a slight random hue."""
        tone = (
            level
            * max(0.3, 1 + self.rng.normal(0, spread))
            * (1 + self.rng.normal(0, spread / 4, 3))
        )
        return float(tone[0]), float(tone[1]), float(tone[2])

    def board(self, kind: str, label: str, centre: Vector, width: float, tint: Vector) -> Surface:
        """Build an upright picture that faces along the street, from height y of its ``centre``
        down to the pavement."""
        height = centre[1] - KERB
        return self.panel(kind, label, (centre[0] - width / 2, *centre[1:]), (width, height), tint)

    def panel(
        self, kind: str, label: str, origin: Vector, size: tuple[float, float], tint: Vector
    ) -> Surface:
        """Build an upright picture that faces along the street, by its upper left corner."""
        return Surface(
            self.library.pick(kind, self.rng),
            NAMES.index(label),
            origin,
            RIGHT,
            DOWN,
            size,
            size,
            tint=tint,
        )

    def shadow(
        self, centre: Vector, size: tuple[float, float], opacity: float, kind: str = "shadow"
    ) -> SceneObject:
        """Build a dark patch flat on the ground; ``size`` is across and along the street."""
        origin = (centre[0] - size[0] / 2, centre[1], centre[2] - size[1] / 2)
        texture = self.library.pick(kind, self.rng)
        patch = Surface(
            texture, None, origin, RIGHT, AHEAD, size, size, tint=(0.0, 0.0, 0.0), opacity=opacity
        )
        return SceneObject(Layer.DECAL, [patch], centre[2])

    def car(self, x: float, z: float, heading: int, speed: float = 0.0) -> list[SceneObject]:
        """Build a hatchback whose middle is at (x, z), heading up (1) or down (-1) the street, and
        its shadow."""
        variant = int(self.rng.integers(len(self.library.kinds["car_side"])))
        scale = np.array(
            [
                self.rng.uniform(0.95, 1.06),
                self.rng.uniform(0.96, 1.2),
                self.rng.uniform(0.92, 1.08),
            ]
        )
        width, height, length = scale * (CAR_WIDTH, CAR_HEIGHT, CAR_LENGTH)
        tint = self.tint(0.08, 0.95)

        def place(
            kind: str,
            corner: np.ndarray,
            u: Vector,
            v: np.ndarray,
            size: tuple[float, float],
            turn: int,
        ) -> Surface:
            """Return a face given as if the car headed up the street from its tail at the
            origin."""
            about = np.array([heading, 1, heading])
            origin = about * (corner - (0, 0, length / 2)) + (x, 0, z)
            # a mirrored texture runs from its end
            period, shift = (turn * size[0], size[1]), (-size[0] if turn < 0 else 0.0, 0.0)
            u_axis, v_axis = about * u, about * v
            return Surface(
                self.library.kinds[kind][variant],
                NAMES.index("Car"),
                tuple(origin),
                tuple(u_axis),
                tuple(v_axis),
                size,
                period,
                shift,
                tint=tint,
                one_sided=True,
            )

        faces = []
        for kind, (upper_z, upper_y), (lower_z, lower_y), side in CAR_FACES:
            down = np.array([0, lower_y - upper_y, lower_z - upper_z]) * scale
            drop = float(np.linalg.norm(down))
            corner = np.array([side * width / 2, upper_y * scale[1], upper_z * scale[2]])
            faces.append(
                place(kind, corner, (-float(side), 0.0, 0.0), down / drop, (width, drop), 1)
            )
        for side in (1, -1):
            corner = np.array([side * width / 2, height, 0.0 if side > 0 else length])
            faces.append(
                place(
                    "car_side",
                    corner,
                    (0.0, 0.0, float(side)),
                    np.array(DOWN),
                    (length, height),
                    side,
                )
            )
        velocity = (0.0, 0.0, heading * speed)
        shadow = self.shadow((x, 0.0, z), (width + 0.7, length + 0.6), 0.55 + 0.25 * self.sunlit)
        shadow.velocity = velocity
        return [shadow, SceneObject(Layer.ROAD, faces, z - length / 2, velocity)]

    def person(
        self, x: float, z: float, velocity: Vector, ground: float = KERB
    ) -> list[SceneObject]:
        """Build a walking person, and a shadow; ``velocity`` in metres a second."""
        height, tint = self.rng.uniform(1.5, 1.9), self.tint(0.15)
        width, hip, phase = 0.34 * height, ground + 0.5 * height, self.rng.uniform(0, 2 * np.pi)
        walking = float(np.hypot(velocity[0], velocity[2]) > 0)
        parts = []
        leg, leg_size = self.library.pick("leg", self.rng), (0.3 * width, 0.5 * height)
        for side in (-1, 1):
            across = abs(velocity[0]) > 0
            # seen from the side legs swing apart; seen from the front they shorten in turn, which a
            # slight swing stands for
            swing = Swing(
                (0.42 if across else 0.1) * walking + 0.02,
                STRIDE,
                phase + (np.pi if side > 0 else 0),
            )
            origin = (
                x + side * (0.06 if across else 0.13) * width - leg_size[0] / 2,
                hip + 0.04,
                z,
            )
            parts.append(
                Surface(
                    leg,
                    NAMES.index("Pedestrian"),
                    origin,
                    RIGHT,
                    DOWN,
                    leg_size,
                    leg_size,
                    tint=tint,
                    swing=swing,
                )
            )
        top = (x - width / 2 * (0.75 if velocity[0] else 1.0), ground + height, z)
        size = (width * (0.75 if velocity[0] else 1.0), 0.52 * height)
        parts.append(self.panel("person", "Pedestrian", top, size, tint))
        shadow = self.shadow((x, ground, z), (0.9, 0.7), 0.3 + 0.3 * self.sunlit)
        shadow.velocity = velocity
        return [shadow, SceneObject(Layer.PAVEMENT if ground else Layer.ROAD, parts, z, velocity)]

    def cyclist(self, x: float, z: float, velocity: Vector) -> list[SceneObject]:
        """Build a rider on the road: a lengthwise and a crosswise picture that meet; ``velocity``
        in metres a second."""
        tint, label = self.tint(0.15), NAMES.index("Bicyclist")
        across = abs(velocity[0]) > abs(velocity[2])
        heading = 1.0 if velocity[0] + velocity[2] >= 0 else -1.0
        along: Vector = (heading, 0.0, 0.0) if across else (0.0, 0.0, heading)
        tail = (
            (x - heading * CYCLIST / 2, CYCLIST, z)
            if across
            else (x, CYCLIST, z - heading * CYCLIST / 2)
        )
        side = self.library.pick("cyclist_side", self.rng)
        parts = [
            Surface(
                side, label, tail, along, DOWN, (CYCLIST, CYCLIST), (CYCLIST, CYCLIST), tint=tint
            )
        ]
        if not across:
            parts.append(
                self.panel(
                    "cyclist_back", "Bicyclist", (x - 0.36, CYCLIST, z), (0.72, CYCLIST), tint
                )
            )
        shadow = self.shadow(
            (x, 0.0, z), (CYCLIST, 0.6) if across else (0.7, CYCLIST + 0.2), 0.4 + 0.3 * self.sunlit
        )
        shadow.velocity = velocity
        return [
            shadow,
            SceneObject(Layer.ROAD, parts, z - (0.0 if across else CYCLIST / 2), velocity),
        ]

    def tree(self, x: float, z: float, layer: Layer, height: float) -> list[SceneObject]:
        """Build a trunk and a crown of two pictures, one behind the other, so that it has depth."""
        tint, width = self.tint(0.15, 0.95), height * self.rng.uniform(0.55, 0.8)
        tall = width * self.rng.uniform(0.8, 1.1)
        trunk = self.board(
            "bark", "Tree", (x, height - 0.6 * tall, z), 0.045 * height, self.tint(0.15)
        )
        parts = [trunk]
        for offset in (0.22, -0.22):
            part = width * self.rng.uniform(0.85, 1.05)
            shift = self.rng.uniform(-0.12, 0.12) * width
            corner = (
                x - part / 2 + shift,
                height * self.rng.uniform(0.93, 1.05),
                z + offset * width,
            )
            parts.append(self.panel("crown", "Tree", corner, (part, tall), tint))
        shadow = self.shadow((x, KERB, z), (0.6 * width, 0.6 * width), 0.35 + 0.2 * self.sunlit)
        return [shadow, SceneObject(layer, parts, z - 0.22 * width)]

    def lamp(self, x: float, z: float, towards: int) -> list[SceneObject]:
        """Build a lamp post whose arm reaches ``towards`` the road (1: right, -1: left)."""
        height, tint = self.rng.uniform(5.5, 8.0), self.tint(0.15, 0.85)
        arm = self.rng.uniform(0.9, 1.8)
        reach = x if towards > 0 else x - arm
        parts = [
            self.board("metal", "Pole", (x, height, z), self.rng.uniform(0.1, 0.16), tint),
            self.panel("metal", "Pole", (reach, height, z), (arm, 0.1), tint),
            self.panel(
                "metal", "Pole", (x + towards * arm - 0.3, height + 0.06, z), (0.6, 0.2), tint
            ),
        ]
        return [SceneObject(Layer.PAVEMENT, parts, z)]

    def sign(self, x: float, z: float) -> list[SceneObject]:
        """Build one or two signs on a thin post."""
        side, tint = self.rng.uniform(0.6, 0.95), self.tint(0.15, 0.95)
        top = self.rng.uniform(2.3, 3.1)
        parts = [
            self.board(
                "metal", "Pole", (x, top, z), self.rng.uniform(0.08, 0.11), self.tint(0.2, 0.8)
            )
        ]
        parts.append(
            self.panel("sign", "SignSymbol", (x - side / 2, top, z - 0.04), (side, side), tint)
        )
        if self.rng.random() < 0.35:
            parts.append(
                self.panel(
                    "sign",
                    "SignSymbol",
                    (x - side / 2, top - side, z - 0.04),
                    (side, 0.6 * side),
                    tint,
                )
            )
        return [SceneObject(Layer.PAVEMENT, parts, z - 0.04)]

    def fence(
        self, x: float, start: float, end: float, layer: Layer, tint: Vector
    ) -> list[SceneObject]:
        """Build a fence with gaps along the street, in panels of 4 m or less."""
        texture, height = self.library.pick("fence", self.rng), self.rng.uniform(0.95, 1.4)
        panels = []
        for near in np.arange(start, end, 4.0):
            length = min(4.0, end - near)
            panel = Surface(
                texture,
                NAMES.index("Fence"),
                (x, KERB + height, float(near)),
                AHEAD,
                DOWN,
                (float(length), height),
                (2.0, height),
                tint=tint,
            )
            panels.append(SceneObject(layer, [panel], float(near)))
        return panels
