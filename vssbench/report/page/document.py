"""The page as one HTML file: its template filled, style, script, data and plotly inside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from vssbench.core.shown import plural
from vssbench.core.version import __version__
from vssbench.report.columns import Group
from vssbench.report.page.content import Content, plotted
from vssbench.report.page.pictures import Pictures, none
from vssbench.report.table import finite

TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"
#: what in a JSON text could end the element that holds it, or be read as markup
_MARKUP = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&'\u2028\u2029"})


def render(page: Content, title: str, made: datetime, pictures: Pictures | None = None) -> str:
    """Return the page as HTML that needs nothing beside itself.

    All texts of files are escaped, and a policy inside the page lets no other script run and no
    request leave it.
    """
    shared, titles = _titles(page.conditions)
    script, plotly = _read(SCRIPT), get_plotlyjs().replace("\r\n", "\n")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=DictLoader({TEMPLATE: _read(TEMPLATE)}),
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        page=page,
        pictures=pictures or none(),
        title=title,
        titles=titles,
        shared_title=shared,
        conditions={each.number: titles[each.condition] for each in page.shown},
        summary=_summary(page, made),
        policy=_policy(script, plotly),
        css=Markup(_read(STYLE)),
        script=Markup(_element(script)),
        plotly=Markup(_element(plotly)),
        data=Markup(embedded(plotted(page, titles))),
    )


def embedded(value: object) -> str:
    """Return JSON that can stand in an element of a page whatever texts it holds."""
    return json.dumps(finite(value), allow_nan=False, separators=(",", ":")).translate(_MARKUP)


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _element(script: str) -> str:
    """Return a script as it may stand in its element; none that would end it there."""
    if "</script" in script.lower() or "<!--" in script:
        script = script.replace("<!--", "\\x3C!--").replace("</script", "<\\/script")
    return script


def _policy(*scripts: str) -> str:
    """Return the policy that lets these scripts run, and nothing be asked of anywhere."""
    sums = (hashlib.sha256(_element(script).encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _titles(conditions: Sequence[Group]) -> tuple[str, list[str]]:
    """Return what all conditions share, and of each what is its own, in words."""
    named = [(part.heading.dataset, part.stream(), part.heading.protocol) for part in conditions]
    if len(named) == 1:
        return "", [" / ".join(named[0])]
    same = [len(set(values)) == 1 for values in zip(*named, strict=True)]
    shared = [value for value, each in zip(named[0], same, strict=True) if each]
    own = [
        " / ".join(value for value, each in zip(values, same, strict=True) if not each)
        for values in named
    ]
    return " / ".join(shared), own


def _summary(page: Content, made: datetime) -> str:
    return (
        f"{plural(len(page.shown), 'run')} under {plural(len(page.conditions), 'set')} of "
        "conditions; written "
        f"{made:%Y-%m-%d %H:%M} by vssbench {__version__}."
    )
