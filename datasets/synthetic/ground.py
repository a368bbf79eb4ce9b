"""The ground of a street: sky, carriageway, kerbs, pavements, their shade and crossings."""

from __future__ import annotations

import numpy as np

from vssbench.datasets.synthetic.plan import BEHIND, Plan
from vssbench.datasets.synthetic.props import AHEAD, DOWN, KERB, RIGHT
from vssbench.datasets.synthetic.surfaces import NAMES, Layer, SceneObject, Surface, Vector
from vssbench.datasets.synthetic.textures import ROAD_LENGTH

#: what a strip of each texture stands for
_CLASSES = {"road": "Road", "lawn": "Tree"}


def ground(plan: Plan) -> list[SceneObject]:
    """Build sky, road, kerbs, pavements, what lies behind them, the shade of the houses, and
    crossings."""
    rng, pick, far = plan.shop.rng, plan.shop.library.pick, plan.length + 60
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
    half = max(plan.kerbs.values())
    road = _flat(plan, "road", -half, 0.0, 2 * half, (2 * half, ROAD_LENGTH), plan.shop.tint(0.1))
    items = [SceneObject(Layer.SKY, [sky], far), SceneObject(Layer.GROUND, [road], far)]
    for side in (-1, 1):
        edge, walk, tint = side * plan.kerbs[side], plan.walks[side], plan.shop.tint(0.1)
        paving, kerb = pick("paving", rng), pick("paving", rng)
        beyond = _flat(
            plan,
            "lawn",
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
    return items + _stains(plan, span)


def _flat(
    plan: Plan,
    kind: str,
    left: float,
    y: float,
    width: float,
    period: tuple[float, float],
    tint: Vector,
) -> Surface:
    """Build a strip of ground along the whole street."""
    size = (width, plan.length + 60 + BEHIND)
    texture, origin = plan.shop.library.pick(kind, plan.shop.rng), (left, y, -BEHIND)
    return Surface(
        texture, NAMES.index(_CLASSES[kind]), origin, RIGHT, AHEAD, size, period, tint=tint
    )


def _stains(plan: Plan, span: float) -> list[SceneObject]:
    """Build the shade of the houses on the unlit side, and zebra crossings."""
    rng, items = plan.shop.rng, []
    if plan.shop.sunlit:
        walk, kerb = plan.walks[-plan.sun], plan.kerbs[-plan.sun]
        reach = rng.uniform(0.2, 1.1) * kerb
        middle, dark = span / 2 - BEHIND, 0.45 * plan.shop.sunlit
        items.append(
            plan.shop.shadow((-plan.sun * (kerb + walk / 2), KERB, middle), (walk, span), dark)
        )
        items.append(
            plan.shop.shadow(
                (-plan.sun * (kerb - reach / 2), 0.0, middle), (reach, span), dark, "shade"
            )
        )
    for z in np.arange(rng.uniform(10, 60), plan.busy, 60.0):
        texture, size = (
            plan.shop.library.pick("crossing", rng),
            (plan.kerbs[-1] + plan.kerbs[1], 3.0),
        )
        stripes = Surface(
            texture,
            None,
            (-plan.kerbs[-1], 0.0, float(z)),
            RIGHT,
            AHEAD,
            size,
            size,
            tint=plan.shop.tint(0.1),
        )
        items.append(SceneObject(Layer.DECAL, [stripes], float(z)))
    return items
