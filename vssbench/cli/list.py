"""``bench.py list``: what there is."""

from __future__ import annotations

import json

import rich_click as click

from vssbench.core import registry


@click.command("list")
@click.argument("kind", type=click.Choice(list(registry.KINDS)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_plugins(kind: str | None, as_json: bool) -> None:
    """List methods, datasets, codecs and executors, or one of these kinds.

    For example:

    \b
        python bench.py list methods
    """
    kinds = [kind] if kind else list(registry.KINDS)
    if as_json:
        plugins = [plugin for each in kinds for plugin in registry.plugins(each).values()]
        click.echo(
            json.dumps(
                [
                    {"name": item.name, "kind": item.kind, "summary": item.summary}
                    for item in plugins
                ],
                indent=2,
            )
        )
        return
    for each in kinds:
        if kind is None:
            click.echo(f"{each}:")
        for name, plugin in registry.plugins(each).items():
            click.echo(f"  {name:<12} {plugin.summary}")
