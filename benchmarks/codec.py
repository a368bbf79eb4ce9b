"""Benchmark of motion vectors: the time that they and their accumulation add to decoding.

Times are ratios of forms timed in turns.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from common import Forms, benchmark, figures, in_turns, ratios, spread
from PIL import Image as Pillow

from vssbench import native
from vssbench.codec.accumulate import Accumulator
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors.exported import ExportedVectors, Records, rasterise, records
from vssbench.codec.vectors.reader import BlockVectors, no_vectors
from vssbench.core import registry
from vssbench.core.motion import NONE, dense, grid_shape
from vssbench.core.video import Image
from vssbench.data.footage import footage

try:
    from mvextractor.videocap import VideoCap
except ImportError:
    VideoCap = None

GROUPS = ("grid", "rgb", "accumulate", "repeat")
GOP, CELL, BFRAMES = 12, MotionSettings().cell, 2
REPEATS = 10
FPS, BITS = 30, 8
#: what AR-Seg reads its vectors in: int16, quarter pixels
QUARTERS = 4
#: beyond the last of its references AR-Seg takes a pixel for intra
MOST_REFERENCES = 3

#: seconds: by the clock, and of all threads of the process
Times = dict[str, list[tuple[float, float]]]


@benchmark(GROUPS, rounds=7, of="the pictures, to which the clip is resized")
@click.option(
    "--clip",
    type=click.Path(exists=True, path_type=Path),
    help="A video or a folder of pictures; else a drawn street.",
)
@click.option(
    "--frames",
    type=click.IntRange(GOP + 1),
    default=120,
    show_default=True,
    help="Frames of the clip, at most.",
)
@click.option("--bitrate", default="3M", show_default=True)
def main(
    clip: Path | None,
    size: tuple[int, int],
    frames: int,
    bitrate: str,
    rounds: int,
    groups: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> None:
    """H.264, P-frames, one reference, GOP 12. Ratios are taken within a round, of the clock and of
    processor time.

    grid: vectors and fields to the keyframe, without RGB, against decoding alone. rgb: images and
    fields against motion-vector-extractor's images and vectors. accumulate: our accumulation
    against AR-Seg's, pixel by pixel. repeat: whether a stream with B-frames gives the same vectors
    every time.
    """
    kernels = "yes" if native.video_kernels() else "no"
    with figures(output, force, size=size, rounds=rounds, native=kernels) as measured:
        announce(measured["machine"], size, rounds, kernels)
        with tempfile.TemporaryDirectory(prefix="vssbench-") as folder:
            wanted = groups or GROUPS
            bframes = {0} if set(wanted) - {"repeat"} else set()
            bframes |= {BFRAMES} if "repeat" in wanted else set()
            streams = {
                count: encoded(source(clip, size, frames), Path(folder), bitrate, count)
                for count in sorted(bframes)
            }
            for group in wanted:
                compare = {
                    "grid": compare_grid,
                    "rgb": compare_rgb,
                    "accumulate": compare_accumulation,
                }.get(group)
                measured[group] = (
                    compare(streams[0], size, rounds)
                    if compare
                    else compare_repeats(streams[BFRAMES])
                )


def announce(machine: dict[str, Any], size: tuple[int, int], rounds: int, kernels: str) -> None:
    """Print what is measured with."""
    print(
        f"{machine['cpu']}, {machine['threads']} threads, PyAV {av.__version__}, "
        f"{size[0]}x{size[1]}, {rounds} rounds"
    )
    print(
        f"compiled kernels: {kernels}; motion-vector-extractor: "
        f"{'yes' if VideoCap else 'not installed'}"
    )


def encoded(images: Iterator[Image], folder: Path, bitrate: str, bframes: int) -> Path:
    """Return the images as an H.264 stream with so many B-frames between anchors."""
    stream = folder / f"{bframes}.mkv"
    settings = H264(gop=GOP, bitrate=bitrate, bframes=bframes).encoder()
    coded = len(encode(images, stream, settings, FPS))
    rate = stream.stat().st_size * BITS / coded * FPS / 1e6
    print(f"{coded} frames, {bframes} B-frames between anchors: {rate:.2f} Mb/s at {FPS} frames/s")
    return stream


def source(clip: Path | None, size: tuple[int, int], frames: int) -> Iterator[Image]:
    """Yield RGB images (H, W, 3) of the clip, resized, or of a drawn street."""
    height, width = size
    if clip is None:
        street = registry.load("datasets", "synthetic")(
            height=height, width=width, clips=1, frames=frames
        )
        yield from street.clips()[0].images()
        return
    for _, image in zip(range(frames), footage(clip).images(), strict=False):
        yield np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC))


def seconds(form: Callable[[], Any]) -> tuple[float, float]:
    """Return seconds of a form: by the clock, and of all threads of the process."""
    clock, processor = time.perf_counter(), time.process_time()
    form()
    return time.perf_counter() - clock, time.process_time() - processor


def show(times: Times, frames: int) -> None:
    for name, values in times.items():
        clock, processor = (
            statistics.median(kind) / frames * 1000 for kind in zip(*values, strict=True)
        )
        print(f"  {name:52} {clock:8.3f} ms a frame, processor {processor:8.3f} ms")


def show_ratio(times: Times, form: str, base: str) -> None:
    """Print median, least and most of the rounds' ratios, by the clock and of processor time."""
    for kind, name in enumerate(("clock", "processor")):
        each = ratios(*([spent[kind] for spent in times[which]] for which in (form, base)))
        print(f"  {f'{form} / {base}, {name}':90}{spread(each)}")


def pictures(
    stream: Path, threads: str, reader: ExportedVectors | None = None
) -> Iterator[tuple[av.VideoFrame, Any]]:
    with av.open(str(stream)) as container:
        context = container.streams.video[0].codec_context
        if reader is not None:
            reader.prepare(context)
        context.thread_type = threads
        for picture in container.decode(video=0):
            yield picture, context


def fields(stream: Path, size: tuple[int, int], threads: str) -> int:
    """Decode and accumulate to the keyframe, without RGB; return the number of fields."""
    reader, accumulator = ExportedVectors(*size, CELL), Accumulator(*size, MotionSettings())
    count = 0
    for index, (picture, context) in enumerate(pictures(stream, threads, reader)):
        for number, blocks in reader.picture(index, picture, context):
            count += sum(1 for _ in accumulator.add(number, blocks, number % GOP == 0))
    return count


def compare_grid(stream: Path, size: tuple[int, int], rounds: int) -> Times:
    """Compare decoding with fields to the keyframe against decoding alone, with the same
    threads."""
    forms: Forms = {}
    for name, threads in (("one thread", "SLICE"), ("frame threads", "FRAME")):
        forms[f"decode, {name}"] = lambda threads=threads: sum(1 for _ in pictures(stream, threads))
        forms[f"decode and fields, {name}"] = lambda threads=threads: fields(stream, size, threads)
    count = fields(stream, size, "SLICE")
    times = in_turns(forms, rounds, seconds)
    print("\ngrid")
    show(times, count)
    for name in ("one thread", "frame threads"):
        show_ratio(times, f"decode and fields, {name}", f"decode, {name}")
    return times


def extract(stream: Path) -> Iterator[Any]:
    """Yield the vectors of every frame by motion-vector-extractor, which makes its BGR image
    too."""
    video = VideoCap()
    video.open(str(stream))
    while True:
        success, _, vectors, *_ = video.read()
        if not success:
            break
        yield vectors
    video.release()


def compare_rgb(stream: Path, size: tuple[int, int], rounds: int) -> Times:
    """Compare RGB images with fields to the keyframe against motion-vector-extractor's BGR images
    with raw vectors."""
    motion = MotionSource(ExportedVectors)
    forms: Forms = {
        "RGB and fields, one thread": lambda: sum(1 for _ in decode(stream, GOP, motion)),
        "RGB and fields, frame threads": lambda: sum(
            1 for _ in decode(stream, GOP, motion, frame_threads=True)
        ),
    }
    if VideoCap is not None:
        forms["motion-vector-extractor"] = lambda: sum(1 for _ in extract(stream))
    count = sum(1 for _ in pictures(stream, "SLICE"))
    times = in_turns(forms, rounds, seconds)
    print("\nrgb")
    show(times, count)
    if VideoCap is None:
        print(
            "  motion-vector-extractor is not installed: pip install --no-deps "
            "motion-vector-extractor"
        )
        return times
    for name in ("one thread", "frame threads"):
        show_ratio(times, f"RGB and fields, {name}", "motion-vector-extractor")
    return times


def merge_per_pixel(motions: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Return AR-Seg's accumulation (protocol of its CamVid set): (H, W, 2) from the last frame to
    the keyframe.

    ``motions`` are those of the frames after the keyframe, int16 (H, W, 3): vector in quarter
    pixels, reference k for the frame k + 1 before. Every hop is rounded to whole pixels and cut at
    the border; a reference outside 0 to 2 is an intra pixel, at rest since the frame before.
    """
    rows, columns = np.mgrid[:height, :width]
    origin = [np.stack([columns, rows], -1)]  # where each pixel lies in the keyframe
    for motion in motions:
        reference = motion[..., 2]
        intra = (reference < 0) | (reference >= MOST_REFERENCES)
        hop = np.where(intra[..., None], 0, np.rint(motion[..., :2] / QUARTERS)).astype(np.intp)
        x, y = (
            np.clip(columns + hop[..., 0], 0, width - 1),
            np.clip(rows + hop[..., 1], 0, height - 1),
        )
        position = origin[-1][y, x]
        for back in range(1, min(MOST_REFERENCES, len(origin))):
            chosen = reference == back
            position[chosen] = origin[-1 - back][y[chosen], x[chosen]]
        origin.append(position)
    return origin[-1] - origin[0]


def first_gop(stream: Path) -> list[Records]:
    """Return the decoder's vectors of the frames after the first keyframe."""
    reader = ExportedVectors(1, 1, CELL)
    gop = (records(picture).copy() for picture, _ in pictures(stream, "SLICE", reader))
    return [exported for _, exported in zip(range(GOP), gop, strict=False)][1:]


def compare_accumulation(stream: Path, size: tuple[int, int], rounds: int) -> Times:
    """Time the way from a decoder's vectors to the field of the last frame of a GOP: ours,
    rasterising included, against AR-Seg's."""
    gop = first_gop(stream)
    as_pixels = []
    for exported in gop:
        vectors, references = (its[0] for its in rasterise(exported, *size, CELL, [0]))
        pixels = np.concatenate([vectors * QUARTERS, references[..., None]], -1).astype(np.int16)
        as_pixels.append(dense(pixels, CELL, *size))

    def ours(settings: MotionSettings) -> np.ndarray:
        accumulator = Accumulator(*size, settings)
        list(accumulator.add(0, no_vectors(*size, CELL), True))
        for number, exported in enumerate(gop):
            blocks = BlockVectors(*rasterise(exported, *size, CELL, [number]), number)
            ((_, field),) = accumulator.add(number + 1, blocks, False)
        return field.grid

    likewise = MotionSettings(CELL, "zero", whole_pixels=True)
    forms: Forms = {
        "on the grid": lambda: ours(MotionSettings()),
        "on the grid, zero fill, whole pixels": lambda: ours(likewise),
        "AR-Seg's form, pixel by pixel": lambda: merge_per_pixel(as_pixels, *size),
    }
    times = in_turns(forms, rounds, seconds)
    apart = np.linalg.norm(
        dense(ours(likewise), CELL, *size) - merge_per_pixel(as_pixels, *size), axis=-1
    )
    print(
        f"\naccumulate: {GOP - 1} frames, {grid_shape(*size, CELL)} cells; under AR-Seg's rules as "
        "AR-Seg's field at"
    )
    print(
        f"  {(apart == 0).mean():.1%} of the pixels, {np.median(apart):.1f} pixels from it in the "
        "median"
    )
    show(times, GOP - 1)
    for name in ("on the grid", "on the grid, zero fill, whole pixels"):
        show_ratio(times, "AR-Seg's form, pixel by pixel", name)
    return times


def digest(arrays: Iterator[Any]) -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def compare_repeats(stream: Path) -> dict[str, int]:
    """Count the different results that a stream with B-frames gives in ten runs."""

    def blocks() -> Iterator[Any]:
        for frame in decode(stream, GOP, MotionSource(ExportedVectors)):
            if frame.motion is not None:
                own = frame.motion.blocks
                yield np.array(NONE) if own is None else own.references
                yield frame.motion.grid

    results = {"ours": len({digest(blocks()) for _ in range(REPEATS)})}
    if VideoCap is not None:
        results["motion-vector-extractor"] = len({digest(extract(stream)) for _ in range(REPEATS)})
    print(
        f"\nrepeat: different results in {REPEATS} runs over a stream with {BFRAMES} B-frames "
        "between anchors"
    )
    for name, count in results.items():
        print(f"  {name:52} {count}")
    return results


if __name__ == "__main__":
    main()
