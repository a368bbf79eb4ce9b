"""``bench.py doctor``: whether the installation works, and the report of a fault."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import rich_click as click

from vssbench.cli.options import force_option, runs_option


@click.command()
@runs_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md",
    help="Write a bug report in Markdown, without names of people, machines and folders.",
)
@click.option("--probe", is_flag=True, help="Prove each codec's motion vectors on a known pan too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@force_option
def doctor(runs: Path, out: Path | None, probe: bool, as_json: bool, force: bool) -> None:
    """Check the installation: Python, packages, torch, codecs, compiler, weights, folders.

    For example:

    \b
        python bench.py doctor
        python bench.py doctor --probe -o report.md

    Exit status: 1 where something that is needed fails, else 0.
    """
    from vssbench.cli.installation import bug_report, findings, masked
    from vssbench.core.files import write_text
    from vssbench.core.outputs import check_output

    if out is not None:
        check_output(out, (runs,), force)
    marks = {"ok": "ok", "missing": "--", "fault": "!!"}
    found = []
    for each in findings(runs, probe):
        found.append(each)
        if not as_json:
            click.echo(f"{marks[each.state]}  {each.subject:<24} {each.found}")
            if each.remedy:
                click.echo(f"{'':<29}{each.remedy}")
    if as_json:
        shown = [{key: masked(value) for key, value in asdict(each).items()} for each in found]
        click.echo(json.dumps(shown, indent=2))
    if out is not None:
        write_text(out, bug_report(found))
        click.echo(f"wrote {out}; read it before you send it", err=True)
    faults = [each.subject for each in found if each.state == "fault"]
    if faults:
        click.echo(f"{len(faults)} of {len(found)} checks fail: {', '.join(faults)}", err=True)
        sys.exit(1)
