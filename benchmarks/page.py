"""Benchmark of the page of ``bench.py report`` in a headless Chromium: its size, and the time until
it can be used.

It can be used when its load event has passed: tables, filters and plots have their scripts then.
Beside the wall time stands the processor time of the page's main thread, which other work on the
machine changes less.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from common import figures, spread

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: what the page may take
MOST_SECONDS, MOST_MB = 2.0, 12.0
#: milliseconds that are waited for anything at most
PATIENCE = 240_000
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def loading(browser: Browser, path: Path) -> dict[str, float]:
    """Open the page in a new context; return the seconds until it can be used, and until the first
    plot stands there when it is scrolled to."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.resolve().as_uri(), wait_until="load")
        page.wait_for_function(f"{_LOADED} > 0")
        loaded = page.evaluate(_LOADED) / 1000
        busy = _busy(session)
        chart = page.locator(".chart").first
        if chart.count():
            chart.scroll_into_view_if_needed()
            page.locator(".chart[data-drawn]").first.wait_for(state="attached")
        return {"usable, wall": loaded, "usable, cpu": busy, "first plot, cpu": _busy(session)}


def _busy(session: Any) -> float:
    """Return the processor time of the main thread's tasks."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@click.command()
@click.argument("page", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file of --json where it is there.")
def main(page: Path, rounds: int, output: Path | None, force: bool) -> None:
    """Time PAGE, which `bench.py report` wrote. Exit status 1 where it is over a limit."""
    with figures(output, force, rounds=rounds) as measured:
        from playwright.sync_api import sync_playwright

        size = page.stat().st_size / 1e6
        measured["MB"] = size
        with sync_playwright() as playwright:
            found = next(filter(None, map(shutil.which, NAMES)), None)
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            times = [loading(browser, page) for _ in range(rounds + 1)][1:]
            browser.close()
        click.echo(f"size                {size:8.2f} MB")
        for name in times[0]:
            measured[name] = [each[name] for each in times]
            click.echo(f"{name:20}{spread(measured[name], ' s')}")
    over = [size > MOST_MB, min(measured["usable, cpu"]) > MOST_SECONDS]
    if any(over):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
