"""``bench.py cost``: GMACs and parameters, without data or weights."""

from __future__ import annotations

import json

import rich_click as click

from vssbench.cli.options import SIZE

#: a cross-check that differs by more than this share is marked
_TOLERANCE = 0.02


@click.command()
@click.option("-m", "--method", "methods", multiple=True, help="Method to count; all of them by default.")
@click.option("--size", type=SIZE, required=True, metavar="HxW", help="Input size in pixels, height first.")
@click.option("--classes", type=click.IntRange(2), default=11, show_default=True, help="Number of classes.")
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames of a GOP.")
@click.option("--cross-check", is_flag=True, help="Count keyframes with fvcore and ptflops as well (runs the network once).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(methods: tuple[str, ...], size: tuple[int, int], classes: int, gop: int, cross_check: bool, as_json: bool) -> None:
    """Count multiply-accumulates (GMACs) and parameters.

    For example:

    \b
        python bench.py cost -m pspnet -m 'arseg[scale=0.5]' --size 720x960 --classes 12

    One multiply-accumulate counts as 1: what this field's papers print as FLOPs. Parameters are those that
    inference uses. The GOP's mean is (key + (L-1) non-key) / L.
    """
    from vssbench import registry
    from vssbench.cost.gmacs import count, meta_model
    from vssbench.variant import parse_variant

    variants = [parse_variant(text) for text in methods or registry.plugins("methods")]
    rows = []
    for variant in variants:
        counted = count(variant, classes, *size)
        row = {
            "method": str(variant),
            "display": meta_model(variant, classes).display,
            "params": counted.params,
            "gmacs_key": counted.gmacs_key,
            "gmacs_nonkey": counted.gmacs_nonkey,
            "gmacs_gop": counted.gmacs_gop(gop),
        }
        if cross_check:
            from vssbench.cost.crosscheck import keyframe_gmacs

            row["cross_check_key"] = keyframe_gmacs(variant, classes, *size)
        rows.append(row)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    _print(rows, size, classes, gop)


def _print(rows: list[dict], size: tuple[int, int], classes: int, gop: int) -> None:
    from tabulate import tabulate

    head = ["method", "name", "params M", "GMACs key", "GMACs non-key", f"GMACs GOP {gop}"]
    tools = list(rows[0].get("cross_check_key", {})) if rows else []
    body = []
    for row in rows:
        line = [row["method"], row["display"], row["params"] / 1e6]
        line += [row["gmacs_key"], row["gmacs_nonkey"], row["gmacs_gop"]]
        for tool in tools:
            value = row["cross_check_key"][tool]
            apart = abs(value / row["gmacs_key"] - 1) > _TOLERANCE
            line.append(f"{value:.2f}{' (differs)' if apart else ''}")
        body.append(line)
    click.echo(tabulate(body, head + [f"key by {tool}" for tool in tools], floatfmt=".2f", tablefmt="simple"))
    click.echo(f"input {size[0]}x{size[1]}, {classes} classes; 1 multiply-accumulate = 1 (convention: macs)", err=True)
