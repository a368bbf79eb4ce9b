"""``bench.py new``: the first files of a method or a dataset of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import rich_click as click


@click.command()
@click.argument("kind", type=click.Choice(["method", "dataset"]))
@click.argument("name")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a package of its own into this folder. Without it: the files of the checkout that "
    "is the current folder, elsewhere a package in vssbench-NAME.",
)
def new(kind: Literal["method", "dataset"], name: str, out: Path | None) -> None:
    """Begin a method or a dataset of your own: code that runs, and its test.

    For example:

    \b
        python bench.py new method my_net
        python bench.py new dataset my_drives -o ~/my_drives
    """
    from vssbench.cli.scaffold import checkout_here, scaffold
    from vssbench.core.home import expanded

    made = scaffold(kind, name, expanded(out) if out else None, checkout_here())
    for path in made:
        click.echo(path)
    suite = f"pytest tests/{kind}s/test_conformance.py -k {name}"
    if made[0].name == "pyproject.toml":
        click.echo(
            f"Next: pip install -e {made[0].parent} pytest, then pytest {made[0].parent}; the "
            f"whole suite of conformance from a checkout: {suite}",
            err=True,
        )
    else:
        click.echo(f"Next: pytest {made[1]}; the whole suite of conformance: {suite}", err=True)
