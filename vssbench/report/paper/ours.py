"""Our value for a published number: a cost that is counted, or a run of the store; and where there
is none, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import Variant, format_value, parse_variant
from vssbench.cost import published as costs
from vssbench.cost.conventions import conventions
from vssbench.cost.gmacs import meta_model, parameters
from vssbench.metrics.bootstrap import intervals
from vssbench.report.counted import unscored_of
from vssbench.report.footnotes import footnotes
from vssbench.report.paper.layout import Paper, Setting
from vssbench.report.rows import Row
from vssbench.run.store import RunStore

#: metrics that are counted, those of accuracy, those of time
COUNTED = ("gmacs", "params", "key_over_nonkey")
ACCURACIES = ("miou", "miou_d", "iou")
TIMES = ("ms", "fps")
#: what one unit of a published cost is, in 1e9 operations or in parameters
_UNITS = {"G": 1.0, "Gi": 2**30 / 1e9, "M": 1e6, "MiB": 2**20 / 4, "x": 1.0}
#: the parameter in which a run of ours may differ and still be shown: the multiplier of channels
_NEAR = "width"
#: how far a published number and one of the table of costs may lie apart, as a part of it
_SAME_COST = 2e-3
#: values that a reason lists at most
_LISTED = 3

Number = Mapping[str, Any]


@dataclass(frozen=True)
class Ours:
    """Our value for a published number, in its unit, and the interval of an accuracy.

    ``reason`` says why there is none, or what differs where a run was not made under the paper's
    conditions (``same`` is then false). ``note`` explains a difference of costs, and names the
    weights of a run; ``counted`` is what is really multiplied, by the convention macs.
    """

    value: float | None = None
    reason: str = ""
    same: bool = False
    low: float | None = None
    high: float | None = None
    run_id: str = ""
    note: str = ""
    counted: float | None = None


@dataclass(frozen=True)
class Store:
    """Runs that may stand for published numbers, and how they are looked up.

    ``exact`` takes none that was made under other conditions; ``intervals`` draws those of
    accuracies.
    """

    rows: Sequence[Row] = ()
    store: RunStore | None = None
    exact: bool = False
    intervals: bool = False
    #: intervals drawn already, by the run
    drawn: dict[str, Any] = field(default_factory=dict)

    def of(self, number: Number, paper: Paper, codec: bool = False) -> Ours:
        """Return what stands here for a published number of a paper.

        A run of another codec does not, in a table that compares ``codec``s.
        """
        if not number["variant"]:
            return Ours(reason="no method here is the one of this row")
        if number["metric"] in COUNTED:
            return counted(number)
        if number["metric"] not in (*ACCURACIES, *TIMES):
            return Ours(reason="not measured by this program")
        return self._run(number, paper, codec)

    def _run(self, number: Number, paper: Paper, codec: bool) -> Ours:
        setting = paper.setting(number)
        if setting is None and number["metric"] in ACCURACIES:
            where = " ".join(filter(None, [number["dataset"], number["split"]]))
            return Ours(reason=f"{where} cannot be scored here as in the paper")
        candidates = [
            (-len(apart), row["created"], row["run_id"], value, apart, row)
            for row in self.rows
            if (value := _measured(number, row, paper)) is not None
            for way in (setting.ways if setting is not None else (None,))
            if (apart := _apart(number, row, way, paper)) is not None
            and not (apart and self.exact)
            and not (codec and way is not None and _codec_apart(row, way))
        ]
        if not candidates:
            said = f"no run of this method{_where(number)} is in the store"
            if number["metric"] in TIMES and number["hardware"]:
                said += f"; the paper timed on {number['hardware']}"
            return Ours(reason=said + self._others(number, paper))
        *_, value, apart, row = max(candidates, key=lambda each: each[:3])
        note = "; ".join(
            [f"With the weights {row['weights']}"] * bool(row["weights"])
            + [line.rstrip(".") for line in footnotes([row])]
        )
        chosen = Ours(value, "; ".join(apart), not apart, run_id=row["run_id"], note=note)
        return self._with_interval(chosen, number, row) if self.intervals else chosen

    def _others(self, number: Number, paper: Paper) -> str:
        """Return what the store's runs of a row's method on its data are, where none stands for
        it; empty where there are none."""
        wanted = parse_variant(number["variant"])
        alike = [
            row
            for row in self.rows
            if parse_variant(row["method"]).name == wanted.name
            and _same_data(number, row, paper)
            and row["status"] == "done"
        ]
        if not alike:
            return ""
        fitting = [
            row
            for row in alike
            if _parameters_apart(wanted, parse_variant(row["method"]), paper) is not None
        ]
        if not fitting:
            return f"; those of {wanted.name} there are {_listed(alike, 'method')}"
        at_gop = [row for row in fitting if number["gop"] in (None, row["gop"])]
        if not at_gop:
            return f"; those there have a GOP of {_listed(fitting, 'gop')}"
        if all(_measured(number, row, paper) is None for row in at_gop):
            return "; those there have no such number"
        if self.exact:
            return "; those there were made under other conditions"
        return f"; those there are under {_codecs(at_gop, paper.setting(number))}"

    def _with_interval(self, chosen: Ours, number: Number, row: Row) -> Ours:
        if number["metric"] not in ("miou", "miou_d") or self.store is None:
            return chosen
        if row["run_id"] not in self.drawn:
            self.drawn[row["run_id"]] = _intervals(self.store, row)
        its = self.drawn[row["run_id"]]
        if its is not None and number["metric"] == "miou_d":
            place = int(number["distance"])
            its = its.by_distance[place] if place < len(its.by_distance) else None
        elif its is not None:
            its = its.miou
        return chosen if its is None else replace(chosen, low=100 * its.low, high=100 * its.high)


def _intervals(store: RunStore, row: Row) -> Any:
    try:
        run = store.get(row["run_id"])
        if run.confusion is None:
            return None
        unscored = unscored_of(run, row)
        return intervals(run.confusion, row["aggregate"], left_out=unscored)
    except DataError:  # too few frames, or arrays that do not read
        return None


def _listed(rows: Sequence[Row], field: str) -> str:
    """Return the different values of some rows, the first of them where they are many."""
    values = list(dict.fromkeys(str(row[field]) for row in rows))
    more = len(values) - _LISTED
    return ", ".join(values[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _codecs(rows: Sequence[Row], setting: Setting | None) -> str:
    """Return the codecs of some rows, those of the paper's codec alone where there are any, and
    the paper's as it is typed here."""
    if setting is None:
        return _listed(rows, "codec")
    name = parse_variant(setting.codec).name
    near = [row for row in rows if parse_variant(row["codec"]).name == name]
    return f"{_listed(near or rows, 'codec')}, not {setting.codec}"


def _same_data(number: Number, row: Row, paper: Paper) -> bool:
    """Return whether a run is on the dataset of a published number, whatever part of it."""
    if not number["dataset"]:
        return True
    names = {
        parse_variant(way.dataset).name
        for setting in paper.settings
        if setting.select.get("dataset") == number["dataset"]
        for way in setting.ways
    }
    return parse_variant(row["dataset"]).name in names


def _where(number: Number) -> str:
    data = f" on {number['dataset']}" if number["dataset"] else ""
    return data + (f" under {number['codec']}" if number["codec"] else "")


def _measured(number: Number, row: Row, paper: Paper) -> float | None:
    """Return what a run has for a metric, in the published number's unit."""
    metric = number["metric"]
    if metric in TIMES:
        key, other, gop = row["latency_key_ms"], row["latency_nonkey_ms"], row["gop"] or 1
        if key is None:
            return None
        mean = key if other is None else (key + (gop - 1) * other) / gop
        return float(mean if metric == "ms" else 1000 / mean)
    if metric == "miou_d":
        curve, place = row["miou_by_distance"], int(number["distance"])
        value = curve[place] if place < len(curve) else None
    elif metric == "iou":
        its = {name.casefold(): iou for name, iou in row["per_class"].items()}
        value = its.get(paper.classes.get(number["class"], number["class"]).casefold())
    else:
        value = row["miou"]
    return None if value is None else 100 * float(value)


def _apart(number: Number, row: Row, setting: Setting | None, paper: Paper) -> list[str] | None:
    """Return what differs between a run and a paper's measurement, in words.

    None where they are not of the same method and dataset at all.
    """
    wanted, ran = parse_variant(number["variant"]), parse_variant(row["method"])
    method = _parameters_apart(wanted, ran, paper)
    if method is None or number["gop"] not in (None, row["gop"]):
        return None
    apart = list(method)
    if number["metric"] in TIMES and number["hardware"] not in row["machine"]:
        apart.append(f"timed on {row['machine'] or 'another processor'}, not {number['hardware']}")
    if setting is not None:
        wanted, ran = parse_variant(setting.dataset), parse_variant(row["dataset"])
        if wanted.name != ran.name:
            return None
        apart += _data_apart(number, row)
    elif not _same_data(number, row, paper):
        return None
    elif number["height"] is not None:
        apart += _size_apart(number, row)
    if setting is not None and number["metric"] in ACCURACIES:
        apart += _stream_apart(number, row, setting)
    return apart


def _parameters_apart(wanted: Variant, ran: Variant, paper: Paper) -> list[str] | None:
    """Return in what a run's method differs where it may; None where it is another method."""
    if wanted.name != ran.name:
        return None
    try:
        asked, has = _folded(wanted, paper), _folded(ran, paper)
    except UsageError:  # of a plug-in that has changed since
        return None
    differing = [key for key in asked if asked[key] != has.get(key)]
    if any(key != _NEAR for key in differing):
        return None
    return [f"{key}={format_value(has[key])}" for key in differing]


def _folded(variant: Variant, paper: Paper) -> dict[str, Any]:
    """Return all parameters of a method, values that count as one the same."""
    same = paper.same.get(variant.name, {})
    return {
        key: same[key][0] if key in same and value in same[key] else value
        for key, value in registry.resolved("methods", variant).items()
    }


def _data_apart(number: Number, row: Row) -> list[str]:
    apart = []
    if number["split"] and row["split"] and row["split"] != number["split"]:
        apart.append(f"split {row['split']}, not {number['split']}")
    if number["classes"] is not None and row["classes"] != number["classes"]:
        apart.append(f"{row['classes']} classes, not {number['classes']}")
    return apart + _size_apart(number, row)


def _size_apart(number: Number, row: Row) -> list[str]:
    size = (number["height"], number["width"])
    if None in size or (row["height"], row["width"]) == size:
        return []
    return [f"{row['height']}x{row['width']}, not {size[0]}x{size[1]}"]


def _stream_apart(number: Number, row: Row, setting: Setting) -> list[str]:
    apart = []
    if _codec_apart(row, setting):
        apart.append(f"{row['codec']}, not {number['codec'] or setting.codec}")
    if parse_variant(setting.protocol) != parse_variant(row["protocol"]):
        apart.append(f"protocol {row['protocol']}, not {setting.protocol}")
    return apart


def _codec_apart(row: Row, setting: Setting) -> bool:
    wanted, ran = parse_variant(setting.codec), parse_variant(row["codec"])
    return wanted.name != ran.name or _spelled(wanted) != _spelled(ran)


def _spelled(codec: Variant) -> dict[str, Any]:
    """Return all parameters of a codec but the GOP, a paper's name as what it stands for."""
    cls = registry.load("codecs", codec.name)
    spell = getattr(cls, "spelled_out", dict)
    typed = Variant(codec.name, spell(codec.params))
    left_out = ("gop", "paper")
    return {
        key: value
        for key, value in registry.resolved("codecs", typed).items()
        if key not in left_out
    }


def counted(number: Number) -> Ours:
    """Return a cost as it is counted here, in the published number's convention and unit."""
    row = _row_of_costs(number)
    unit = _UNITS[number["unit"]]
    if number["metric"] == "params":
        whole, at_inference = _parameters(number["variant"], number["classes"])
        count = whole if row is not None and row.what == "params" else at_inference
        return Ours(count / unit, same=True, note=row.note if row else "")
    convention = number["convention"] or "macs"
    if convention not in conventions():
        return Ours(reason="its source does not say what it counts as an operation")
    if None in (number["height"], number["width"], number["classes"]):
        return Ours(reason="its source states no input size")
    if row is not None:
        value, exact = row.ours(), _true(number, row.what, row.gop)
        return Ours(value / unit, same=True, note=row.note, counted=exact)
    gop = number["gop"]
    what = "gmacs_key" if gop is None else "gmacs_gop"
    if number["metric"] == "key_over_nonkey":
        what = "key_over_nonkey"
    value = _gmacs(number, convention, what, gop)
    return Ours(value / unit, same=True, counted=_true(number, what, gop))


def _true(number: Number, what: str, gop: int | None) -> float | None:
    """Return what is multiplied by the convention macs, None for a ratio."""
    return None if what == "key_over_nonkey" else _gmacs(number, "macs", what, gop)


def _gmacs(number: Number, convention: str, what: str, gop: int | None) -> float:
    its = _cost(number["variant"], convention, number["classes"], number["height"], number["width"])
    if what == "key_over_nonkey":
        return float(its.gmacs_key / its.gmacs_nonkey)
    return float(its.gmacs_gop(gop) if gop is not None else getattr(its, what))


@cache
def _cost(variant: str, convention: str, classes: int, height: int, width: int) -> Any:
    return conventions()[convention].count(parse_variant(variant), classes, height, width)


@cache
def _parameters(variant: str, classes: int) -> tuple[int, int]:
    its = parameters(meta_model(parse_variant(variant), classes))
    return its.training, its.inference


def _row_of_costs(number: Number) -> costs.Published | None:
    """Return the row of the table of costs that has this published number, None where none has.

    A variant's costs are found at its size, whatever unit its source prints.
    """
    whole = number["value"] * _UNITS[number["unit"]]
    size = (number["height"] or 0, number["width"] or 0)
    for row in costs.matching(parse_variant(number["variant"]), number["classes"] or 0, size):
        if _kind(row.what) == number["metric"] and abs(row.value - whole) <= _SAME_COST * whole:
            return row
    return None


def _kind(what: str) -> str:
    return next((kind for kind in ("params", "gmacs") if what.startswith(kind)), what)
