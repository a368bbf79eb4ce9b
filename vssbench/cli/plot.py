"""``bench.py plot``: accuracy against GMACs, against the distance from the keyframe, against the
measured rate."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows
from vssbench.cli.options import force_option, runs_option


@click.command()
@click.argument("kind", type=click.Choice(["pareto", "distance", "rate"]))
@runs_option
@choice_options
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="PNG, PDF or SVG.",
)
@click.option(
    "--quality", type=click.Choice(["psnr", "ssim"]), help="With rate: of the decoded frames, in "
                                                           "place of mIoU."
)  # fmt: skip
@force_option
def plot(
    kind: str,
    runs: Path,
    choice: Choice,
    out: Path,
    quality: str | None,
    force: bool,
) -> None:
    """Draw mIoU against GMACs a frame (pareto), the distance from the keyframe (distance) or the
    measured rate (rate).

    For example:

    \b
        python bench.py plot pareto -o pareto.pdf
        python bench.py plot rate -m pspnet -m arseg -o rate.png
        python bench.py plot rate --quality psnr -o psnr.png
    """
    from vssbench.core.errors import UsageError
    from vssbench.core.files import check_output
    from vssbench.core.progress import messages
    from vssbench.report import plots, rates

    if quality is not None and kind != "rate":
        raise UsageError(
            f"--quality is drawn against the rate alone: use plot rate in place of plot {kind}"
        )
    check_output(out, force=force)
    shown, remark = chosen_rows(runs, choice)
    if quality is not None:
        left_out = rates.quality(shown, out, quality)
    else:
        left_out = {"pareto": plots.pareto, "distance": plots.distance, "rate": rates.rate}[kind](
            shown, out
        )
    for name in left_out:
        messages().print(f"left out: {name}")
    if remark:
        messages().print(remark)
    messages().print(f"wrote {out}")
    click.echo(out)
