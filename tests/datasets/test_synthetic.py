"""Synthetic street: what it draws, that it draws it again, and that its motion is the geometry's
own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from vssbench.core.errors import UsageError
from vssbench.core.video import Clip, LabelMap
from vssbench.datasets.synthetic import Synthetic, clips
from vssbench.datasets.synthetic.geometry import FOCAL, HORIZON
from vssbench.datasets.synthetic.ripmap import LEVELS, pack

HEIGHT, WIDTH = 144, 192
#: class -> bounds of its share of all pixels, in per cent
SHARES = {
    "Sky": (8, 20),
    "Building": (16, 30),
    "Pole": (0.5, 3),
    "Road": (23, 36),
    "Pavement": (4, 13),
    "Tree": (7, 18),
    "SignSymbol": (0.4, 2.5),
    "Fence": (0.7, 4.5),
    "Car": (2.5, 11),
    "Pedestrian": (0.5, 2.5),
    "Bicyclist": (0.3, 3),
}


def small(**changes: Any) -> Synthetic:
    return Synthetic(**{"height": HEIGHT, "width": WIDTH, **changes})


@pytest.fixture(scope="module")
def street() -> Clip:
    return small().clips()[0]


def label_of(clip: Clip, index: int) -> LabelMap:
    label = clip.label(index)
    assert label is not None
    return label


def flow_of(clip: Clip, source: int, target: int) -> np.ndarray:
    assert clip.flow is not None
    return clip.flow(source, target)


def recipe_of(clip: Clip) -> clips.Recipe:
    """Return the recipe that the clip is drawn from: the clip's functions are its methods."""
    recipe = getattr(clip.image, "__self__", None)
    assert isinstance(recipe, clips.Recipe)
    return recipe


def landing(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each valid pixel lands: x, y and the mask of valid pixels."""
    y, x = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]]
    valid = ~np.isnan(flow[..., 0])
    return (x + flow[..., 0])[valid], (y + flow[..., 1])[valid], valid


def test_frames_and_labels_have_the_asked_size_and_range(street: Clip) -> None:
    image, label = street.image(3), label_of(street, 3)
    assert (image.shape, image.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert (label.shape, label.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert label.max() <= 10
    assert len(Synthetic().classes) == len(Synthetic().palette) == 11


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 200), (150, 50)])
def test_any_even_size_is_drawn_and_fully_labelled(height: int, width: int) -> None:
    clip = small(height=height, width=width, clips=1, frames=2).clips()[0]
    label = label_of(clip, 1)
    assert clip.image(1).shape == (height, width, 3)
    assert label.shape == (height, width)
    assert label.max() <= 10


def test_the_view_scales_with_the_size(street: Clip) -> None:
    fine, coarse = (
        label_of(small(height=2 * HEIGHT, width=2 * WIDTH).clips()[0], 0),
        label_of(street, 0),
    )
    assert np.mean(fine[::2, ::2] == coarse) > 0.85


def test_the_same_seed_draws_the_same_pixels_again(street: Clip) -> None:
    before = street.image(5), label_of(street, 5), flow_of(street, 5, 2)
    for cache in (clips._frame, clips._view, clips._street, clips.library):
        cache.cache_clear()
    again = small().clips()[0]
    after = again.image(5), label_of(again, 5), flow_of(again, 5, 2)
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype == np.float32)
        for a, b in zip(before, after, strict=True)
    )
    assert again.fingerprint == street.fingerprint


def test_what_is_read_may_be_written_to(street: Clip) -> None:
    street.image(4)[:] = 0
    label_of(street, 4)[:] = 0
    assert street.image(4).any()
    assert label_of(street, 4).any()


def test_every_parameter_changes_the_fingerprint() -> None:
    variants = [{}, {"seed": 1}, {"height": 100}, {"width": 100}, {"frames": 9}]
    prints = [clip.fingerprint for variant in variants for clip in small(**variant).clips()]
    prints += [clip.fingerprint for clip in small().training_clips()]
    assert len(set(prints)) == len(prints)
    assert not np.array_equal(
        label_of(small(seed=1).clips()[0], 0), label_of(small().clips()[0], 0)
    )


def test_training_never_shares_a_seed_with_testing() -> None:
    recipes = [
        [recipe_of(clip) for number in range(3) for clip in small(seed=number, clips=60).clips()],
        [recipe_of(clip) for number in range(3) for clip in small(seed=number).training_clips()],
    ]
    assert len(recipes[1]) == 3 * 48
    for name in ("street_seed", "texture_seed"):
        test, train = ({getattr(recipe, name) for recipe in part} for part in recipes)
        assert not test & train
    assert len({recipe.street_seed for recipe in recipes[1]}) == len(recipes[1])


def test_the_training_split_is_scored_on_the_training_clips() -> None:
    train = small(split="train")
    assert [clip.fingerprint for clip in train.clips()] == [
        clip.fingerprint for clip in small().training_clips()
    ]


def test_a_clip_can_be_sent_to_another_process(street: Clip) -> None:
    assert np.array_equal(pickle.loads(pickle.dumps(street)).image(1), street.image(1))


@pytest.mark.parametrize("part", ["test", "train"])
def test_every_class_is_as_frequent_as_in_driving_video(part: str) -> None:
    chosen = small().clips() if part == "test" else small().training_clips()[::4]
    counts = np.zeros(11)
    for clip in chosen:
        for index in range(2, clip.length, 11):
            counts += np.bincount(label_of(clip, index).ravel(), minlength=11)
    found = dict(zip(Synthetic().classes, 100 * counts / counts.sum(), strict=True))
    assert {
        name: share
        for name, share in found.items()
        if not SHARES[name][0] <= share <= SHARES[name][1]
    } == {}


def test_colour_alone_does_not_tell_the_class() -> None:
    """A classifier that knows each colour's most frequent class is far from right: colours
    overlap."""
    votes = np.zeros((16**3, 11))
    held_out: list[tuple[np.ndarray, np.ndarray]] = []
    for number, clip in enumerate(small().training_clips()[:12]):
        image, label = clip.image(4) // 16, label_of(clip, 4)
        colour = (image.astype(int) @ np.array([256, 16, 1])).ravel()
        if number < 8:
            np.add.at(votes, (colour, label.ravel()), 1)
        else:
            held_out.append((colour, label.ravel()))
    guesses, truth = (
        np.concatenate(part)
        for part in zip(*((votes.argmax(1)[c], y) for c, y in held_out), strict=True)
    )
    recall = [np.mean(guesses[truth == number] == number) for number in range(11)]
    assert np.mean(guesses == truth) < 0.75
    assert np.median(recall) < 0.3


def test_motion_to_the_same_frame_is_zero(street: Clip) -> None:
    assert np.abs(flow_of(street, 6, 6)).max() < 1e-6


def test_motion_a_frame_resembles_driving() -> None:
    speeds = [
        np.nanmean(np.linalg.norm(flow_of(clip, 9, 8), axis=2)) for clip in Synthetic().clips()
    ]
    assert 3 < np.mean(speeds) < 8


@pytest.mark.parametrize(("source", "target"), [(1, 0), (11, 0), (0, 11), (35, 20)])
def test_motion_carries_labels_to_where_they_are(street: Clip, source: int, target: int) -> None:
    x, y, valid = landing(flow_of(street, source, target))
    carried = label_of(street, target)[np.rint(y).astype(int), np.rint(x).astype(int)]
    assert valid.mean() > 0.4
    assert np.mean(carried == label_of(street, source)[valid]) > 0.97


@pytest.mark.parametrize(("source", "target"), [(2, 0), (8, 4), (10, 13)])
def test_motion_carries_colours_to_where_they_are(street: Clip, source: int, target: int) -> None:
    image, other = (street.image(index).astype(np.float64) for index in (source, target))
    x, y, valid = landing(flow_of(street, source, target))
    left, top = (
        np.clip(np.floor(x), 0, WIDTH - 2).astype(int),
        np.clip(np.floor(y), 0, HEIGHT - 2).astype(int),
    )
    a, b = (x - left)[:, None], (y - top)[:, None]
    upper = other[top, left] * (1 - a) + other[top, left + 1] * a
    lower = other[top + 1, left] * (1 - a) + other[top + 1, left + 1] * a
    warped = np.abs(upper * (1 - b) + lower * b - image[valid]).mean()
    still = np.abs(other - image)[valid].mean()
    assert warped < 0.6 * still


def ray_cast(clip: Clip, source: int, target: int, x: int, y: int) -> tuple[float, float]:
    """Where the point at a pixel lies in another frame, by trigonometry in space, one pixel at a
    time."""
    recipe = recipe_of(clip)
    place = clips._street(recipe)
    number = int(clips._view(recipe, source).surface[y, x])
    surface = place.scene.surfaces[number]
    owner = next(item for item in place.scene.objects if surface in item.surfaces)
    middle_x, middle_y, focal = (WIDTH - 1) / 2, HORIZON * HEIGHT - 0.5, FOCAL * HEIGHT

    def axes(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        camera = place.drive.camera(index / clip.fps)
        turn, tilt, roll = camera.yaw, camera.pitch, camera.roll
        ahead = np.array([np.sin(turn) * np.cos(tilt), -np.sin(tilt), np.cos(turn) * np.cos(tilt)])
        right = np.array([np.cos(turn), 0, -np.sin(turn)])
        down = np.array([-np.sin(turn) * np.sin(tilt), -np.cos(tilt), -np.cos(turn) * np.sin(tilt)])
        position = np.zeros(3) if surface.infinite else camera.position
        return (
            position,
            np.cos(roll) * right + np.sin(roll) * down,
            np.cos(roll) * down - np.sin(roll) * right,
            ahead,
        )

    position, right, down, ahead = axes(source)
    ray = ahead + right * (x - middle_x) / focal + down * (y - middle_y) / focal
    shift = np.array(owner.velocity) / clip.fps
    normal = np.cross(surface.u, surface.v)
    reach = normal @ (np.array(surface.origin) + shift * source - position) / (normal @ ray)
    point = position + reach * ray + shift * (target - source)
    position, right, down, ahead = axes(target)
    seen = point - position
    return middle_x + focal * (seen @ right) / (seen @ ahead), middle_y + focal * (seen @ down) / (
        seen @ ahead
    )


def test_motion_agrees_with_rays_cast_in_space_and_is_missing_only_where_hidden(
    street: Clip,
) -> None:
    source, target = 14, 5
    flow, recipe = flow_of(street, source, target), recipe_of(street)
    scene, views = (
        clips._street(recipe).scene,
        [clips._view(recipe, index).surface for index in (source, target)],
    )
    rng, seen, hidden = np.random.default_rng(0), 0, 0
    for x, y in zip(rng.integers(0, WIDTH, 600), rng.integers(0, HEIGHT, 600), strict=True):
        number = int(views[0][y, x])
        if scene.surfaces[number].swing is not None:
            continue
        there = np.array(ray_cast(street, source, target, int(x), int(y)))
        if not np.isnan(flow[y, x, 0]):
            seen += 1
            assert np.allclose(flow[y, x], there - (x, y), atol=1e-3)
            continue
        column, row = np.rint(there).astype(int)
        if 0 <= column < WIDTH and 0 <= row < HEIGHT:
            hidden += 1
            assert views[1][row, column] != number
    assert seen > 300
    assert hidden > 5


def test_a_texture_is_averaged_at_the_scale_it_is_seen_at() -> None:
    rng = np.random.default_rng(1)
    texture = np.concatenate([rng.random((64, 32, 3)), np.ones((64, 32, 1))], axis=2).astype(
        np.float32
    )
    atlas = pack([texture])
    s, t, eighth, texel, once, ever = (
        np.array([value], np.float32) for value in (2.5 / 8, 3.5 / 64, 1 / 8, 1 / 64, 1, np.inf)
    )
    number = np.zeros(1, np.int32)
    found = atlas.sample(number, (s, t), (eighth, texel), (ever, ever))
    assert np.allclose(found[0], 255 * texture[3, 8:12].mean(axis=0), atol=1.5)
    whole = atlas.sample(number, (s, t), (once, once), (ever, ever))
    assert np.allclose(whole[0, :3], 127, atol=30)
    corner = np.zeros(1, np.float32), np.zeros(1, np.float32)
    at_end = atlas.sample(number, corner, (texel, texel), (once, once))
    assert np.allclose(at_end[0], 255 * texture[0, 0], atol=0.51)
    around = texture[[0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=0)
    assert np.allclose(
        atlas.sample(number, corner, (texel, texel), (ever, ever))[0], 255 * around, atol=0.51
    )
    with pytest.raises(ValueError, match="powers of two"):
        pack([texture[: 2 ** (LEVELS - 1) + 1]])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"split": "val"}, "train or test"),
        ({"height": 63}, "even"),
        ({"width": 63}, "even"),
        ({"height": 0}, "height=0"),
        ({"width": 480.0}, "width=480.0"),
        ({"clips": 0}, "clips=0"),
        ({"frames": -1}, "frames=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": True}, "seed=True"),
    ],
)
def test_bad_parameters_say_what_is_expected(params: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Synthetic(**params)


def test_a_frame_beyond_the_end_is_refused(street: Clip) -> None:
    with pytest.raises(IndexError, match="36 frames"):
        street.image(36)
