"""The page in a real headless Chromium: no error, nothing asked of anywhere, filters, sorting,
keyboard, light, dark and a phone's width.

It needs Playwright (in the extra ``dev``) and a Chromium, Debian's or Playwright's own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.report.test_page import EVIL, MADE
from tests.report.test_scores import record, write
from vssbench.report.page.content import content
from vssbench.report.page.document import render
from vssbench.report.page.pictures import (
    Loop,
    Picture,
    Pictures,
    Scene,
    Series,
    Strip,
    Tile,
    photograph,
)
from vssbench.report.rows import rows
from vssbench.run.store import RunStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: what a reader of the page waits for at most, in ms; nothing is timed
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install 'vssbench[dev]'"
    )
    with api.sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not Path(found).is_file():
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three methods under two codecs, whose names would run if they were markup."""
    folder = tmp_path_factory.mktemp("page")
    store = RunStore(folder / "runs")
    for codec, rate in (("h264[bitrate=1M]", 987.0), ("hevc[bitrate=1M]", 950.0)):
        given: dict[str, Any] = {
            "codec": codec, "codec_name": codec[:4].upper(), "bitrate_kbps": rate,
            "classes": [EVIL, "b"], "params": 4_000_000, "command": f"bench.py run {EVIL}",
        }  # fmt: skip
        for place, (method, wrong, cost) in enumerate(
            (("good", 0.10, 9.0), ("poor", 0.20, 3.0), ("evil", 0.15, 1.0))
        ):
            name = f"{EVIL}<b>bold" if method == "evil" else method.upper()
            counted = codec[:4] == "h264" and method != "evil"
            write(
                store, method, record(wrong, place), cost, run_id=f"{method}-{codec[:4]}",
                display=name, joules_gop=2 * cost if counted else None, **given,
            )  # fmt: skip
    page = content(store, rows(store.runs()))
    path = folder / "report.html"
    path.write_text(render(page, "A report", MADE, drawn()), encoding="utf-8")
    return path


def drawn() -> Pictures:
    """Return small pictures for the first conditions: a strip, and a loop of three frames."""
    sources = tuple(
        photograph(np.full((24, 32, 3), shade, np.uint8), 32) for shade in (30, 120, 220)
    )
    tiles = (
        Tile("The frame", (Picture(sources[0], EVIL),)),
        Tile(EVIL, (Picture(sources[1], "prediction"),), 0, "mIoU 1 %"),
    )
    loop = Loop("Frames", (Series("The frames", sources), Series(EVIL, sources[::-1], 0)), 32, 24)
    strip = Strip(f"Frame 3 of {EVIL}", tiles, 32, 24)
    return Pictures((Scene(0, ((EVIL, "#804020"),), (strip,), loop),), (f"A note of {EVIL}",))


class Visit:
    """A page that is open in the browser, with what it said and asked for."""

    def __init__(self, browser: Browser, file: Path, **given: Any) -> None:
        self.context = browser.new_context(**given)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def plot(self, kind: str, place: int = 0) -> str:
        """Bring a plot into view, and return the selector of its chart once it is drawn."""
        self.page.locator(f'[data-plot="{kind}"] .panel:not([hidden])').nth(place).evaluate(
            "box => box.scrollIntoView()"
        )
        selector = f'[data-plot="{kind}"] .panel:nth-child({place + 1}) .chart'
        self.until("chosen => !!document.querySelector(chosen).dataset.drawn", selector)
        return selector

    def until(self, true: str, given: Any = None) -> None:
        """Wait until a function of the page returns true. Playwright's own waiting evaluates texts
        inside the page, which the page's policy refuses."""
        for _ in range(PATIENCE // 50):
            if self.page.evaluate(true, given):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"never came true: {true}")

    def drawn(self, selector: str, count: int) -> None:
        """Wait until a chart shows so many runs."""
        self.until(
            "([chosen, count]) => document.querySelector(chosen).dataset.drawn === count &&"
            "new Set(document.querySelector(chosen).data.filter(t => t.customdata)"
            ".map(t => t.customdata[0])).size === Number(count)",
            [selector, str(count)],
        )

    def lines(self) -> list[str]:
        """Return the first cells of the lines of results that are shown."""
        shown = self.page.locator("table.results tbody tr:not([hidden]) th")
        return [text.strip() for text in shown.all_text_contents()]


@pytest.fixture
def visit(browser: Browser, file: Path) -> Iterator[Visit]:
    opened = Visit(browser, file, viewport={"width": 1280, "height": 900})
    yield opened
    opened.context.close()


def test_no_error_and_nothing_is_asked_of_anywhere(visit: Visit, file: Path) -> None:
    for kind in ("cost", "distance"):
        visit.drawn(visit.plot(kind), 3)
        visit.drawn(visit.plot(kind, 1), 3)
    for name in ("latency", "params", "gmacs"):
        visit.page.select_option("#axis", name)
    visit.page.check("#log")
    visit.page.uncheck("#bars")
    visit.page.locator("#theme").click()
    visit.page.wait_for_timeout(100)
    assert visit.said == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [file.as_uri()]


def test_the_policy_stops_what_would_leave_the_page(visit: Visit) -> None:
    stopped = visit.page.evaluate(
        """() => new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (e) => resolve(e.effectiveDirective));
            fetch("http://127.0.0.1:9/").catch(() => {});
        })"""
    )
    assert stopped == "connect-src"
    assert not [url for url in visit.asked if url.startswith("http")]
    visit.page.evaluate(
        "() => { const bad = document.createElement('script');"
        "bad.textContent = 'window.ran = 1'; document.body.append(bad); }"
    )
    assert visit.page.evaluate("window.ran") is None


def test_texts_stay_texts_in_tables_and_plots(visit: Visit) -> None:
    heading = visit.page.locator("table.heat thead th").nth(1)
    assert heading.inner_text().strip().startswith(EVIL)
    chart = visit.plot("cost")
    shown = visit.page.evaluate(
        """(chosen) => {
            const chart = document.querySelector(chosen);
            const at = chart.data.findIndex((t) => t.customdata && t.text[0].includes("script"));
            Plotly.Fx.hover(chart, [{ curveNumber: at, pointNumber: 0 }]);
            return chart.querySelector(".hoverlayer").textContent;
        }""",
        chart,
    )
    assert f"{EVIL}<b>bold" in shown
    legend = visit.page.locator("#cost .legend li").all_inner_texts()
    assert f"{EVIL}<b>bold" in [text.strip() for text in legend]
    assert visit.page.locator("main script").count() == 0
    assert visit.said == []


def test_a_filter_changes_tables_plots_and_verdicts(visit: Visit) -> None:
    page = visit.page
    cost, distance = visit.plot("cost"), visit.plot("distance")
    visit.drawn(cost, 3)
    assert len(visit.lines()) == 6
    page.get_by_label("POOR", exact=True).check()
    assert visit.lines() == ["POOR", "POOR"]
    assert page.locator("#count").inner_text() == "2 of 6 runs"
    assert page.locator("table.heat tbody tr:not([hidden])").count() == 2
    assert page.locator("details.facts[data-run]:not([hidden])").count() == 2
    visit.plot("cost")
    visit.drawn(cost, 1)
    visit.plot("distance")
    visit.drawn(distance, 1)
    page.get_by_label("HEVC", exact=True).check()
    assert visit.lines() == ["POOR"]
    assert page.locator("#verdicts article:not([hidden])").count() == 1
    assert page.locator('[data-plot="cost"] .panel:not([hidden])').count() == 1
    page.get_by_text("Show all", exact=True).first.click()
    visit.until("() => document.querySelector('#count').textContent === '6 runs'")
    page.get_by_label("Words").fill("hevc good")
    assert visit.lines() == ["GOOD"]
    page.get_by_label("Words").fill("no such word")
    assert visit.lines() == []
    assert page.locator("#verdicts .none").is_visible()
    assert visit.said == []


def test_energy_is_drawn_where_it_was_measured(visit: Visit) -> None:
    chart = visit.plot("cost")
    visit.page.select_option("#axis", "energy")
    visit.until(
        "chosen => document.querySelector(chosen).layout.xaxis.title.text.startsWith('energy')",
        chart,
    )
    drawn = visit.page.evaluate(
        "chosen => document.querySelector(chosen).data.filter(t => t.customdata).map(t => t.x[0])",
        chart,
    )
    assert sorted(drawn) == [6.0, 18.0]
    lacking = visit.page.locator('[data-plot="cost"] .lacking')
    said = f"Not drawn (no energy of a frame, J): {EVIL}<b>bold."
    assert lacking.nth(0).inner_text() == said
    visit.page.select_option("#axis", "gmacs")
    visit.until("() => !document.querySelector('.lacking').textContent", None)
    visit.page.select_option("#axis", "energy")
    panels = visit.page.locator('[data-plot="cost"] .panel')
    panels.nth(1).evaluate("box => box.scrollIntoView()")
    visit.until("() => !document.querySelectorAll('[data-plot=\"cost\"] .empty')[1].hidden", None)
    assert (
        "Energy was not measured of 4 of 6 runs" in visit.page.locator("#cost .hint").inner_text()
    )
    assert visit.said == []


def test_headings_sort_by_keyboard(visit: Visit) -> None:
    page = visit.page
    names = page.locator("table.results thead button").all_inner_texts()
    at = [name.strip() for name in names].index("GMACs/frame")
    heading = page.locator("table.results thead button").nth(at)
    for key, way, order in (("Enter", "descending", -1), ("Space", "ascending", 1)):
        heading.focus()
        page.keyboard.press(key)
        assert page.locator(f"table.results th[aria-sort={way}]").count() == 1
        cells = page.locator(f"table.results tbody tr td:nth-child({at + 1})").all_inner_texts()
        values = [float(text) for text in cells]
        assert values == sorted(values, key=lambda value, order=order: order * value)


def test_everything_is_reached_by_keyboard(visit: Visit) -> None:
    page = visit.page
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.outerHTML.slice(0, 40)"))
    for wanted in ('class="skip"', 'id="theme"', 'id="words"', "data-facet", 'class="scroll"'):
        assert any(wanted in each for each in reached), wanted


def test_a_point_leads_to_its_line(visit: Visit) -> None:
    chart = visit.plot("cost")
    number = visit.page.evaluate(
        """(chosen) => {
            const chart = document.querySelector(chosen);
            const trace = chart.data.find((t) => t.customdata);
            chart.emit("plotly_click", { points: [{ customdata: trace.customdata[0] }] });
            return trace.customdata[0];
        }""",
        chart,
    )
    assert visit.page.locator("table.results tr.found").get_attribute("data-run") == str(number)


def test_the_loop_is_turned_by_its_slider(visit: Visit) -> None:
    page = visit.page
    slider, picture = page.locator("[data-loop] input"), page.locator("[data-loop] img").first
    slider.scroll_into_view_if_needed()
    sources = str(picture.get_attribute("data-frames")).split()
    assert len(set(sources)) == 3
    for place in (2, 0, 1):
        slider.fill(str(place))
        assert picture.get_attribute("src") == sources[place]
        assert page.locator("[data-loop] output").inner_text() == f"distance {place}"
    button = page.locator("[data-loop] button")
    assert button.inner_text() == "Play"
    button.click()
    assert button.inner_text() == "Pause"
    visit.until("source => document.querySelector('[data-loop] img').src !== source", sources[1])


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
)
def test_light_dark_and_a_phones_width(
    browser: Browser, file: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    phone = width < 500
    visit = Visit(
        browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme,
        has_touch=phone, is_mobile=phone, reduced_motion="reduce",
    )  # fmt: skip
    page = visit.page
    visit.drawn(visit.plot("cost"), 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#filters").evaluate("its => its.open") is not phone
    ground, ink = page.evaluate(
        """() => ["backgroundColor", "color"].map((name) => {
            const parts = getComputedStyle(document.body)[name].match(/\\d+/g).map(Number);
            return (parts[0] + parts[1] + parts[2]) / 3;
        })"""
    )
    assert (ground > 200 and ink < 60) if scheme == "light" else (ground < 60 and ink > 200)
    words = page.locator(f"{visit.plot('cost')} .xtick text").first
    text = words.evaluate("its => getComputedStyle(its).fill.match(/\\d+/g).map(Number)[0]")
    assert abs(text - ground) > 70
    picture = tmp_path / f"{scheme}-{width}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 10_000
    assert visit.said == []
    visit.context.close()


def test_without_scripts_the_numbers_are_there(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    text = page.locator("table.results").inner_text()
    assert "GOOD" in text
    assert page.locator("#verdicts article").count() == 2
    assert page.locator("noscript").first.inner_text().startswith("Filters, sorting and plots")
    context.close()
