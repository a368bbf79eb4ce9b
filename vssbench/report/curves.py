"""A training's curves as a figure: the loss of every epoch, and what the state was worth on
held-out clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vssbench.report.style import MAX_PANELS, PALETTE, Lettering, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: what an entry of the history holds beside the terms of the loss
NOT_A_TERM = frozenset({"phase", "epoch", "seconds", "validation"})

History = Sequence[dict[str, Any]]


def draw_curves(path: Path, history: History, measures: Mapping[str, str], title: str = "") -> None:
    """Write the curves of a training so far to ``path``, a PNG, atomically; a row a phase.

    ``history`` has an entry an epoch, with ``phase``, ``epoch``, the terms of the loss and, where
    the state was judged, ``validation``; ``measures`` names what each phase is judged by.
    """
    phases = list(dict.fromkeys(entry["phase"] for entry in history))[: MAX_PANELS // 2]
    if not phases:
        return
    names = Lettering.of((), [title])
    with sheet(path, 2 * len(phases), names.fonts) as (figure, panels):
        for number, phase in enumerate(phases):
            entries = [entry for entry in history if entry["phase"] == phase]
            _draw_loss(panels[2 * number], phase, entries)
            _draw_score(panels[2 * number + 1], phase, entries, measures[phase])
        if title:
            figure.suptitle(names.spelt(title))


def _draw_loss(axes: Axes, phase: str, entries: History) -> None:
    """Draw each term of the loss, and their sum where there are several."""
    epochs = [entry["epoch"] for entry in entries]
    terms = [key for key in entries[0] if key not in NOT_A_TERM]
    curves = {term: [entry.get(term, float("nan")) for entry in entries] for term in terms}
    if len(terms) > 1:
        curves = {"sum": [sum(values) for values in zip(*curves.values(), strict=True)], **curves}
    for place, (name, values) in enumerate(curves.items()):
        axes.plot(
            epochs,
            values,
            color=PALETTE[place % len(PALETTE)],
            label=name,
            marker="." if len(epochs) < 3 else "",
        )
    if len(curves) > 1:
        axes.legend()
    _name(axes, f"{phase}: loss", entries)


def _draw_score(axes: Axes, phase: str, entries: History, measure: str) -> None:
    """Draw the held-out score of the epochs after which there was one, the best marked and in the
    title."""
    judged = [
        (entry["epoch"], entry["validation"])
        for entry in entries
        if entry.get("validation") is not None
    ]
    _name(axes, f"{phase}: held-out {measure}", entries)
    if not judged:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
        return
    epochs, scores = zip(*judged, strict=True)
    axes.plot(epochs, scores, color=PALETTE[0], marker="o", markersize=3)
    best = min(scores) if measure == "flow error" else max(scores)
    epoch = max(epoch for epoch, score in judged if score == best)
    axes.plot(epoch, best, color=PALETTE[1], marker="*", markersize=9)
    axes.set_title(f"{phase}: held-out {measure}, best {best:.4g} at epoch {epoch}")


def _name(axes: Axes, title: str, entries: History) -> None:
    """Write title and epoch axis of a panel; the panels of a phase show the same epochs, at whole
    numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set(title=title, xlabel="epoch")
    axes.set_xlim(entries[0]["epoch"] - 0.5, entries[-1]["epoch"] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
