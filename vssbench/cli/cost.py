"""``bench.py cost``: GMACs, parameters and memory, without data or weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import SIZE, Whole, device_option
from vssbench.core.errors import UsageError

if TYPE_CHECKING:
    from vssbench.core.variant import Variant


class _Convention(click.Choice):
    """The names of all conventions, those of methods among them; asked when they are needed, since
    that imports every method."""

    def __init__(self) -> None:
        super().__init__(())

    @property
    def choices(self) -> tuple[str, ...]:
        from vssbench.cost.conventions import conventions

        return tuple(conventions())

    @choices.setter
    def choices(self, value: object) -> None:
        """Take nothing: the methods are asked."""


@dataclass(frozen=True)
class _Wanted:
    """The options of ``cost`` that say what is counted of each method."""

    size: tuple[int, int]
    classes: int
    gop: int
    convention: str
    published: bool
    cross_check: bool
    memory: bool
    device: str

    def row(self, variant: Variant) -> dict[str, Any]:
        """Count a method, and return its row of the table."""
        from vssbench.cost.rows import counted

        row = counted(variant, self.classes, self.size, self.gop, self.convention)
        if self.cross_check:
            from vssbench.cost.crosscheck import cross_check

            row["cross_check"] = cross_check(variant, self.classes, *self.size)
        if self.memory:
            row["memory"] = self._memory(variant)
        if self.published:
            from vssbench.cost.published import matching

            published = matching(variant, self.classes, self.size)
            row["published"] = [number.record() for number in published]
        return row

    def _memory(self, variant: Variant) -> dict[str, Any]:
        from vssbench.cost.memory import traffic
        from vssbench.run.footprint import measure

        key, other = traffic(variant, self.classes, *self.size)
        footprint = measure(variant, self.classes, *self.size, self.gop, self.device)
        return {"key": key.record(), "nonkey": other.record(), **footprint.record()}


@click.command()
@click.option(
    "-m", "--method", "methods", multiple=True, help="Method to count; all of them by default."
)
@click.option(
    "--size", type=SIZE, required=True, metavar="HxW", help="Input size in pixels, height first."
)
@click.option("--classes", type=Whole(2), default=11, show_default=True, help="Number of classes.")
@click.option("--gop", type=Whole(1), default=12, show_default=True, help="Frames of a GOP.")
@click.option(
    "--convention",
    type=_Convention(),
    default="macs",
    show_default=True,
    help="What is counted as an operation, see above.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Print what is published for these methods at this size beside ours.",
)
@click.option(
    "--cross-check",
    is_flag=True,
    help="Count with fvcore and ptflops as well, and print what each of them misses.",
)
@click.option(
    "--memory",
    is_flag=True,
    help="Print activation bytes, and measure a GOP's memory in a fresh process.",
)
@device_option
@click.option(
    "--format", "fmt", type=click.Choice(["md", "csv", "json"]), help="Default: for the terminal."
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
def cost(methods: tuple[str, ...], fmt: str | None, as_json: bool, **given: Any) -> None:
    """Count multiply-accumulates (GMACs) and parameters; with --memory, bytes.

    For example:

    \b
        python bench.py cost -m pspnet -m 'arseg[scale=0.5]' --size 720x960 --classes 12
        python bench.py cost -m arseg --size 720x960 --classes 12 --convention arseg --published
        python bench.py cost -m arseg --size 720x960 --cross-check --memory

    Parameters are those that inference uses, and all that training does. The GOP's mean is (key +
    (L-1) non-key) / L. Conventions:

    macs is what a method multiplies: one multiply-accumulate counts as 1 (what this field's papers
    print as FLOPs) in convolutions, matrix products, local attention and the four taps of a warp;
    nothing that inference does not run.

    Any other one is brought by a method: it counts as that method's paper does, artefacts and all.
    What each of them takes in is said by `bench.py info METHOD`, at the foot of the table and in
    docs/cost.md, as is what --cross-check and --memory print.
    """
    from vssbench.cli.options import check_device
    from vssbench.core import registry
    from vssbench.core.variant import Variant, parse_variant
    from vssbench.cost.conventions import conventions
    from vssbench.cost.tables import flat, printed

    fmt = "json" if as_json else fmt
    wanted = _Wanted(**given)
    if wanted.cross_check and wanted.convention != "macs":
        raise UsageError(
            "--cross-check counts as the convention macs does; leave it or --convention "
            f"{wanted.convention} out"
        )
    if wanted.published and fmt == "csv":
        raise UsageError(
            "--published is a table of its own, and csv holds one: take --format md or json"
        )
    check_device(wanted.device)
    rows = [wanted.row(parse_variant(text)) for text in methods]

    for name in () if methods else registry.classes("methods"):
        try:
            rows.append(wanted.row(Variant(name)))
        except Exception as error:  # a plug-in may fail in any way; the others are counted
            registry.leave_out("methods", name, str(error) or type(error).__name__)
    if not rows:
        raise UsageError("no method could be counted; the lines above say why")
    gop = wanted.gop
    if fmt == "json":
        click.echo(json.dumps([_plain(row, gop) for row in rows], indent=2))
    elif fmt == "csv":
        click.echo(flat([_plain(row, gop) for row in rows]), nl=False)
    else:
        click.echo(printed(rows, gop, "github" if fmt == "md" else "simple"))
    summary = conventions()[wanted.convention].summary
    click.echo(
        f"input {wanted.size[0]}x{wanted.size[1]}, {wanted.classes} classes; "
        f"convention {wanted.convention}: {summary}",
        err=True,
    )


def _plain(row: dict[str, Any], gop: int) -> dict[str, Any]:
    """Return a row as JSON takes it."""
    return {
        name: value.record(gop) if name == "cross_check" else value for name, value in row.items()
    }
