"""``bench.py info``: one plug-in in full."""

from __future__ import annotations

import inspect
from typing import Any

import rich_click as click

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.parameters import choices, either
from vssbench.core.variant import format_value, parse_variant


@click.command()
@click.argument("name")
def info(name: str) -> None:
    """Describe a method, dataset, codec or executor: what it is, its parameters, shipped weights,
    where data comes from.

    For example:

    \b
        python bench.py info arseg
    """
    plain = parse_variant(name).name
    kinds = [kind for kind in registry.KINDS if plain in registry.plugins(kind)]
    if not kinds:
        there = "; ".join(f"{kind}: {', '.join(registry.plugins(kind))}" for kind in registry.KINDS)
        raise UsageError(f"nothing is named {plain!r}. There are {there}")
    for kind in kinds:
        _describe(kind, plain)


def _describe(kind: str, name: str) -> None:
    from vssbench.run.identity import origins

    cls: Any = registry.load(kind, name)
    plugin = registry.find(kind, name)
    click.echo(f"{name} ({kind[:-1]}): {plugin.summary}\n")
    click.echo(inspect.getdoc(cls) or "")
    if plugin.entry_point is not None:
        (origin,) = origins([plugin])
        click.echo(f"\nFrom the installed package {origin['distribution']} {origin['version']}")
    parameters, allowed = registry.parameters(cls), choices(cls)
    click.echo("\nParameters and defaults:" if parameters else "\nNo parameters.")
    for key, default in parameters.items():
        named = either(format_value(value) for value in allowed[key]) if key in allowed else ""
        click.echo(f"  {key}={format_value(default)}{named and f' ({named})'}")
    if kind == "methods":
        _describe_method(name, cls)
    if kind == "datasets":
        given = "pass --data-root DIR. " if cls.needs_root else ""
        click.echo(f"\nData: {given}{cls.where()}")


def _describe_method(name: str, cls: Any) -> None:
    from vssbench.core.variant import Variant
    from vssbench.weights.file import open_weights
    from vssbench.weights.network import fitting, weights_name
    from vssbench.weights.shipped import none_here, shipped_folder

    click.echo(f"\nNeeds beside the frame: {', '.join(sorted(cls.needs)) or 'nothing'}")
    for convention, counted in cls.conventions.items():
        click.echo(f"Brings cost --convention {convention}: {counted.summary}")
    files = [open_weights(path) for path in sorted(shipped_folder().glob("*.safetensors"))]
    lender = weights_name(Variant(name))
    mine = [file for file in files if file.variant.name == lender]
    whose = "" if lender == name else f" (those of {lender})"
    missing = none_here()
    none = missing[:1].upper() + missing[1:] or "No weights are shipped."
    click.echo(f"Shipped weights{whose}:" if mine else none)
    for file in mine:
        variant = fitting(
            file.variant
            if lender == name
            else Variant(name, {"scale": file.variant.params.get("scale", 1.0)}),
            file,
        )
        click.echo(f"  {file.path.name}: {variant} on {file.dataset or 'unknown'}")
