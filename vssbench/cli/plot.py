"""``bench.py plot``: accuracy against costs, distance, scale, rate and GOP; times of frames; IoU of
classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows, times_option
from vssbench.cli.options import force_option, read_runs_option

if TYPE_CHECKING:
    from vssbench.report.rows import Row
    from vssbench.report.spread import Spread

#: kind -> what may stand on its x axis, the default first
_X = {"pareto": ("gmacs", "latency", "params", "energy"), "scale": ("scale", "gmacs")}
#: kinds that draw intervals
_SPREAD = ("pareto", "distance", "scale", "gop")


@click.command()
@click.argument(
    "kind",
    type=click.Choice(["pareto", "distance", "scale", "rate", "gop", "latency", "classes"]),
)
@read_runs_option
@choice_options
@times_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="PNG, PDF or SVG.",
)
@click.option(
    "--x",
    "along",
    type=click.Choice(["gmacs", "latency", "params", "energy", "scale"]),
    help="What stands on the x axis: with pareto GMACs a frame (the default), the network's "
    "latency, the parameters or the energy where it was measured; with scale the scale (the "
    "default) or GMACs a frame.",
)
@click.option(
    "--quality", type=click.Choice(["psnr", "ssim"]), help="With rate: of the decoded frames, in "
                                                           "place of mIoU."
)  # fmt: skip
@click.option(
    "--intervals/--no-intervals",
    default=True,
    show_default=True,
    help="Draw 95 % intervals of mIoU with pareto, distance, scale and gop.",
)
@force_option
def plot(
    kind: str, runs: Path, choice: Choice, out: Path, force: bool, intervals: bool, **given: Any
) -> None:
    """Draw mIoU against a cost of a frame (pareto), the distance from the keyframe (distance), the
    scale of families of methods (scale), the measured rate (rate) or the GOP (gop); the time of
    each frame with its deadlines (latency); or the IoU of every class (classes).

    For example:

    \b
        python bench.py plot pareto -o pareto.pdf
        python bench.py plot pareto --x latency --times results/latency -o pareto.pdf
        python bench.py plot scale --x gmacs -m pspnet -m arseg -o scale.png
        python bench.py plot rate --quality psnr -o psnr.png
    """
    from vssbench.core.errors import UsageError
    from vssbench.core.naming import called
    from vssbench.core.outputs import check_output
    from vssbench.core.progress import messages
    from vssbench.report.spread import spread_of
    from vssbench.report.style import check_ending
    from vssbench.run.store import RunStore

    _check(kind, given["along"], given["quality"])
    times: Path | None = given["times"]
    if times is not None and given["along"] != "latency":
        raise UsageError("--times: plot pareto --x latency alone draws them; add --x latency")
    check_ending(out)
    check_output(out, (called(runs), *([] if times is None else [times])), force)
    shown, remark = chosen_rows(runs, choice, times)
    store = RunStore(runs)
    spread = spread_of(store, shown) if intervals and kind in _SPREAD else None
    for name in _drawn(kind, shown, out, store, spread, given):
        messages().print(f"left out: {name}")
    if remark:
        messages().print(remark)
    messages().print(f"wrote {out}")
    click.echo(out)


def _check(kind: str, along: str | None, quality: str | None) -> None:
    """Raise UsageError for an option that the kind of plot does not take."""
    from vssbench.core.errors import UsageError

    if quality is not None and kind != "rate":
        raise UsageError(
            f"--quality is drawn against the rate alone: use plot rate in place of plot {kind}"
        )
    if along is not None and along not in _X.get(kind, ()):
        takes = (
            f"plot {kind} takes --x {' or '.join(_X[kind])}"
            if kind in _X
            else f"plot {kind} takes no --x; plot {' and '.join(_X)} do"
        )
        raise UsageError(f"--x {along}: {takes}")


def _drawn(
    kind: str,
    rows: list[Row],
    out: Path,
    store: Any,
    spread: Spread | None,
    given: dict[str, Any],
) -> list[str]:
    """Draw a plot; return the rows left out, in words."""
    from vssbench.report import frame_times, heat_map, plots, rates, series

    along: Any = given["along"] or _X.get(kind, ("",))[0]
    if kind == "pareto":
        return plots.pareto(rows, out, along, spread)
    if kind == "distance":
        return plots.distance(rows, out, spread)
    if kind == "scale":
        return series.scale(rows, out, along, spread)
    if kind == "gop":
        return series.gop(rows, out, spread)
    if kind == "latency":
        return frame_times.latency(rows, out, frame_times.times_of(store, rows))
    if kind == "classes":
        return heat_map.classes(rows, out)
    if given["quality"] is not None:
        return rates.quality(rows, out, given["quality"])
    return rates.rate(rows, out)
