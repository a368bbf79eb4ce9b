"""``bench.py plot``: accuracy against GMACs, accuracy against distance from the keyframe."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.options import runs_option


@click.command()
@click.argument("kind", type=click.Choice(["pareto", "distance"]))
@runs_option
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="PNG, PDF or SVG.")
def plot(kind: str, runs: Path, out: Path) -> None:
    """Draw mIoU against GMACs a frame (pareto) or against the distance from the keyframe (distance).

    For example:

    \b
        python bench.py plot pareto -o pareto.pdf
    """
    from vssbench.progress import messages
    from vssbench.report import plots
    from vssbench.report.rows import rows
    from vssbench.store import RunStore

    draw = {"pareto": plots.pareto, "distance": plots.distance}[kind]
    left_out = draw(rows(RunStore(runs).runs()), out)
    for name in left_out:
        messages().print(f"left out: {name}")
    messages().print(f"wrote {out}")
    click.echo(out)
