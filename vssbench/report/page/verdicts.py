"""Sentences that say what paired intervals decide between methods measured under the same
conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vssbench.core.errors import DataError
from vssbench.metrics.draws import Interval
from vssbench.report.columns import Group, percent, quantity
from vssbench.report.compare import Comparison, comparison
from vssbench.report.counted import names_of_row
from vssbench.report.headings import keyframes_alone
from vssbench.report.rows import Row
from vssbench.report.scores import Rules, interval_text
from vssbench.run.store import RunStore

#: how a comparison's note begins that says why it has no interval
NO_INTERVAL = "No interval"


@dataclass(frozen=True)
class Verdict:
    """One set of conditions: its methods, best mIoU first, the best compared with each other one.

    ``unsaid`` says of methods that could not be compared why not.
    """

    title: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    unsaid: tuple[str, ...] = ()

    @property
    def best(self) -> Row:
        """The method of the greatest mIoU."""
        return self.rows[0]

    @cached_property
    def worse(self) -> tuple[Comparison, ...]:
        """The comparisons whose interval says that the best is better."""
        return tuple(item for item in self.comparisons if _decided(item.whole.interval))

    @cached_property
    def same(self) -> tuple[Comparison, ...]:
        """The comparisons in which no frame tells the two methods apart."""
        return tuple(item for item in self.comparisons if _same(item.whole.interval))

    @cached_property
    def even(self) -> tuple[Comparison, ...]:
        """The other comparisons whose interval does not tell the two methods apart."""
        decided = (*self.worse, *self.same)
        return tuple(item for item in self.comparisons if item not in decided)

    @property
    def sentences(self) -> list[str]:
        """Say in words what is decided: accuracy, then cost, then the distance."""
        if not self.comparisons:
            only = f"{self.best['display']} has a mIoU of {percent(self.best['miou'])} %."
            return [only, *self.unsaid] if self.unsaid else [
                f"{only} It was measured alone here: there is nothing to compare it with."
            ]  # fmt: skip
        said = [self.headline, *self._accuracy(), *self._open(), *self._cost(), *self._distance()]
        return [*said, *self.unsaid]

    @property
    def headline(self) -> str:
        """Name the best method, and say whether its intervals exclude all others."""
        name, score = self.best["display"], percent(self.best["miou"])
        others = len(self.rows) - 1 - len(self.same)
        if self.same:
            return self._headline_of_several(others, score)
        if len(self.worse) == others:
            whom = "the other method" if others == 1 else f"all {others} others"
            return f"{name} is the most accurate, {score} %: better than {whom}."
        whom = (
            "the other method" if others == 1 else f"{others - len(self.worse)} of {others} others"
        )
        return f"{name} has the greatest mIoU, {score} %, but is not told apart from {whom}."

    def _headline_of_several(self, others: int, score: str) -> str:
        """Name the methods that are the same on every frame and the best."""
        names = [self.best["display"], *(item.names[1] for item in self.same)]
        said = f"{', '.join(names[:-1])} and {names[-1]} have the same mIoU, {score} %"
        if not others:
            return f"{said}: the same on every frame."
        open_ones = others - len(self.worse)
        if not open_ones:
            return f"{said}, and are better than all others."
        return f"{said}, the greatest, but are not told apart from {open_ones} of {others} others."

    def _accuracy(self) -> list[str]:
        """Say by how much the best is better than others, and from which it is not told apart."""
        said = [f"It is better than {_differences(self.worse)}."] if self.worse else []
        if self.even:
            said.append(f"It is not told apart from {_differences(self.even, brackets=True)}.")
        return said

    def _open(self) -> list[str]:
        """Say how many more frames would tell apart what is not."""
        settled = [(item.names[1], item.frames_to_settle) for item in self.even]
        known = [f"about {_rounded(more)} for {name}" for name, more in settled if more]
        if not known:
            return []
        return [
            "Labelled frames like these that would settle it, beside the "
            f"{self.even[0].frames} scored: {_listed(known)}."
        ]

    def _cost(self) -> list[str]:
        """Say what the cheapest method that is as good costs, and what the cheapest of all does."""
        costs = {row["display"]: row["gmacs_gop"] for row in self.rows if row["gmacs_gop"]}
        own = costs.get(self.best["display"])
        if own is None or len(costs) < 2:
            return []
        unit = "GMACs a keyframe" if keyframes_alone(self.best) else "GMACs a frame"
        said = []
        alike = (*self.same, *self.even)
        equal = [name for name in (item.names[1] for item in alike) if name in costs]
        like = min(equal, key=costs.__getitem__, default=None)
        if like is not None and costs[like] < own:
            said.append(
                f"The cheapest of those not told apart from it is {like}: "
                f"{_work(costs[like], own, unit)}."
            )
        cheapest = min(costs, key=costs.__getitem__)
        if cheapest == self.best["display"]:
            said.append(f"It is the cheapest, too: {quantity(own)} {unit}.")
        elif cheapest != like:
            lost = next(
                (
                    100 * item.whole.interval.value
                    for item in self.comparisons
                    if item.names[1] == cheapest and item.whole.interval
                ),
                None,
            )
            behind = "" if lost is None else f", {lost:.2f} points behind"
            said.append(f"The cheapest is {cheapest}: {_work(costs[cheapest], own, unit)}{behind}.")
        return said

    def _distance(self) -> list[str]:
        """Say over which method the best's lead grows most from the keyframe to the greatest
        distance, and over which it shrinks most."""
        moved = {
            place: leads[1] - leads[0]
            for place, item in enumerate(self.comparisons)
            if (leads := _leads(item)) is not None
        }
        if not moved:
            return []
        said = []
        for word, place in (
            ("grows", max(moved, key=moved.__getitem__)),
            ("shrinks", min(moved, key=moved.__getitem__)),
        ):
            if moved[place] * (1 if word == "grows" else -1) > 0:
                said.append(_moving(self.comparisons[place], word))
        return said


def _leads(item: Comparison) -> tuple[float, float] | None:
    """Return how far the first is ahead at the keyframe and at the greatest distance, fractions;
    None where there are no two."""
    ends = (item.distances[:1], item.distances[1:][-1:])
    leads = [
        line.first - line.second
        for end in ends
        for line in end
        if line.first is not None and line.second is not None
    ]
    return (leads[0], leads[1]) if len(leads) == 2 else None


def _moving(item: Comparison, word: str) -> str:
    """Say how the lead over a method moves with the distance, in points."""
    first, last = _leads(item) or (0.0, 0.0)
    interval = item.distances[-1].interval
    until = f"{100 * last:+.2f}" if interval is None else interval_text(interval, "+")
    why = " (no interval: too few frames at that distance)" if interval is None else ""
    return (
        f"With the distance the lead over {item.names[1]} {word} most: from {100 * first:+.2f} "
        f"points at the keyframe to {until} points {item.distances[-1].name} frames after it{why}."
    )


def _same(interval: Interval | None) -> bool:
    return interval is not None and interval.low == interval.value == interval.high == 0


def _rounded(number: int) -> str:
    """Write an estimate with the two digits that it is good for."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _decided(interval: Interval | None) -> bool:
    return interval is not None and interval.excludes_zero


def _differences(items: Sequence[Comparison], brackets: bool = False) -> str:
    """Name methods with how far they lie behind, in points, and its interval."""
    texts = []
    for item in items:
        name, interval = item.names[1], item.whole.interval
        points = "no interval" if interval is None else f"{interval_text(interval, '+')} points"
        texts.append(f"{name} ({points})" if brackets or not interval else f"{name} by {points}")
    return _listed(texts)


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{'; '.join(texts[:-1])}; and {texts[-1]}"


def _work(cost: float, own: float, unit: str) -> str:
    return f"{quantity(cost)} {unit}, {100 * cost / own:.0f} % of the best's work"


def verdict(store: RunStore, part: Group) -> Verdict | None:
    """Compare the best method under some conditions with each other one; None where none ran.

    ``part`` has its names told apart.
    """
    measured = tuple(row for row in part.rows if row["miou"] is not None)
    if not measured:
        return None
    best, found, unsaid = measured[0], [], []
    rules = Rules(left_out=names_of_row(best))
    for row in measured[1:]:
        names = (best["display"], row["display"])
        try:
            item = comparison((best, row, names), (store, store), part.title, rules)
        except DataError as error:
            unsaid.append(f"{names[1]} is not compared: {error}")
            continue
        found.append(item)
        if item.whole.interval is None:
            why = (note for note in item.notes if note.startswith(NO_INTERVAL))
            unsaid += [f"{names[1]}: {note}" for note in why]
    return Verdict(part.title, measured, tuple(found), tuple(dict.fromkeys(unsaid)))


def overall(found: Sequence[Verdict]) -> list[str]:
    """Say over several sets of conditions how often each method was the best, or not told apart
    from it."""
    contested = [item for item in found if item.comparisons]
    if len(contested) < 2:
        return []
    best = Counter(
        name
        for item in contested
        for name in (item.best["display"], *(each.names[1] for each in item.same))
    )
    even = Counter(each.names[1] for item in contested for each in item.even)
    worse = Counter(each.names[1] for item in contested for each in item.worse)
    names = sorted({*best, *even, *worse}, key=lambda name: (-best[name], -even[name], name))
    said = []
    for name in names:
        met = best[name] + even[name] + worse[name]
        counts = {
            "the greatest mIoU": best[name],
            "not told apart from the greatest": even[name],
            "worse than the greatest": worse[name],
        }
        parts = [f"{words} under {count}" for words, count in counts.items() if count]
        sets = "set" if met == 1 else "sets"
        said.append(f"{name}: {', '.join(parts)} of {met} {sets} of conditions.")
    return said
