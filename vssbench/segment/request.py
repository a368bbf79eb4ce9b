"""A request to segment videos, by command or library, and the work that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.home import expanded
from vssbench.core.machine import check_device
from vssbench.core.parameters import check_choices
from vssbench.core.variant import Variant, parse_variant
from vssbench.data.videofile import open_videofile
from vssbench.lettering import written
from vssbench.segment.drawing import Painter, palette_of
from vssbench.segment.job import Job, Work
from vssbench.segment.weights import weights_for
from vssbench.sweep.defaults import DEFAULT_SCENES
from vssbench.weights.file import WeightFile


@dataclass(frozen=True)
class Request:
    """A request to segment a video: the options of ``bench.py segment``, with its defaults."""

    dataset: str = DEFAULT_SCENES
    output: Literal["overlay", "labels", "palette"] = "overlay"
    alpha: float = 0.5
    legend: bool = False
    size: tuple[int, int] | None = None
    motion: Literal["auto", "codec", "estimated"] = "auto"
    reencode: str | None = None
    max_gop: int | None = None
    audio: bool = False
    stats: Path | None = None
    device: str = "cpu"
    precision: str = "fp32"
    force: bool = False

    def __post_init__(self) -> None:
        check_choices(type(self), vars(self))
        if self.reencode is not None and self.motion != "auto":
            raise UsageError(
                "--motion is for a stream as it is; with --reencode, put motion=estimated into the "
                "codec's brackets"
            )
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha={self.alpha} is no weight: expected 0 to 1")


@dataclass(frozen=True)
class Means:
    """The means by which videos are segmented, opened once for all of them."""

    method: Variant
    weights: WeightFile
    painter: Painter
    codec: Codec | None


def means_of(
    method: str | None, weights: Path | None, wanted: Request, say: Callable[[str], object]
) -> Means:
    """Return the means of a request; ``say`` takes its messages.

    Raises UsageError and WeightsError for what cannot be had.
    """
    check_device(wanted.device)
    variant, file = weights_for(method, weights, wanted.dataset, say)
    names, remark = written(file.classes) if wanted.legend else (file.classes, "")
    if remark:
        say(remark)
    palette = palette_of(file.classes, file.palette)
    codec = None
    if wanted.reencode is not None:
        codec = registry.create("codecs", parse_variant(wanted.reencode))
    painter = Painter(names, palette, wanted.alpha, wanted.legend)
    return Means(variant, file, painter, codec)


def prepared(
    video: Path,
    out: Path,
    method: str | None,
    weights: Path | None,
    wanted: Request,
    say: Callable[[str], object],
) -> Work:
    """Return the work, checked and ready to run; ``say`` takes its messages.

    Raises UsageError, WeightsError and DataError for what cannot be done, before any work.
    """
    job = job_of(video, out, means_of(method, weights, wanted, say), wanted)
    return Work(job, job.check(), say)


def job_of(video: Path, out: Path, means: Means, wanted: Request) -> Job:
    """Return the job of a video. Raises DataError for one that does not open."""
    return Job(
        source=open_videofile(expanded(video)),
        method=means.method,
        weights=means.weights,
        out=expanded(out),
        output=wanted.output,
        painter=means.painter,
        size=wanted.size,
        motion=wanted.motion,
        codec=means.codec,
        max_gop=wanted.max_gop,
        audio=wanted.audio,
        stats=None if wanted.stats is None else expanded(wanted.stats),
        device=wanted.device,
        precision=wanted.precision,
        force=wanted.force,
    )
