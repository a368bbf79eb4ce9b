"""``bench.py cache``: the encoded streams that runs share."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.options import runs_option


@click.group()
def cache() -> None:
    """Show, clear or bound the encoded streams of a results store, and the motion that was read of
    them; runs encode and read again what is missing.

    For example:

    \b
        python bench.py cache info
        python bench.py cache limit 20G
    """


@cache.command("info")
@runs_option
def info(runs: Path) -> None:
    """Say how many streams are kept, the motion of how many, how large all is, and the limit."""
    from vssbench.codec import cache as caches
    from vssbench.core.shown import plural
    from vssbench.sweep.quantities import size_in_words

    folder = runs / ".cache"
    entries = caches.kept(folder)
    motion = sum(entry.is_motion for entry in entries)
    most = caches.limit(folder)
    bound = "no limit" if most is None else f"a limit of {size_in_words(most)}"
    size = size_in_words(sum(entry.size for entry in entries))
    streams = plural(len(entries) - motion, "stream")
    click.echo(f"{folder}: {streams}, motion of {motion}, {size}, {bound}")


@cache.command("clear")
@runs_option
def clear(runs: Path) -> None:
    """Remove every stream, and all motion, that no process reads at this moment."""
    from vssbench.codec import cache as caches
    from vssbench.sweep.quantities import size_in_words

    removed, left = caches.clear(runs / ".cache")
    rest = f"; {left} are in use and stay" if left else ""
    click.echo(f"removed {size_in_words(removed)}{rest}")


@cache.command("limit")
@click.argument("size", metavar="SIZE|none")
@runs_option
def limit(size: str, runs: Path) -> None:
    """Keep at most SIZE, as 20G: what was not read for longest goes first."""
    from vssbench.codec import cache as caches
    from vssbench.core.errors import UsageError
    from vssbench.sweep import quantities

    try:
        most = None if size == "none" else quantities.size(size)
    except ValueError as error:
        raise UsageError(f"{error}, nor none") from error
    removed = caches.set_limit(runs / ".cache", most)
    click.echo(
        f"no limit of {runs / '.cache'}"
        if most is None
        else f"limit of {quantities.size_in_words(most)}; removed "
        f"{quantities.size_in_words(removed)}"
    )
