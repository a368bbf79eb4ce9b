"""TC and VC against loops over pixels and windows, and TC on a scene whose motion is known."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from vssbench.core.errors import DataError, UsageError
from vssbench.datasets.synthetic.clips import Recipe
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.consistency import ConsistencyMeter, tc, vc, vc_windows, warp_labels
from vssbench.metrics.iou import mean_iou
from vssbench.metrics.meter import Seen

CLASSES = 3


def sequence(seed: int, frames: int, change: float, ignored: float = 0.0) -> list[np.ndarray]:
    """Label maps uint8 (7, 9) of which a share changes from frame to frame."""
    random = np.random.default_rng(seed)
    maps = [random.integers(0, CLASSES, (7, 9)).astype(np.uint8)]
    while len(maps) < frames:
        fresh = random.integers(0, CLASSES, (7, 9)).astype(np.uint8)
        maps.append(np.where(random.random((7, 9)) < change, fresh, maps[-1]))
    hidden = random.random((7, 9)) < ignored
    return [np.where(hidden, 255, item).astype(np.uint8) for item in maps]


def window_shares(
    labels: list[np.ndarray], predictions: list[np.ndarray], length: int, unscored: bool
) -> list[float]:
    """Return each window's share of steady pixels whose prediction is steady too.

    A pixel is steady where its label is that of the window's first frame throughout.
    """
    shares = []
    for first in range(len(labels) - length + 1):
        kept = steady = 0
        for place in np.ndindex(labels[0].shape):
            if all(item[place] == labels[first][place] for item in labels[first : first + length]):
                if labels[first][place] == 255 and not unscored:
                    continue
                steady += 1
                kept += all(
                    item[place] == predictions[first][place]
                    for item in predictions[first : first + length]
                )
        if steady:
            shares.append(kept / steady)
    return shares


def shown(prediction: np.ndarray, label: np.ndarray | None, frame: int, **more: object) -> Seen:
    fields = {"episode": 0, "clip": 0, "distance": frame % 4, **more}
    return Seen(prediction, label, frame=frame, **fields)  # type: ignore[arg-type]


def test_windows_equal_those_compared_frame_by_frame() -> None:
    clips = [
        (sequence(seed, count, 0.05, 0.2), sequence(seed + 9, count, 0.04))
        for seed, count in ((0, 9), (1, 4), (2, 5), (3, 3))
    ]
    meter = ConsistencyMeter(CLASSES, windows=(4, 2))
    for number, (labels, predictions) in enumerate(clips):
        for frame, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
            meter.add(shown(prediction, label, frame, clip=number, episode=number))
    arrays = meter.arrays()
    for length in (2, 4):
        for unscored in (True, False):
            everything = [window_shares(*clip, length, unscored) for clip in clips]
            joined = [share for clip in everything for share in clip]
            assert vc_windows(
                arrays, length, last=True, unscored=unscored
            ).tolist() == pytest.approx(joined)
            # VSPW's script leaves out the last of each clip
            script = [share for clip in everything for share in clip[:-1]]
            assert vc(arrays, length, unscored=unscored) == pytest.approx(sum(script) / len(script))
    assert vc(arrays, 8) is None


def test_frames_without_labels_end_a_window_and_episodes_are_never_joined() -> None:
    maps = sequence(4, 8, 0.0)
    meter = ConsistencyMeter(CLASSES, windows=(3,))
    for frame, item in enumerate(maps):
        meter.add(shown(item, None if frame == 3 else item, frame))
    assert meter.arrays()["vc_frames"].tolist() == [2, 6, 7]
    for frame, item in enumerate(maps[:4]):
        meter.add(shown(item, item, 8 + frame, episode=1))
    assert meter.arrays()["vc_frames"].tolist() == [2, 6, 7, 10, 11]
    meter.add(shown(maps[0], maps[0], 13, episode=1))
    assert meter.arrays()["vc_frames"].tolist() == [2, 6, 7, 10, 11]


def test_tc_counts_pairs_of_neighbours_through_the_motion_given() -> None:
    random = np.random.default_rng(5)
    predictions = sequence(6, 5, 0.3)
    flows = [random.uniform(-3, 3, (7, 9, 2)).astype(np.float32) for _ in predictions]
    for flow in flows:
        flow[random.random((7, 9)) < 0.1] = np.nan
    meter = ConsistencyMeter(CLASSES)
    for frame, prediction in enumerate(predictions):
        meter.add(shown(prediction, None, frame, flow=lambda frame=frame: flows[frame]))
    arrays = meter.arrays()
    expected = []
    for before, now, flow in zip(predictions, predictions[1:], flows[1:], strict=False):
        matrix = np.zeros((CLASSES, CLASSES), np.int64)
        for y, x in np.ndindex(now.shape):
            if not np.isnan(flow[y, x]).any():
                u, v = (
                    math.floor(x + float(flow[y, x, 0]) + 0.5),
                    math.floor(y + float(flow[y, x, 1]) + 0.5),
                )
                if 0 <= u < 9 and 0 <= v < 7:
                    matrix[before[v, u], now[y, x]] += 1
        expected.append(matrix)
    np.testing.assert_array_equal(arrays["tc_matrices"], expected)
    assert arrays["tc_frames"].tolist() == [1, 2, 3, 4]
    assert arrays["tc_distances"].tolist() == [1, 2, 3, 0]
    found = tc(arrays)
    assert found.tc == pytest.approx(mean_iou(np.sum(expected, axis=0)))
    assert found.by_distance == pytest.approx(
        [mean_iou(matrix) for matrix in (expected[3], *expected[:3])]
    )
    assert (found.pairs, found.exact) == (4, 4)


def test_motion_is_asked_only_of_a_frame_that_follows_its_neighbour() -> None:
    asked: list[int] = []

    def flow(frame: int) -> np.ndarray:
        asked.append(frame)
        return np.zeros((7, 9, 2), np.float32)

    meter = ConsistencyMeter(CLASSES)
    for episode, frames in enumerate([(0, 2), (3, 4), (5,)]):
        for frame in frames:
            meter.add(
                shown(
                    sequence(0, 1, 0)[0],
                    None,
                    frame,
                    episode=episode,
                    flow=lambda frame=frame: flow(frame),
                )
            )
    assert asked == [4]


def test_without_motion_there_is_no_tc_and_nothing_shown_gives_none() -> None:
    meter = ConsistencyMeter(CLASSES)
    assert (tc(meter.arrays()).tc, tc(meter.arrays()).by_distance, vc(meter.arrays(), 8)) == (
        None,
        (),
        None,
    )
    for frame, item in enumerate(sequence(0, 3, 0.1)):
        meter.add(shown(item, item, frame))
    assert tc(meter.arrays()).pairs == 0


def test_the_truth_of_a_scene_is_consistent_to_the_last_pixel_under_its_exact_motion() -> None:
    clip = Recipe(True, 0, 0, 3, 96, 128).clip("street")
    assert clip.flow is not None
    meter = ConsistencyMeter(11, windows=(2,))
    for frame in range(clip.length):
        label = clip.label(frame)
        assert label is not None
        prediction = np.where(label == 255, 0, label).astype(np.uint8)
        meter.add(
            shown(prediction, label, frame, flow=lambda frame=frame: clip.flow(frame, frame - 1))
        )
    arrays = meter.arrays()
    assert tc(arrays).tc == 1.0
    assert arrays["tc_matrices"].sum() > 0.8 * 2 * 96 * 128
    assert vc(arrays, 2, unscored=False) == 1.0


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
def test_unknown_motion_is_estimated_from_the_images() -> None:
    random = np.random.default_rng(3)
    canvas = np.repeat(np.repeat(random.integers(0, 256, (60, 60, 3)), 4, 0), 4, 1).astype(np.uint8)
    labels = (canvas[..., 0] > 128).astype(np.uint8)
    still, followed = ConsistencyMeter(2), ConsistencyMeter(2)
    for episode in range(2):
        for frame in range(3):
            cut = np.s_[frame : frame + 96, 3 * frame : 3 * frame + 128]
            more = {"episode": episode, "clip": episode}
            followed.add(shown(labels[cut], None, frame, image=canvas[cut], **more))
            still.add(
                shown(
                    labels[cut],
                    None,
                    frame,
                    flow=lambda: np.zeros((96, 128, 2), np.float32),
                    **more,
                )
            )
    assert tc(followed.arrays()).pairs == 4
    assert tc(followed.arrays()).exact == 0
    moved, unmoved = tc(followed.arrays()).tc, tc(still.arrays()).tc
    assert moved is not None
    assert unmoved is not None
    assert moved > 0.9 > 0.6 > unmoved


def test_a_warp_by_nothing_changes_nothing_and_by_half_a_pixel_rounds_up() -> None:
    labels = sequence(0, 1, 0)[0]
    warped, seen = warp_labels(labels, np.zeros((7, 9, 2), np.float32))
    np.testing.assert_array_equal(warped, labels)
    assert seen.all()
    warped, seen = warp_labels(labels, np.full((7, 9, 2), (0.5, 0.0), np.float32))
    np.testing.assert_array_equal(warped[:, :-1], labels[:, 1:])
    assert not seen[:, -1].any()


def test_what_does_not_fit_is_refused_in_words() -> None:
    small, large = np.zeros((4, 6), np.uint8), np.zeros((8, 6), np.uint8)
    meter = ConsistencyMeter(2)
    meter.add(shown(small, None, 0))
    with pytest.raises(DataError, match="one size"):
        meter.add(shown(large, None, 1))
    with pytest.raises(DataError, match="label of shape"):
        ConsistencyMeter(2).add(shown(small, large, 0))
    with pytest.raises(DataError, match="motion of shape"):
        warp_labels(small, np.zeros((8, 6, 2), np.float32))
    with pytest.raises(UsageError, match="2 to 255"):
        ConsistencyMeter(2, windows=(1,))


def test_labels_and_matrices_are_those_of_one_confusion_matrix() -> None:
    first, second = sequence(8, 2, 0.5)
    meter = ConsistencyMeter(CLASSES)
    for frame, item in enumerate((first, second)):
        meter.add(shown(item, None, frame, flow=lambda: np.zeros((7, 9, 2), np.float32)))
    np.testing.assert_array_equal(
        meter.arrays()["tc_matrices"][0], confusion_matrix(first, second, CLASSES)
    )
