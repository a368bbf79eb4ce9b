"""The meters that a run may be asked for beside its confusion matrices, by name, and how they are
fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from vssbench.core.errors import DataError, ExperimentRefused, UsageError
from vssbench.core.video import Clip, LabelMap
from vssbench.metrics.boundary import BoundaryMeter
from vssbench.metrics.consistency import ConsistencyMeter
from vssbench.metrics.expected import MOST_DISTANCE, Expected, check_headers, checked
from vssbench.metrics.meter import Arrays, Meter, Seen
from vssbench.protocol import Episode, Protocol

BOUNDARY, CONSISTENCY = "boundary", "consistency"
#: made of the number of classes
METERS: dict[str, Callable[[int], Meter]] = {BOUNDARY: BoundaryMeter, CONSISTENCY: ConsistencyMeter}
#: those of their stored arrays that are computed with; C is a class, the other letters are frames,
#: pairs and windows
EXPECTED: dict[str, dict[str, Expected]] = {
    BOUNDARY: {
        "counts": Expected("F4C"),
        "distances": Expected("F", most=MOST_DISTANCE),
        "tolerance": Expected("", "n", most=1),
    },
    CONSISTENCY: {
        "tc_matrices": Expected("PCC"),
        "tc_distances": Expected("P", most=MOST_DISTANCE),
        "tc_exact": Expected("P", "b"),
        **{
            f"vc_{name}": Expected("W", "n")
            for name in ("lengths", "episodes", "steady", "kept", "unscored", "unscored_kept")
        },
    },
}


def named(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the meters of texts as typed, each a name or several with commas between them. Raises
    UsageError."""
    names = [name.strip() for text in texts for name in text.split(",")]
    unknown = [name for name in names if name not in METERS]
    if unknown:
        raise UsageError(f"--measure {unknown[0]!r} is unknown; available: {', '.join(METERS)}")
    return tuple(name for name in METERS if name in names)


def fitting(name: str, arrays: Arrays, classes: int) -> Arrays:
    """Return a meter's stored arrays of so many classes or one more, checked. Raises DataError
    where they do not fit."""
    found = {each: (values.shape, values.dtype) for each, values in arrays.items()}
    try:
        check_headers(found, EXPECTED[name], {"C": (classes, classes + 1)})
        return checked(arrays, EXPECTED[name])
    except DataError as error:
        raise DataError(f"the arrays of {name} do not read: {error}; measure it again") from error


def check(names: Sequence[str], protocol: Protocol, clips: Sequence[Clip]) -> None:
    """Raise ExperimentRefused where a protocol or a dataset does not give what a meter counts."""
    if CONSISTENCY not in names:
        return
    if not protocol.continuous:
        raise ExperimentRefused(
            "consistency compares neighbouring frames of one stream, and the protocol "
            f"{protocol.name} predicts one frame of each encoding: take --protocol dense, or leave "
            "--measure consistency out"
        )
    for clip in clips:
        label = next((clip.label(index) for index in clip.labelled_frames()[:1]), None)
        if label is not None and label.shape != (clip.height, clip.width):
            raise ExperimentRefused(
                f"consistency follows pixels from frame to frame, and {clip.name} has frames of "
                f"{clip.height}x{clip.width} with labels of {label.shape[0]}x{label.shape[1]}: "
                "take frames and labels of one size, by a parameter of the dataset where it has one"
            )


class Meters:
    """All meters of a run."""

    def __init__(self, names: Sequence[str], classes: int) -> None:
        self._meters = {name: METERS[name](classes) for name in names}
        self._episode: Episode | None = None
        self._episodes = 0

    def add(
        self,
        clip: int,
        episode: Episode,
        index: int,
        distance: int,
        label: LabelMap | None,
        prediction: LabelMap,
    ) -> None:
        """Show all meters frame ``index`` of an episode of that clip, whether it carries a label or
        not."""
        if not self._meters:
            return
        if episode is not self._episode:
            self._episode, self._episodes = episode, self._episodes + 1
        source = episode.clip
        flow = None if source.flow is None else partial(source.flow, index, index - 1)
        # the source's picture, not the decoded one: how the scene moved does not depend on the
        # codec
        image = source.image(index) if flow is None and CONSISTENCY in self._meters else None
        seen = Seen(
            prediction, label, self._episodes, clip, episode.first + index, distance, flow, image
        )
        for meter in self._meters.values():
            meter.add(seen)

    def arrays(self) -> dict[str, Arrays]:
        """Return each meter's counts, by its name."""
        return {name: meter.arrays() for name, meter in self._meters.items()}
