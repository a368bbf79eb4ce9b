"""Lays out a street: its ground, houses and gardens on either side, posts and trees, and who is
about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vssbench.datasets.synthetic.canvas import Air
from vssbench.datasets.synthetic.ground import ground
from vssbench.datasets.synthetic.library import STOREYS, Library
from vssbench.datasets.synthetic.plan import (
    BEHIND,
    HOUSE_DEPTH,
    MARGIN,
    PARKING,
    STOREY,
    Drive,
    Plan,
)
from vssbench.datasets.synthetic.props import AHEAD, DOWN, KERB, RIGHT
from vssbench.datasets.synthetic.surfaces import NAMES, Layer, Scene, SceneObject, Surface, Vector
from vssbench.datasets.synthetic.textures import FACADE_LENGTH


@dataclass(frozen=True)
class Street:
    """A scene with its air, the drive through it, and the camera's exposure, RGB gains (3,)."""

    scene: Scene
    air: Air
    drive: Drive
    gains: Vector


def build(library: Library, rng: np.random.Generator, seconds: float) -> Street:
    """Build a random street for a drive of that many seconds."""
    plan = Plan.draw(library, rng, seconds)
    objects = [
        *ground(plan),
        *row(plan, -1),
        *row(plan, 1),
        *furniture(plan, -1),
        *furniture(plan, 1),
        *traffic(plan),
    ]
    objects += end(plan)
    haze = rng.uniform(190, 225) * np.array([0.98, 1.0, 1.02])
    air = Air((float(haze[0]), float(haze[1]), float(haze[2])), rng.uniform(110, 400))
    gains = rng.uniform(0.82, 1.12) * (1 + rng.normal(0, 0.035, 3))
    return Street(
        Scene(objects), air, plan.drive, (float(gains[0]), float(gains[1]), float(gains[2]))
    )


def row(plan: Plan, side: int) -> list[SceneObject]:
    """Build the houses and gardens of one side, from near to far."""
    rng, items = plan.shop.rng, []
    z, height = -BEHIND, 0.0
    while z < plan.length:
        if rng.random() < 0.4:
            length, height = rng.uniform(6, 16), 0.0
            items += _garden(plan, side, z, z + length)
        else:
            length, before = rng.uniform(1.0, 2.6) * FACADE_LENGTH, height
            storeys = int(rng.choice(STOREYS, p=[0.15, 0.35, 0.33, 0.17]))
            height = storeys * STOREY + KERB
            items.append(
                _house(
                    plan,
                    side,
                    z,
                    length,
                    plan.kerbs[side] + plan.walks[side],
                    storeys,
                    height > before,
                )
            )
        z += length
    return items


def _house(
    plan: Plan, side: int, z: float, length: float, inset: float, storeys: int, end_shows: bool
) -> SceneObject:
    """Build a front along the street, a roof with its gable, and the near end where that shows."""
    shop, building = plan.shop, NAMES.index("Building")
    height, x, span = storeys * STOREY + KERB, side * inset, length + 0.05
    light = 1 + shop.sunlit * (0.12 if side != plan.sun else -0.3)
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
        Surface(texture, building, (x, height, z), AHEAD, DOWN, (span, height), period, tint=tint)
    )
    return SceneObject(Layer.BACKGROUND, faces, z)


def _garden(plan: Plan, side: int, z: float, end: float) -> list[SceneObject]:
    """Build a fence at the pavement, trees behind it, and a house set back."""
    rng, edge = plan.shop.rng, plan.kerbs[side] + plan.walks[side]
    items = [
        _house(
            plan, side, z, end - z, edge + rng.uniform(4.0, 8.0), int(rng.choice(STOREYS[:3])), True
        )
    ]
    if rng.random() < 0.85:
        items += plan.shop.fence(side * (edge + 0.05), z, end, Layer.BOUNDARY, plan.shop.tint(0.15))
    for place in np.arange(z + rng.uniform(1, 4), end, rng.uniform(4, 8)):
        items += plan.shop.tree(
            side * (edge + rng.uniform(1.5, 3.5)),
            float(place),
            Layer.BACKGROUND,
            rng.uniform(5, 10),
        )
    return items


def furniture(plan: Plan, side: int) -> list[SceneObject]:
    """Build lamps, signs, kerbside trees, parked cars and people on one side's pavement."""
    rng, items, kerb = plan.shop.rng, [], plan.kerbs[side]
    kerbside = side * (kerb + 0.45)
    for z in np.arange(rng.uniform(-2, 14), plan.busy, rng.uniform(14, 22)):
        items += plan.shop.lamp(kerbside, float(z), -side)
    for z in np.arange(rng.uniform(4, 16), plan.busy, rng.uniform(10, 18)):
        items += plan.shop.sign(
            kerbside + side * rng.uniform(0, 0.4), float(z) + rng.uniform(-2, 2)
        )
    for z in np.arange(rng.uniform(4, 25), plan.busy, rng.uniform(22, 40)):
        end = float(z) + rng.uniform(5, 12)
        items += plan.shop.fence(
            side * (kerb + 0.25), float(z), end, Layer.KERB, plan.shop.tint(0.15)
        )
    if rng.random() < 0.7:
        for z in np.arange(rng.uniform(6, 20), plan.busy, rng.uniform(11, 20)):
            items += plan.shop.tree(
                kerbside + side * rng.uniform(0.1, 0.5),
                float(z),
                Layer.PAVEMENT,
                rng.uniform(5, 9),
            )
    if kerb - plan.lane > MARGIN:
        z = rng.uniform(0, 12)
        while z < plan.busy:
            items += plan.shop.car(side * (kerb - PARKING / 2), z, int(side * plan.side), 0.0)
            z += rng.choice([5.6, 8.0, 18.0], p=[0.5, 0.2, 0.3]) + rng.uniform(0, 2)
    z = rng.uniform(5, 9)
    while z < plan.busy:
        pace = rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4]) * rng.uniform(1.0, 1.6)
        place = side * (kerb + rng.uniform(0.6, plan.walks[side] - 0.3))
        items += plan.shop.person(place, z, (0.0, 0.0, pace))
        z += rng.uniform(1.5, 8)
    return items


def traffic(plan: Plan) -> list[SceneObject]:
    """Build oncoming cars, cyclists either way, and a car ahead or people who cross."""
    rng, items = plan.shop.rng, []
    own, other = plan.side * plan.lane / 2, -plan.side * plan.lane / 2
    if rng.random() < 0.6:
        # never slower than the camera, which would run into it
        items += plan.shop.car(
            own, rng.uniform(9, 26), 1, plan.drive.speed * rng.uniform(1.0, 1.15)
        )
    else:
        items += _crossers(plan)
    z = rng.uniform(10, 30)
    while z < plan.busy:
        items += plan.shop.car(other + rng.uniform(-0.2, 0.2), z, -1, 9.0)
        z += rng.uniform(9, 32)
    edge = plan.lane - 0.35
    z = rng.uniform(8, 20)
    while z < plan.busy:
        items += plan.shop.cyclist(plan.side * edge, z, (0.0, 0.0, rng.uniform(4.0, 7.0)))
        z += rng.uniform(8, 28)
    z = rng.uniform(12, 30)
    while z < plan.busy:
        items += plan.shop.cyclist(-plan.side * edge, z, (0.0, 0.0, -rng.uniform(4.0, 6.0)))
        z += rng.uniform(12, 36)
    return items


def _crossers(plan: Plan) -> list[SceneObject]:
    """Build people and cyclists who cross the road."""
    rng, items = plan.shop.rng, []
    for z in np.arange(rng.uniform(9, 22), plan.busy, rng.uniform(12, 25)):
        way = float(rng.choice([-1.0, 1.0]))
        if rng.random() < 0.5:
            items += plan.shop.cyclist(
                -way * plan.lane * rng.uniform(0.5, 1.0),
                float(z),
                (way * rng.uniform(2, 4), 0.0, 0.0),
            )
        else:
            pace = (way * rng.uniform(1.0, 1.7), 0.0, 0.0)
            items += plan.shop.person(
                -way * plan.lane * rng.uniform(-0.2, 1.0), float(z), pace, 0.0
            )
    return items


def end(plan: Plan) -> list[SceneObject]:
    """Close the view: houses across the street's end and trees before them."""
    rng, items = plan.shop.rng, []
    x = -30.0
    while x < 30:
        storeys = int(rng.choice(STOREYS))
        width, height = rng.uniform(1, 2) * FACADE_LENGTH, storeys * STOREY
        texture = plan.shop.library.pick(f"facade{storeys}", rng)
        front = Surface(
            texture,
            NAMES.index("Building"),
            (x, height, plan.length + 25),
            RIGHT,
            DOWN,
            (width, height),
            (FACADE_LENGTH, height),
            tint=plan.shop.tint(0.1, 0.9),
        )
        items.append(SceneObject(Layer.BACKGROUND, [front], plan.length + 25))
        x += width
    for place in np.arange(-14, 14, 6):
        items += plan.shop.tree(
            float(place + rng.uniform(-2, 2)),
            plan.length + 15,
            Layer.BACKGROUND,
            rng.uniform(5, 9),
        )
    return items
