"""vssbench as a library: what the commands do, as functions (docs/library.md).

``vssbench.run``, ``vssbench.cost`` and ``vssbench.segment`` are packages too, which call the
functions here (:mod:`vssbench.core.callable`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypedDict,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from vssbench.core.errors import UsageError
from vssbench.core.home import expanded

if TYPE_CHECKING:
    import pandas as pd

    from vssbench.segment.job import Summary
    from vssbench.segment.motion import FrameMotion

__all__ = ["cost", "export", "motion", "published", "results", "run", "score", "segment"]

#: one text, or several
Texts = str | Sequence[str]


class RunSettings(TypedDict, total=False):
    """Settings of :func:`run`: those of ``bench.py run``, with its defaults."""

    protocol: str
    gop: int
    measures: Sequence[str]
    weights: Sequence[Path]
    device: str
    precision: Literal["fp32", "bf16"]
    seed: int
    without: Sequence[str]
    void: Literal["error", "masked"]


class InputSettings(TypedDict, total=False):
    """Settings of :func:`export`: those of ``bench.py export``, with its defaults."""

    data_root: str | Path | None
    gop: int | None
    protocol: str


class ScoreSettings(InputSettings, total=False):
    """Settings of :func:`score`: those of ``bench.py score``, with its defaults."""

    name: str
    display: str
    measures: Sequence[str]
    params: int
    gmacs_key: float
    gmacs_nonkey: float
    latency_key_ms: float
    latency_nonkey_ms: float
    machine: str


class SegmentSettings(TypedDict, total=False):
    """Settings of :func:`segment`: the options of ``bench.py segment``, with its defaults."""

    dataset: str
    output: Literal["overlay", "labels", "palette"]
    alpha: float
    legend: bool
    size: tuple[int, int]
    motion: Literal["auto", "codec", "estimated"]
    reencode: str
    max_gop: int
    audio: bool
    stats: Path
    device: str
    precision: Literal["fp32", "bf16"]
    force: bool


def run(
    methods: Texts = (),
    datasets: Texts = (),
    codecs: Texts = (),
    *,
    runs: str | Path = "results/runs",
    data_root: str | Path | None = None,
    force: bool = False,
    **settings: Unpack[RunSettings],
) -> pd.DataFrame:
    """Measure methods on datasets through codecs, store the runs, and return their frame.

    Variants are typed as on the command line (``arseg[scale=0.5]``); what is left out is the
    embedded default. What is stored already is not measured again, unless ``force``. A run that
    fails or is refused is a row with its reason. Returns a row a run, in the order measured, as
    :func:`results` does. Raises UsageError, DataError and WeightsError for what cannot be begun.
    """
    from vssbench.core.machine import check_device
    from vssbench.core.opening import open_dataset
    from vssbench.core.variant import parse_variant
    from vssbench.report.frames import frame
    from vssbench.run.store import RunStore
    from vssbench.sweep.defaults import DEFAULT_CODECS, DEFAULT_DATASET
    from vssbench.sweep.grid import Grid, plan, sweep

    _check_settings("run", settings, RunSettings)
    check_device(settings.get("device", "cpu"))
    root = None if data_root is None else Path(data_root)
    variants = [parse_variant(text) for text in _texts(datasets) or (DEFAULT_DATASET,)]
    grid = Grid(_texts(methods), _texts(codecs) or DEFAULT_CODECS, **settings)
    opened = [(variant, open_dataset(variant, root)) for variant in variants]
    store = RunStore(Path(runs))
    done = sweep(plan(grid, opened, store.root / ".cache"), store, "vssbench.run", force)
    return frame([store.get(measurement.run_id) for measurement in done])


def cost(
    methods: Texts = (),
    size: tuple[int, int] = (360, 480),
    *,
    classes: int = 11,
    gop: int = 12,
    convention: str = "macs",
) -> pd.DataFrame:
    """Count what methods cost at an input size (height, width), without data or weights.

    Returns a row a method (all of them by default): ``params`` and ``params_training``, and in 1e9
    multiply-accumulates ``gmacs_key``, ``gmacs_nonkey`` and ``gmacs_gop``, the mean over a GOP;
    ``uncounted`` lists the operators that may multiply and have no formula.
    Conventions: docs/cost.md. Raises UsageError for an unknown method or convention, and for a size
    that a method does not take.
    """
    import pandas as pd

    from vssbench.core import registry
    from vssbench.core.variant import parse_variant
    from vssbench.cost.rows import counted

    _check_size(size)
    variants = [parse_variant(text) for text in _texts(methods) or registry.classes("methods")]
    return pd.DataFrame([counted(each, classes, size, gop, convention) for each in variants])


def results(
    path: str | Path = "results/runs",
    by: Literal["run", "distance", "class", "frame"] = "run",
    without: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the stored runs as one frame: a row a run, or a long form (docs/results.md).

    Classes named by ``without`` are not scored, in any run that has them.

    Raises UsageError for an unknown form, DataError where there is no such folder.
    """
    from vssbench.report import frames

    return frames.results(path, by, without)


def published(paper: str | None = None) -> pd.DataFrame:
    """Return the numbers that papers and official code print, one row each (docs/published.md).

    ``paper`` takes those of one alone. Raises UsageError for an unknown paper, DataError where the
    numbers are not there: they come with a checkout.
    """
    from vssbench.report.paper import numbers

    return numbers.published(paper)


def export(
    dataset: str,
    out: str | Path,
    codec: str = "raw",
    *,
    runs: str | Path = "results/runs",
    force: bool = False,
    **settings: Unpack[InputSettings],
) -> pd.DataFrame:
    """Write a dataset's frames as they come out of a codec, for a program elsewhere.

    ``out`` gets images, motion to the keyframe, labels and their list (docs/elsewhere.md), whole
    or not at all; ``runs`` is the store whose cache keeps bitstreams. Returns the list, a row a
    frame: paths in it are relative to ``out``. Raises UsageError for a folder that holds something
    else than an export that ``force`` replaces, and DataError where the disk has no room.
    """
    from vssbench.core.progress import track
    from vssbench.exchange.export import Export, listed
    from vssbench.exchange.input import open_input

    _check_settings("export", settings, InputSettings)
    wanted = Export(open_input(dataset, codec=codec, **settings), Path(out), Path(runs) / ".cache")
    wanted.check(force)
    wanted.estimate()
    with track("exporting", wanted.input.frames()) as tracker:
        return listed(wanted.write(tracker.advance))


def score(
    predictions: str | Path,
    dataset: str,
    codec: str = "raw",
    *,
    runs: str | Path = "results/runs",
    force: bool = False,
    **settings: Unpack[ScoreSettings],
) -> pd.DataFrame:
    """Score predictions of another program and store the row, as ``bench.py score`` does.

    ``predictions`` is a folder of label images or arrays (docs/elsewhere.md); dataset, codec, GOP
    and protocol are those of the export. Cost and latency are what is given, and marked so. Returns
    the row as :func:`results` does. Raises UsageError, DataError and ExperimentRefused; nothing is
    stored then.
    """
    from vssbench.exchange.input import open_input
    from vssbench.exchange.score import Scoring, Typed, method_name, scored
    from vssbench.metrics.meters import named
    from vssbench.report.frames import frame
    from vssbench.run.store import RunStore

    _check_settings("score", settings, ScoreSettings)
    given: dict[str, Any] = dict(settings)
    source = {each: given.pop(each) for each in InputSettings.__annotations__ if each in given}
    name, display = given.pop("name", None), given.pop("display", "")
    measures, folder, store = (
        named(given.pop("measures", ())),
        Path(predictions),
        RunStore(Path(runs)),
    )
    scoring = Scoring(
        folder,
        method_name(name, folder),
        open_input(dataset, codec=codec, **source),
        display,
        Typed(**given),
        measures,
        store.root / ".cache",
    )
    return frame([scored(scoring, store, "vssbench.score", force)])


def segment(
    video: str | Path,
    out: str | Path,
    method: str | None = None,
    weights: str | Path | None = None,
    **settings: Unpack[SegmentSettings],
) -> Summary:
    """Segment a video file, and write another, or a folder of PNGs.

    ``method`` is typed as on the command line, with shipped weights; it may be left out where
    ``weights`` names a file. Returns the numbers of frames and keyframes, the seconds, the mean
    GMACs and where motion came from. Raises UsageError, WeightsError, DataError and
    MotionUnavailable; nothing is then left of the output.
    """
    from vssbench.core.progress import messages
    from vssbench.segment.request import Request, prepared

    _check_settings("segment", settings, SegmentSettings)
    file = None if weights is None else Path(weights)
    wanted = Request(**settings)
    return prepared(Path(video), Path(out), method, file, wanted, messages().print).run()


def motion(
    path: str | Path,
    source: Literal["codec", "estimated"] = "codec",
    *,
    cell: Literal[4, 8] = 8,
    max_gop: int | None = None,
) -> Iterator[FrameMotion]:
    """Yield the frames of a video file with their motion to the keyframe and their block vectors.

    ``source`` is ``codec`` for the stream's own vectors, ``estimated`` for optical flow between
    its decoded frames; ``cell`` the grid's cells, 4 or 8 pixels; ``max_gop`` begins a GOP after so
    many frames without a keyframe. A frame is read when it is asked for. Raises UsageError,
    DataError, MotionUnavailable.
    """
    from vssbench.segment.motion import motion_of

    return motion_of(expanded(path), source, cell, max_gop)


def _check_settings(function: str, given: Mapping[str, object], known: type) -> None:
    """Raise UsageError for a setting that a function does not have, for a value that is none of
    its choices, and for a size that is none."""
    from vssbench.core.parameters import either

    unknown = sorted(given.keys() - known.__annotations__)
    if unknown:
        names = ", ".join(known.__annotations__)
        raise UsageError(f"{function} has no setting {unknown[0]!r}: there are {names}")
    for key, hint in get_type_hints(known).items():
        if key in given and get_origin(hint) is Literal and given[key] not in get_args(hint):
            raise UsageError(f"unknown {key} {given[key]!r}: expected {either(get_args(hint))}")
    if given.get("size") is not None:
        _check_size(given["size"])


def _check_size(size: object) -> None:
    """Raise UsageError for what is no height and width in pixels."""
    sides = size if isinstance(size, tuple | list) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) and int(side) > 0 for side in sides):
        raise UsageError(
            f"size={size!r} is no size: expected (height, width) in pixels, as (360, 480)"
        )


def _texts(given: Texts) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
