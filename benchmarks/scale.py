"""Benchmark of many videos: what `segment` takes of a part is predicted from a few probes and
measured, and a million hours are planned by the same rates."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import click
import numpy as np
from common import Spent, benchmark, call, figures

from vssbench.codec.vectors.proof import pan
from vssbench.segment.manifest import Manifest
from vssbench.sweep.quantities import size_in_words

GROUPS = ("check",)
#: frames of the videos of each probe: what a call, a video and a frame take is told apart by them
PROBES = ((16,), (96,), (16, 16, 16))
#: a prediction holds that is within these of what was measured
LEAST, MOST = 0.8, 1.25
#: frames of the million hours
FRAMES = 1_000_000 * 3600 * 25


@dataclass(frozen=True)
class Segmented(Spent):
    """A call's expense, with the bytes of its output."""

    written: int


@dataclass(frozen=True)
class Rates:
    """A call's own expense, and that of each video and each frame, in seconds or bytes."""

    call: float
    video: float
    frame: float

    def of(self, lengths: Sequence[int]) -> float:
        """Return what a call over videos of these lengths takes."""
        return self.call + self.video * len(lengths) + self.frame * sum(lengths)


def fitted(values: Sequence[float]) -> Rates:
    """Return the rates by what the three probes took."""
    one, long, three = values
    frame = (long - one) / (PROBES[1][0] - PROBES[0][0])
    video = (three - one) / 2 - frame * PROBES[0][0]
    return Rates(one - video - frame * PROBES[0][0], video, frame)


@benchmark(GROUPS, rounds=1, size="360x480", of="the videos")
@click.option("--method", default="pspnet", show_default=True, help="Method of `segment`.")
@click.option("--dataset", default="synthetic", show_default=True, help="Whose weights.")
@click.option("--videos", default=6, show_default=True, help="Videos of the part.")
def main(
    size: tuple[int, int],
    rounds: int,
    groups: tuple[str, ...],
    output: Path | None,
    force: bool,
    method: str,
    dataset: str,
    videos: int,
) -> None:
    """Predict what a part takes, measure it, and plan a million hours. Exit status 1 where the
    processor time or the disk is not predicted within 0.8 to 1.25."""
    lengths = [int(each) for each in np.random.default_rng(0).integers(16, 97, videos)]
    words = ("-m", method, "-d", dataset)
    with figures(output, force, method=method, size=size, lengths=lengths) as measured:
        probes = [segmented(words, probe, size) for probe in PROBES]
        part = segmented(words, lengths, size)
        rates = {
            name: fitted([getattr(each, name) for each in probes])
            for name in ("processor", "clock", "written")
        }
        for name, each in rates.items():
            predicted, taken = each.of(lengths), getattr(part, name)
            measured[name] = {
                **vars(each), "predicted": predicted, "measured": taken, "ratio": predicted / taken
            }  # fmt: skip
            click.echo(
                f"{name:9}  predicted {predicted:.4g}, measured {taken:.4g}, "
                f"ratio {predicted / taken:.3f}"
            )
        hours = rates["processor"].frame * FRAMES / 3600
        click.echo(
            f"a million hours at 25 frames/s: {hours:.3g} hours of a core, "
            f"{size_in_words(rates['written'].frame * FRAMES)}"
        )
    if not all(LEAST <= measured[name]["ratio"] <= MOST for name in ("processor", "written")):
        sys.exit(1)


def segmented(words: Sequence[str], lengths: Sequence[int], size: tuple[int, int]) -> Segmented:
    """Segment videos of these lengths in one call, by one worker with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        for number, length in enumerate(lengths):
            draw(source / f"{number}.mp4", length, size)
        spent = call("segment", str(source), *words, "-o", str(out), "--threads", "1")
        done = Manifest(out).entries().values()
        assert sum(entry.frames for entry in done) == sum(lengths)
        written = sum((out / entry.output).stat().st_size for entry in done)
        return Segmented(spent.clock, spent.processor, written)


def draw(path: Path, length: int, size: tuple[int, int]) -> None:
    """Write a video of a pan, GOP 12, one reference and no B-frames."""
    options = {"x264-params": "ref=1:weightp=0:keyint=12:min-keyint=12:scenecut=0:bframes=0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for image in pan(length, *size, (2.0, 1.0)):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"))
            )
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
