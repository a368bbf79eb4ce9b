"""Pairs with exact flow: where it leads, image and keyframe show the same; elsewhere it is NaN."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.test_augment import smooth_image
from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.training.augment import Augmentation, EgoMotion, Window
from vssbench.training.flow import AffineFlow, Layer, VideoFlow, compose
from vssbench.training.samples import Stills


def sampled(picture, x, y):
    """Bilinear, by hand; None outside."""
    height, width = picture.shape[:2]
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    if not (0 <= x0 < width - 1 and 0 <= y0 < height - 1):
        return None
    fx, fy = x - x0, y - y0
    patch = picture[y0 : y0 + 2, x0 : x0 + 2].astype(float)
    return (1 - fy) * ((1 - fx) * patch[0, 0] + fx * patch[0, 1]) + fy * (
        (1 - fx) * patch[1, 0] + fx * patch[1, 1]
    )


def errors(keyframe, image, flow, step=3):
    """Distance of image(p) from keyframe(p + flow(p)) wherever the flow is known, and from
    keyframe(p)."""
    moved, still = [], []
    for y, x in itertools.product(range(0, image.shape[0], step), range(0, image.shape[1], step)):
        if np.isfinite(flow[y, x]).all():
            value = sampled(keyframe, x + flow[y, x, 0], y + flow[y, x, 1])
            if value is not None:
                moved.append(np.abs(value - image[y, x]).mean())
                still.append(np.abs(keyframe[y, x].astype(float) - image[y, x]).mean())
    return np.array(moved), np.array(still)


def arrays(sample):
    return [sample[key].permute(1, 2, 0).numpy() for key in ("keyframe", "image", "flow")]


def test_layers_move_by_their_own_maps():
    """A square before a background: each has its own flow, and what the square hides in the
    keyframe has none."""
    picture = smooth_image()
    outline = np.zeros((96, 128), bool)
    outline[30:60, 40:70] = True
    square = Layer(255 - picture, outline, EgoMotion(1.0, (12.0, 0.0), 0.0, (55.0, 45.0), 1))
    scene = compose(
        [Layer.background(picture, EgoMotion(1.0, (-4.0, 2.0), 0.0, (64.0, 48.0), 1)), square]
    )
    assert np.array_equal(scene.covered, outline)
    assert np.allclose(scene.flow[45, 50], (12, 0), atol=1e-4)
    assert np.allclose(scene.flow[10, 20], (-4, 2), atol=1e-4)
    # the square stands at columns 52 to 81 of the keyframe: background pixels that land there, 4
    # further left, are hidden
    assert np.isnan(scene.flow[40, 80]).all()
    assert np.isfinite(scene.flow[40, 90]).all()
    assert np.isnan(scene.flow[40, 2]).all()  # leads out of the picture
    moved, still = errors(scene.keyframe, scene.image, scene.flow)
    assert np.median(moved) < 1
    assert np.median(still) > 5


def test_stills_under_affine_motion(stills):
    samples = AffineFlow(
        Stills(stills.training_clips(), Augmentation((64, 96), (1, 1), 0, 0), 1), (1, 9)
    )
    assert len(samples) == 8
    assert torch.equal(samples[0, 1]["flow"].nan_to_num(), samples[0, 1]["flow"].nan_to_num())
    ratios, known = [], []
    for number in range(8):
        sample = samples[0, number]
        keyframe, image, flow = arrays(sample)
        moved, still = errors(keyframe, image, flow)
        ratios.append(moved.mean() / still.mean())
        known.append(np.isfinite(flow).mean())
        assert sample["label"].shape == image.shape[:2]
    assert np.median(ratios) < 0.6  # the texture is of hard edges, which resampling blurs
    assert 0.3 < np.mean(known) < 1


def test_a_gap_of_0_has_no_motion(stills):
    sample = AffineFlow(
        Stills(stills.training_clips(), Augmentation((64, 96), (1, 1), 0, 0), 1), (0, 0)
    )[0, 0]
    assert sample["flow"].nan_to_num().abs().max() == pytest.approx(0, abs=1e-4)
    assert torch.equal(sample["keyframe"], sample["image"])


def test_video_that_knows_its_motion():
    """The drawn street's own flow, through windows that zoom and mirror."""
    dataset = registry.create("datasets", parse_variant("synthetic[height=96,width=128]"))
    clips = [replace(clip, length=6) for clip in dataset.training_clips()[:1]]
    stills = Stills(clips, Augmentation((96, 128), (1.0, 1.5), 0, 0, scale_draw="uniform"), 0)
    samples = VideoFlow(stills, (2, 4))
    assert len(samples) == 4
    for number in range(4):
        keyframe, image, flow = arrays(samples[0, number])
        moved, still = errors(keyframe, image, flow)
        assert len(moved) > 300
        assert np.median(moved) < 0.75 * np.median(still)


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_of_a_flow_forgets_what_leaves_it(flip):
    flow = np.full((40, 60, 2), (6.0, 0.0), np.float32)
    cut = Window((10, 10, 40, 30), (20, 30), flip).flow(flow)
    rows, columns = cut.shape[:2]
    hidden = np.isnan(cut[..., 0])
    expected = np.zeros((rows, columns), bool)
    expected[:, :6] = flip
    expected[:, columns - 6 :] = not flip
    assert np.array_equal(hidden, expected)
    assert np.nanmin(cut[..., 0]) == np.nanmax(cut[..., 0]) == (-6 if flip else 6)
    beyond = Window((-10, 0, 20, 20), (20, 30), flip).flow(np.zeros((40, 60, 2), np.float32))
    assert np.isnan(beyond[..., 0]).sum() == 20 * 10
