"""``bench.py codec``: what this machine's codecs can do, and what their streams look like."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import data_root_option, force_option
from vssbench.core.errors import DataError, UsageError
from vssbench.core.home import expanded

if TYPE_CHECKING:
    from vssbench.codec.contents import Contents
    from vssbench.core.video import Clip
    from vssbench.view.inspect import Ability, Trial
    from vssbench.view.show import Selection

#: names that an error lists at most
_LISTED = 12


@click.group()
def codec() -> None:
    """Codecs and their motion vectors: what this machine can do, what a video holds, what a stream
    looks like.

    \b
        python bench.py codec info
        python bench.py codec probe
        python bench.py codec show synthetic -c 'h264[bitrate=1M]' -o motion.png
    """


@codec.command("info")
@click.argument("names", nargs=-1, metavar="[CODEC]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(names: tuple[str, ...], as_json: bool) -> None:
    """Show what each codec has here: encoder, decoder, source of motion vectors, options, and what
    is missing.

    \b
        python bench.py codec info
        python bench.py codec info hevc
    """
    from vssbench.core import registry
    from vssbench.view.inspect import ability, estimated, ordered

    abilities = [ability(name) for name in names or ordered(registry.plugins("codecs"))]
    abilities += [] if names else [estimated()]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in abilities], indent=2))
        return
    _print_abilities(abilities)


def _print_abilities(abilities: list[Ability]) -> None:
    from rich import box
    from rich.table import Table

    from vssbench.cli.run import print_table
    from vssbench.core.variant import format_value
    from vssbench.view.inspect import common_options

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("codec", "encoder", "decoder", "motion vectors", "options"):
        table.add_column(head, overflow="fold")
    common = common_options(abilities)
    for each in abilities:
        shares = common and set(common) <= set(each.options)
        own = [
            f"{key}={format_value(value)}"
            for key, value in each.options.items()
            if not shares or key not in common or common[key] != value
        ]
        vectors = each.vectors + (" (proves itself first)" if each.proves and each.vectors else "")
        table.add_row(
            each.codec,
            each.encoder,
            each.decoder,
            vectors,
            ", ".join((["common"] if shares else []) + own),
        )
    print_table(table)
    if common:
        click.echo(
            "common: " + ", ".join(f"{key}={format_value(value)}" for key, value in common.items())
        )
    for each in abilities:
        if each.missing:
            click.echo(f"{each.codec}: {each.missing}")


@codec.command("probe")
@click.argument("what", nargs=-1, metavar="[CODEC|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(what: tuple[str, ...], as_json: bool) -> None:
    """Test each codec's motion vectors on a pan whose motion is known; or say what a video FILE
    holds.

    A share of right vectors counts those within half a pixel; times are milliseconds a frame of
    320x240 pixels on this machine, encoding with its check, decoding without and with vectors. For
    example:

    \b
        python bench.py codec probe
        python bench.py codec probe hevc 'h264[refs=3]' estimated
        python bench.py codec probe drive.mp4

    Exit status: 1 if a codec that was named cannot give vectors, 2 for bad input, else 0.
    """
    from vssbench.codec.contents import Contents, contents
    from vssbench.core import registry
    from vssbench.core.progress import track
    from vssbench.core.variant import parse_variant
    from vssbench.view.inspect import ESTIMATED, ordered
    from vssbench.view.inspect import probe as self_test

    reports: list[Trial | Contents] = []
    asked = what or (*ordered(registry.plugins("codecs")), ESTIMATED)
    with track("codec probe", len(asked)) as tracker:
        for text in asked:
            file = expanded(text)
            if file.exists() or _names_file(text):
                reports.append(contents(file, lambda name=file.name: tracker.advance(0, name)))  # type: ignore[misc]
            else:
                reports.append(self_test(parse_variant(text)))
            tracker.advance(note=text)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in reports], indent=2))
    else:
        trials = [each for each in reports if not isinstance(each, Contents)]
        if trials:
            _print_trials(trials)
        for each in reports:
            if isinstance(each, Contents):
                _print_contents(each)
    if what and any(each.reason for each in reports if not isinstance(each, Contents)):
        sys.exit(1)


def _names_file(text: str) -> bool:
    """Return whether a text that is no file's name here was meant as one."""
    return "[" not in text and ("/" in text or bool(Path(text).suffix))


def _print_trials(trials: list[Trial]) -> None:
    from rich import box
    from rich.table import Table

    from vssbench.cli.run import print_table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("codec")
    table.add_column("motion vectors", overflow="fold")
    for head in ("right", "covered", "encode ms", "decode ms", "with vectors"):
        table.add_column(head, justify="right")
    table.add_column("verdict")
    for each in trials:
        shares = ["" if share is None else f"{share:.1%}" for share in (each.right, each.covered)]
        times = [
            "" if each_ms is None else f"{each_ms:.1f}"
            for each_ms in (each.encode_ms, each.decode_ms, each.vectors_ms)
        ]
        table.add_row(each.codec, each.vectors, *shares, *times, _verdict(each))
    print_table(table)
    for each in trials:
        if each.reason:
            click.echo(f"{each.codec}: {each.reason}")


def _verdict(trial: Trial) -> str:
    if not trial.reason:
        return "right"
    return "no vectors" if trial.right is None else "fails the test"


def _print_contents(contents: Contents) -> None:
    types = ", ".join(
        f"{count} {kind} ({contents.mean_bits[kind] / 1000:.1f} kbit each)"
        for kind, count in contents.types.items()
    )
    shortest, longest = min(contents.gops), max(contents.gops)
    gops = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    share = (
        ""
        if contents.intra_share is None
        else f"; {contents.intra_share:.1%} of the blocks are intra between keyframes"
    )
    lines = {
        "codec": " ".join(filter(None, (contents.codec, contents.profile))),
        "size": f"{contents.width}x{contents.height} at {contents.fps:g} frames/s",
        "frames": f"{contents.frames}: {types}",
        "GOPs": f"{len(contents.gops)}, {gops} frames long",
        "types": contents.pattern + ("..." if contents.frames > len(contents.pattern) else ""),
        "bits": f"{contents.bits} ({contents.bit_rate / 1e6:.3g} Mb/s)",
        "vectors": f"cannot be read: {contents.reason}"
        if contents.reason
        else f"can be read, by {contents.vectors}{share}",
    }
    click.echo(contents.path)
    for name, words in lines.items():
        click.echo(f"  {name:<8} {words}")
    for remark in contents.remarks:
        click.echo(f"  {'note':<8} {remark}")


@codec.command("show")
@click.argument("clip")
@click.option(
    "-c",
    "--codec",
    "codec_text",
    default="h264",
    show_default=True,
    help="Codec, as h264[bitrate=1M,gop=12].",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write; its ending says what.",
)
@data_root_option
@click.option(
    "--frame",
    type=int,
    metavar="N",
    help="Frame of a picture; by default the middle P-frame of the first GOP.",
)
@click.option(
    "--frames",
    "span",
    metavar="A:B",
    help="Frames A up to but not including B: a contact sheet, or part of a video.",
)
@click.option(
    "--field",
    type=click.Choice(["own", "keyframe"]),
    default="own",
    show_default=True,
    help="The frame's own vectors, or the motion accumulated to its keyframe.",
)
@force_option
def show(
    clip: str,
    codec_text: str,
    out: Path,
    data_root: Path | None,
    field: str,
    force: bool,
    **given: Any,
) -> None:
    """Draw CLIP's motion vectors, blocks, picture types and bits a frame, as it is after the codec.

    CLIP is a clip of a dataset (synthetic, or synthetic:test-01; camvid:NAME with --data-root), a
    folder of images or a video file. It is encoded by -c first, a video file too. The ending of -o
    says what is written: .png or .jpg a frame or a contact sheet, .mp4, .mkv or .gif a video, .csv
    a line of figures for each frame. For example:

    \b
        python bench.py codec show synthetic -c 'h264[bitrate=1M]' -o motion.png
        python bench.py codec show drive.mp4 -c 'h264[bframes=2]' --frames 0:12 -o gop.png
        python bench.py codec show camvid:0016E5_07959-08159 --data-root ~/CamVid \\
            --field keyframe -o motion.mp4

    Arrows lead from a block to where it comes from, in the colour of the picture that holds it;
    intra blocks are tinted.
    """
    from vssbench.core import registry
    from vssbench.core.outputs import check_output
    from vssbench.core.progress import messages, track
    from vssbench.core.variant import parse_variant
    from vssbench.view.show import Show, check_out

    suffix = check_out(out)
    check_output(out, _inputs(clip, data_root), force)
    chosen = registry.create("codecs", parse_variant(codec_text))
    opened = open_clip(clip, data_root)
    selection = _selection(**given)
    selection.check(opened.length, suffix)
    drawing = Show(opened, chosen, field, lambda text: messages().print(text))
    with track(f"{opened.name} {chosen.describe()}", drawing.steps(out, selection)) as tracker:
        drawing.advance = lambda step: tracker.advance(note=step)
        drawing.write(out, selection)
    click.echo(out)


def _selection(frame: int | None, span: str | None) -> Selection:
    """Return the frames that ``--frame`` and ``--frames`` ask for. Raises UsageError."""
    from vssbench.view.show import Selection

    return Selection(frame, read_span(span) if span is not None else None)


def read_span(text: str) -> tuple[int, int]:
    """Return ``A:B`` as two numbers. Raises UsageError."""
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise UsageError(
            f"cannot read --frames {text!r}: expected A:B, as 0:12 for the frames 0 to 11"
        )
    return int(match[1]), int(match[2])


def open_clip(text: str, data_root: Path | None) -> Clip:
    """Return a folder of images, a video file, ``DATASET`` (its first clip) or ``DATASET:CLIP``.
    Raises UsageError, DataError."""
    from vssbench.cli.options import open_dataset
    from vssbench.core import registry
    from vssbench.core.variant import parse_variant
    from vssbench.data.footage import footage

    name, wanted = _parted(text)
    known = registry.plugins("datasets")
    if name.split("[")[0].strip() not in known:
        path = expanded(text)
        if path.exists():
            return footage(path)
        raise UsageError(
            f"{text!r} is neither a file, a folder nor a dataset: expected a video file, a folder "
            f"of images, or DATASET:CLIP with one of {', '.join(known)}"
        )
    clips = open_dataset(parse_variant(name), data_root).scored_clips
    if not clips:
        raise DataError(f"{name} holds no clip")
    matching = [each for each in clips if each.name == wanted] if wanted else list(clips[:1])
    if not matching:
        there = ", ".join(each.name for each in clips[:_LISTED]) + (
            ", ..." if len(clips) > _LISTED else ""
        )
        raise UsageError(f"{name} has no clip {wanted!r}; its {len(clips)} clips: {there}")
    return matching[0]


def _inputs(text: str, data_root: Path | None) -> list[Path]:
    """Return the files and folders that ``CLIP`` is read from."""
    from vssbench.core import registry
    from vssbench.core.opening import roots
    from vssbench.core.variant import parse_variant

    name, _ = _parted(text)
    if name.split("[")[0].strip() not in registry.plugins("datasets"):
        return [expanded(text)]
    return roots(parse_variant(name), data_root)


def _parted(text: str) -> tuple[str, str]:
    """Split ``DATASET:CLIP`` at its first colon behind brackets."""
    name, bracket, rest = text.rpartition("]")
    dataset, _, clip = rest.partition(":")
    return name + bracket + dataset, clip
