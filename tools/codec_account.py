"""The tables in ``docs/codecs.md``: ``python -m tools.codec_account --write docs/codecs.md
--data-root CAMVID``.

Known motion needs no data; the tables on the real clip need CamVid at 480x360 (see ``bench.py info
camvid``) and stay as they are without ``--data-root``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from vssbench.core import files, registry
from vssbench.core.errors import DataError, VssbenchError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip
from vssbench.view import trials
from vssbench.view.trials import (
    CODECS,
    MOTIONS,
    PRESETS,
    SIZES,
    Followed,
    Known,
    beginning,
    codec_of,
    follow,
    known,
    moving_clip,
)

KNOWN, REAL, RATES, COST = "known motion", "real clip", "rates", "cost"
#: frames of a clip of known motion, and its GOP
LENGTH = 6
GOP, RATE = 12, "1M"
ASKED = ("1M", "300k")
#: frames of the short form of the real clip: four GOPs
SHORT = 48
_ROUNDS = 3

Line = list[str]


def marks(name: str) -> tuple[str, str]:
    """Return the two marked lines between which a table goes."""
    return f"<!-- {name}: written by python -m tools.codec_account -->", f"<!-- {name} end -->"


def replace(document: str, name: str, block: str) -> str:
    """Return the document with what stands between the two marks replaced. Raises DataError where a
    mark is missing."""
    begin, end = marks(name)
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise DataError(
            f"the document lacks the line {end if found_begin else begin}, between which and its "
            "pair a table goes"
        )
    return f"{before}{begin}\n\n{block}\n\n{end}{after}"


def between(document: str, name: str) -> str:
    """Return the text between the marks."""
    begin, end = marks(name)
    return document.partition(begin)[2].partition(end)[0].strip()


def known_motion(codecs: Sequence[str] = CODECS) -> str:
    """Return a table a size: share of right vectors and, in brackets, of cells that have one."""
    parts = []
    for height, width in SIZES:
        results: dict[tuple[str, str], list[Known]] = {
            (codec, preset): [] for codec in codecs for preset in PRESETS
        }
        for motion in MOTIONS.values():
            clip = moving_clip(motion, height, width, LENGTH)
            for codec, preset in results:
                coder = codec_of(codec, gop=LENGTH, preset=preset, **trials.QUALITY[codec])
                results[codec, preset].append(known(coder, clip, motion, trials.tolerance(codec)))
        table = [
            [
                f"`{codec}`",
                preset,
                f"{trials.tolerance(codec):g}",
                f"{trials.bound(codec):.0%}",
                *map(_shares, row),
            ]
            for (codec, preset), row in results.items()
        ]
        head = ("codec", "preset", "within", "bound", *MOTIONS)
        parts += [f"#### {width}x{height}", _table(table, head)]
    return "\n\n".join(parts)


def _shares(result: Known) -> str:
    return f"{_percent(result.right)} ({_percent(result.covered)})"


def _percent(share: float) -> str:
    """Format a share as a percentage, rounded down.

    What is short of a bound must not look as if it met it.
    """
    return f"{int(share * 10000) / 100:.2f}"


def real_clip(clip: Clip, cache: Path, codecs: Sequence[str] = CODECS) -> str:
    """Return one step and the way to the keyframe, by the codec's vectors and by estimated
    motion."""
    steps: list[Line] = []
    whole: list[Line] = []
    ways: list[Line] = []
    for codec in codecs:
        short = follow(codec_of(codec, gop=GOP, bitrate=RATE), beginning(clip, SHORT), cache)
        filled, zero, estimated = (
            follow(codec_of(codec, gop=GOP, bitrate=RATE, **options), clip, cache)
            for options in ({"fill": "nearest"}, {"fill": "zero"}, {"motion": "estimated"})
        )
        steps.append(_step(codec, short))
        whole.append([*_step(codec, filled), f"{estimated.one_step:.2f}"])
        errors = (filled.to_keyframe, zero.to_keyframe, estimated.to_keyframe, filled.keyframe)
        ways.append([f"`{codec}`", *(f"{error:.2f}" for error in errors)])
    head = ("codec", "one step", "zero motion", "one step on the source", "covered")
    ways_head = ("codec", "fill=nearest", "fill=zero", "motion=estimated", "keyframe as it is")
    return "\n\n".join(
        (
            f"#### One step, first {SHORT} frames",
            _table(steps, head),
            f"#### One step, all {clip.length} frames",
            _table(whole, (*head, "one step, motion=estimated")),
            f"#### Keyframe to frame {GOP - 1}, all {clip.length} frames",
            _table(ways, ways_head),
        )
    )


def _step(codec: str, followed: Followed) -> Line:
    errors = (followed.one_step, followed.zero_motion, followed.on_source)
    return [f"`{codec}`", *(f"{error:.2f}" for error in errors), f"{followed.covered:.1%}"]


def rates(clip: Clip, cache: Path, codecs: Sequence[str] = CODECS) -> str:
    """Return asked and measured rate, and quality."""
    table = []
    for codec in codecs:
        for asked in ASKED:
            result = follow(codec_of(codec, gop=GOP, bitrate=asked), clip, cache)
            numbers = (f"{result.kbps:.0f}", f"{result.psnr_db:.2f}", f"{result.ssim:.4f}")
            table.append([f"`{codec}`", asked, *numbers])
    return _table(table, ("codec", "asked, b/s", "measured, kb/s", "PSNR, dB", "SSIM"))


def cost(clip: Clip, cache: Path, codecs: Sequence[str] = CODECS) -> str:
    """Return CPU time a frame: decoding to RGB, with vectors accumulated to the keyframe, with
    estimated motion instead."""
    table = []
    for codec in codecs:
        own, estimated = (
            codec_of(codec, gop=GOP, bitrate=RATE, motion=motion)
            for motion in ("codec", "estimated")
        )
        times = [
            min(_seconds(coder.frames(clip, cache, motion=motion)) for _ in range(_ROUNDS))
            / clip.length
            * 1000
            for coder, motion in ((own, False), (own, True), (estimated, True))
        ]
        table.append([f"`{codec}`", *(f"{milliseconds:.1f}" for milliseconds in times)])
    return _table(
        table, ("codec", "RGB", "RGB and the codec's vectors", "RGB and estimated motion")
    )


def _seconds(frames: Iterator[object]) -> float:
    """Return process time of all threads that it takes to go through the frames."""
    started = time.process_time()
    for _ in frames:
        pass
    return time.process_time() - started


def _table(lines: Sequence[Line], head: Sequence[str]) -> str:
    alignment = ["left"] + ["right"] * (len(head) - 1)
    return tabulate(lines, head, tablefmt="github", disable_numparse=True, colalign=alignment)


def measure(data_root: Path | None) -> dict[str, str]:
    """Return all tables by name that can be measured. Raises DataError, UsageError,
    MotionUnavailable."""
    tables = {KNOWN: known_motion()}
    if data_root is not None:
        (clip,) = registry.create("datasets", parse_variant("camvid"), root=data_root).scored_clips
        with tempfile.TemporaryDirectory() as folder:
            for name, make in ((REAL, real_clip), (RATES, rates), (COST, cost)):
                tables[name] = make(clip, Path(folder))
    return tables


def main() -> None:
    """Print the tables, or write them into a document."""
    parser = argparse.ArgumentParser(
        description="What the codecs' motion vectors are worth, measured, as Markdown."
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the marked blocks of this document"
    )
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="FOLDER",
        help="CamVid at 480x360; without it its tables stay",
    )
    arguments = parser.parse_args()
    try:
        tables = measure(arguments.data_root)
        if arguments.write is None:
            print("\n\n".join(tables.values()))
            return
        document = arguments.write.read_text(encoding="utf-8")
        for name, block in tables.items():
            document = replace(document, name, block)
        files.write_text(arguments.write, document)
    except VssbenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
