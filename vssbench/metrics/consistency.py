"""Temporal consistency: how steadily a method labels what has not changed, by two measures of the
field.

**TC** (Liu et al., "Efficient semantic video segmentation with per-frame inference", ECCV 2020):
the mIoU between the prediction of a frame and the one of the frame before, carried over by the
motion between them. One confusion matrix is kept for every pair of neighbours: rows are the
prediction before, warped, columns the prediction now. The authors' script adds intersections and
unions over all pairs, then divides, and masks no occlusion; so it is here, except where a script's
way cannot be what was meant: labels are warped by their nearest pixel (the authors' script
interpolates class numbers bilinearly, VSPW's samples up to half a pixel off), and pixels that come
from outside the picture are not counted (VSPW's gives them class 0). Where the dataset knows the
exact motion, points that the frame before does not show are not counted either. Truth has no part
in it.

**VC_n** (Miao et al., "VSPW", CVPR 2021; VSPW_code's ``VC_perclip.py``): over each window of n
frames, of the pixels whose true label never changes the share whose prediction never changes, be it
right or wrong; the mean over windows. VSPW's script leaves out the last window of each clip and
takes unscored pixels for a class of their own; :func:`vc` does as it does, and otherwise on demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import IGNORE, Image, LabelMap
from vssbench.data.colour import grey
from vssbench.metrics.confusion import ConfusionMatrix, confusion_matrix
from vssbench.metrics.iou import Floats, mean_iou
from vssbench.metrics.meter import Arrays, Flow, Ints, Seen

#: window lengths of VSPW's tables
WINDOWS = (8, 16)
#: columns of what is stored of a pair and of a window
_PAIR = ("tc_clips", "tc_frames", "tc_distances", "tc_exact")
_WINDOW = (
    "vc_lengths",
    "vc_episodes",
    "vc_clips",
    "vc_frames",
    "vc_steady",
    "vc_kept",
    "vc_unscored",
    "vc_unscored_kept",
)


def warp_labels(labels: LabelMap, flow: Flow) -> tuple[LabelMap, npt.NDArray[np.bool_]]:
    """Return labels uint8 (H, W) of the frame before, carried to this one by its backward motion
    float32 (H, W, 2), (x, y).

    Each pixel takes the label nearest to where it comes from. Returns them and where there are any:
    False where the motion is NaN or leads out of the picture. Raises DataError where shapes differ.
    """
    height, width = labels.shape
    if flow.shape != (height, width, 2):
        raise DataError(
            f"motion of shape {flow.shape} for predictions of shape {labels.shape}: expected "
            f"{(height, width, 2)}"
        )
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    with np.errstate(invalid="ignore"):
        seen = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    column, row = (
        np.floor(np.where(seen, place, 0) + np.float32(0.5)).astype(np.int32) for place in (x, y)
    )
    return labels.ravel()[row * width + column], seen


class ConsistencyMeter:
    """TC and VC of what is shown to it; see vssbench.metrics.meter.Meter.

    It remembers the last prediction, the last label, and for how many frames each pixel of either
    has not changed, whatever the length of the windows. Motion that no one knows is estimated
    between the images shown (DIS, EstimatedVectors), which raises MotionUnavailable without OpenCV;
    which of the two it was is stored with every pair.
    """

    def __init__(self, classes: int, windows: Sequence[int] = WINDOWS) -> None:
        if not windows or min(windows) < 2 or max(windows) > np.iinfo(np.uint8).max:
            raise UsageError(
                f"windows of {', '.join(map(str, windows)) or 'no'} frames: expected 2 to 255"
            )
        self.classes, self.windows = classes, tuple(sorted(set(windows)))
        self._before: Seen | None = None
        self._predicted, self._labelled = _Run(self.windows[-1]), _Run(self.windows[-1])
        self._estimator: EstimatedVectors | None = None
        self._matrices: list[ConfusionMatrix] = []
        self._pairs: list[tuple[int, ...]] = []
        self._windows: list[tuple[int, ...]] = []

    def add(self, seen: Seen) -> None:
        """See Meter. Frames without a label, of a truth that is sparse, take part in TC alone."""
        before = self._before
        if before is None or (before.episode, before.clip, before.frame + 1) != (
            seen.episode,
            seen.clip,
            seen.frame,
        ):
            before = self._estimator = None
            self._predicted.forget()
            self._labelled.forget()
        if before is not None and before.prediction.shape != seen.prediction.shape:
            raise DataError(
                f"a prediction of shape {seen.prediction.shape} after one of shape "
                f"{before.prediction.shape}: frames of one clip have one size"
            )
        self._pair(before, seen)
        self._window(seen)
        self._before = seen

    def arrays(self) -> Arrays:
        """Return the counts of pairs and of windows as arrays to be stored.

        Of the P pairs: ``tc_matrices`` int64 (P, C, C), rows the warped prediction; ``tc_clips``,
        ``tc_frames``, ``tc_distances`` int64 (P,) of the later frame; ``tc_exact`` bool (P,),
        whether the motion was known.

        Of the W windows, int64 (W,): ``vc_lengths`` n, ``vc_episodes``, ``vc_clips``, ``vc_frames``
        of the last frame; ``vc_steady`` the pixels whose truth never changes, ``vc_kept`` those of
        them whose prediction never changes; ``vc_unscored`` and ``vc_unscored_kept`` the same of
        unscored pixels alone, which are part of the former too.
        """
        pairs = np.array(self._pairs, np.int64).reshape(-1, len(_PAIR))
        windows = np.array(self._windows, np.int64).reshape(-1, len(_WINDOW))
        arrays: Arrays = {name: pairs[:, place].copy() for place, name in enumerate(_PAIR)}
        arrays |= {name: windows[:, place].copy() for place, name in enumerate(_WINDOW)}
        arrays["tc_exact"] = arrays["tc_exact"].astype(bool)
        arrays["tc_matrices"] = np.array(self._matrices, np.int64).reshape(
            -1, self.classes, self.classes
        )
        return arrays

    def _pair(self, before: Seen | None, seen: Seen) -> None:
        flow: Flow | None = None
        if seen.flow is None and seen.image is not None:
            flow = self._estimate(seen.image)
        elif before is not None and seen.flow is not None:
            flow = seen.flow()
        if before is None or flow is None:
            return
        warped, visible = warp_labels(before.prediction, flow)
        warped[~visible] = IGNORE
        self._matrices.append(confusion_matrix(warped, seen.prediction, self.classes))
        self._pairs.append((seen.clip, seen.frame, seen.distance, seen.flow is not None))

    def _estimate(self, image: Image) -> Flow | None:
        """Estimate motion to the image that was shown before, None at an episode's first."""
        first = self._estimator is None
        if self._estimator is None:
            self._estimator = EstimatedVectors(image.shape[0], image.shape[1], cell=1)
        vectors = self._estimator.follow(0 if first else 1, grey(image))
        return None if first else vectors.vectors[0]

    def _window(self, seen: Seen) -> None:
        self._predicted.follow(seen.prediction)
        if seen.label is None:
            self._labelled.forget()
            return
        if seen.label.shape != seen.prediction.shape:
            raise DataError(
                f"a prediction of shape {seen.prediction.shape} for a label of shape "
                f"{seen.label.shape}: resize it"
            )
        self._labelled.follow(seen.label)
        for length in self.windows:
            if self._labelled.frames < length:
                break
            steady = self._labelled.unchanged(length)
            kept = steady & self._predicted.unchanged(length)
            unscored = seen.label == IGNORE
            counts = (steady, kept, steady & unscored, kept & unscored)
            self._windows.append(
                (
                    length,
                    seen.episode,
                    seen.clip,
                    seen.frame,
                    *(int(np.count_nonzero(mask)) for mask in counts),
                )
            )


class _Run:
    """For how many frames, up to ``most``, each pixel of a sequence of label maps has kept its
    value."""

    def __init__(self, most: int) -> None:
        self.most, self.frames = most, 0
        self._last: LabelMap | None = None
        self._lasting: npt.NDArray[np.uint8] | None = None

    def forget(self) -> None:
        self.frames, self._last, self._lasting = 0, None, None

    def follow(self, values: LabelMap) -> None:
        if self._last is None or self._lasting is None:
            self._lasting = np.ones(values.shape, np.uint8)
        else:
            self._lasting *= values == self._last
            self._lasting += self._lasting < self.most
        self._last = values
        self.frames += 1

    def unchanged(self, length: int) -> npt.NDArray[np.bool_]:
        """Return the pixels that have one value in the last ``length`` frames: those that match the
        first of them do."""
        assert self._lasting is not None
        return self._lasting >= length


@dataclass(frozen=True)
class TemporalConsistency:
    """TC as fractions, None where there was no pair: of all pairs, by the later frame's distance
    from its keyframe (index), and of how many pairs, how many of them with exact motion."""

    tc: float | None
    by_distance: tuple[float | None, ...]
    pairs: int
    exact: int


def tc(arrays: Arrays, absent: str = "skip") -> TemporalConsistency:
    """Return TC of a ConsistencyMeter's arrays: the mIoU of the matrices' sum. ``absent`` as in
    :mod:`vssbench.metrics.iou`.

    At distance 0 it shows the jump from a GOP's last frame to the next keyframe.
    """
    matrices, distances = arrays["tc_matrices"], arrays["tc_distances"]
    each = {int(d): _mean_iou(matrices[distances == d], absent) for d in np.unique(distances)}
    return TemporalConsistency(
        tc=_mean_iou(matrices, absent),
        by_distance=tuple(each.get(d) for d in range(max(each, default=-1) + 1)),
        pairs=len(matrices),
        exact=int(np.count_nonzero(arrays["tc_exact"])),
    )


def vc(arrays: Arrays, length: int, last: bool = False, unscored: bool = True) -> float | None:
    """Return VC_n of a ConsistencyMeter's arrays as a fraction, n = ``length``; None where there is
    no such window.

    ``last=False`` leaves out the last window of each episode, and ``unscored=True`` counts unscored
    pixels as a class, both as VSPW's script does. Windows in which nothing stays the same are left
    out.
    """
    values = vc_windows(arrays, length, last, unscored)
    return float(values.mean()) if values.size else None


def vc_windows(arrays: Arrays, length: int, last: bool = False, unscored: bool = True) -> Floats:
    """Return the windows' own shares, in order; see :func:`vc`."""
    chosen = arrays["vc_lengths"] == length
    if not last:
        chosen &= ~_last_of_episode(arrays["vc_episodes"], arrays["vc_lengths"])
    steady, kept = arrays["vc_steady"][chosen], arrays["vc_kept"][chosen]
    if not unscored:
        steady, kept = (
            steady - arrays["vc_unscored"][chosen],
            kept - arrays["vc_unscored_kept"][chosen],
        )
    return kept[steady > 0] / steady[steady > 0]


def _last_of_episode(episodes: Ints, lengths: Ints) -> npt.NDArray[np.bool_]:
    """Return whether a window is the last of its length in its episode.

    Windows are stored in order.
    """
    final = {
        key: place
        for place, key in enumerate(zip(episodes.tolist(), lengths.tolist(), strict=True))
    }
    marked = np.zeros(len(episodes), bool)
    marked[list(final.values())] = True
    return marked


def _mean_iou(matrices: ConfusionMatrix, absent: str) -> float | None:
    total = matrices.sum(axis=0)
    return mean_iou(total, absent) if total.any() else None
