"""``bench.py cost``: GMACs and parameters, without data or weights."""

from __future__ import annotations

import json
from typing import Any

import rich_click as click

from vssbench.cli.options import SIZE
from vssbench.errors import UsageError

#: a cross-check that differs by more than this share is marked
_TOLERANCE = 0.02


@click.command()
@click.option("-m", "--method", "methods", multiple=True, help="Method to count; all of them by default.")
@click.option("--size", type=SIZE, required=True, metavar="HxW", help="Input size in pixels, height first.")
@click.option("--classes", type=click.IntRange(2), default=11, show_default=True, help="Number of classes.")
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames of a GOP.")
@click.option(
    "--convention", type=click.Choice(["macs", "arseg", "liminn"]), default="macs", show_default=True,
    help="What is counted as an operation, see above.",
)  # fmt: skip
@click.option("--published", is_flag=True, help="Print what is published for these methods at this size beside ours.")
@click.option("--cross-check", is_flag=True, help="Count keyframes with fvcore and ptflops as well (runs the network once).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(
    methods: tuple[str, ...],
    size: tuple[int, int],
    classes: int,
    gop: int,
    convention: str,
    published: bool,
    cross_check: bool,
    as_json: bool,
) -> None:
    """Count multiply-accumulates (GMACs) and parameters.

    For example:

    \b
        python bench.py cost -m pspnet -m 'arseg[scale=0.5]' --size 720x960 --classes 12
        python bench.py cost -m arseg --size 720x960 --classes 12 --convention arseg --published

    Parameters are those that inference uses. The GOP's mean is (key + (L-1) non-key) / L. Conventions:

    macs is what a method multiplies: one multiply-accumulate counts as 1 (what this field's papers print as FLOPs) in
    convolutions, matrix products, local attention and the four taps of a warp; nothing that inference does not run.

    arseg gives the GFLOPs of AR-Seg's tables: thop 0.0.31's rules, which also take biases and batch normalisation; layers that
    the authors' code registers under two names four times (BiSeNet's head, PSPNet18's last convolution on Cityscapes); the
    auxiliary head of that PSPNet18; 11 classes in the low-resolution frame's head term on CamVid (with 11 or 12 classes asked
    for), no head term for a GOP other than 12; no warp. Other methods are counted by thop's rules.

    liminn is macs with the layers that liminn/ICNet-pytorch runs and throws away, for icnet[form=liminn].
    """
    from vssbench import registry
    from vssbench.cost.conventions import CONVENTIONS
    from vssbench.cost.gmacs import meta_model
    from vssbench.variant import parse_variant

    if cross_check and convention != "macs":
        raise UsageError(f"--cross-check counts as the convention macs does; leave it or --convention {convention} out")
    variants = [parse_variant(text) for text in methods or registry.plugins("methods")]
    rows = []
    for variant in variants:
        counted = CONVENTIONS[convention].count(variant, classes, *size)
        row: dict[str, Any] = {
            "method": str(variant),
            "display": meta_model(variant, classes).display,
            "convention": convention,
            "params": counted.params,
            "gmacs_key": counted.gmacs_key,
            "gmacs_nonkey": counted.gmacs_nonkey,
            "gmacs_gop": counted.gmacs_gop(gop),
        }
        if cross_check:
            from vssbench.cost.crosscheck import keyframe_gmacs

            row["cross_check_key"] = keyframe_gmacs(variant, classes, *size)
        if published:
            from vssbench.cost.published import matching

            row["published"] = [found.record() for found in matching(variant, classes, size)]
        rows.append(row)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    _print(rows, gop)
    if published:
        _print_published(rows)
    summary = CONVENTIONS[convention].summary
    click.echo(f"input {size[0]}x{size[1]}, {classes} classes; convention {convention}: {summary}", err=True)


def _print(rows: list[dict[str, Any]], gop: int) -> None:
    from tabulate import tabulate

    head = ["method", "name", "params M", "GMACs key", "GMACs non-key", f"GMACs GOP {gop}"]
    tools = list(rows[0].get("cross_check_key", {})) if rows else []
    body = []
    for row in rows:
        line = [row["method"], row["display"], row["params"] / 1e6]
        line += [row["gmacs_key"], row["gmacs_nonkey"], row["gmacs_gop"]]
        for tool in tools:
            value = row["cross_check_key"][tool]
            apart = abs(value - row["gmacs_key"]) > _TOLERANCE * row["gmacs_key"]
            line.append(f"{value:.2f}{' (differs)' if apart else ''}")
        body.append(line)
    click.echo(tabulate(body, head + [f"key by {tool}" for tool in tools], floatfmt=".2f", tablefmt="simple"))


def _print_published(rows: list[dict[str, Any]]) -> None:
    """What others print, and ours counted in the convention and with the classes of each."""
    from tabulate import tabulate

    head = ("method", "number", "convention", "classes", "published", "ours", "difference", "source")
    body, notes = [], []
    for row in rows:
        for found in row["published"]:
            mark = ""
            if found["note"]:
                notes += [] if found["note"] in notes else [found["note"]]
                mark = f" [{notes.index(found['note']) + 1}]"
            digits = ",.0f" if found["unit"] == "parameters" else ".2f"
            body.append(
                (
                    row["method"], found["number"], found["convention"], found["classes"], found["value"],
                    format(found["ours"], digits), f"{found['difference']:+.2%}", found["source"] + mark,
                )
            )  # fmt: skip
        if not row["published"]:
            body.append((row["method"], "nothing published for this size and these classes", *[""] * 6))
    click.echo("\n" + tabulate(body, head, tablefmt="simple", disable_numparse=True))
    for number, note in enumerate(notes, 1):
        click.echo(f"[{number}] {note}")
