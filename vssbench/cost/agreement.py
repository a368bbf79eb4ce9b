"""Where three counters agree on a variant's GMACs, where they do not, and why, in words."""

from __future__ import annotations

from vssbench.cost.crosscheck import TOLERANCE, CrossCheck, Tally, kind

#: additions of a smaller share of the products are not worth a word
_SHOWN = 1e-4

HEAD = ("variant", "frame", "torch", "fvcore", "ptflops", "why they differ", "counted in addition")


def lines(method: str, check: CrossCheck, gop: int) -> list[list[str]]:
    """Return a method's lines: each frame that differs, and the GOP's mean."""
    table = [_line(method, name, tallies) for name, tallies in check.frames().items()]
    if not check.per_frame:
        means = {tool: check.gop(tool, gop) for tool in check.key}
        table.append(
            [method, f"GOP {gop}", *_numbers(means), "as above" if _apart(means) else "", ""]
        )
    return table


def _line(method: str, frame: str, tallies: dict[str, Tally]) -> list[str]:
    products = {tool: tally.products for tool, tally in tallies.items()}
    return [
        method,
        frame,
        *_numbers(products),
        "; ".join(causes(tallies)),
        "; ".join(additions(tallies)),
    ]


def _numbers(values: dict[str, float]) -> list[str]:
    """Format GMACs by tool; what is over the tolerance from torch's is marked."""
    apart = _apart(values)
    return [
        f"{value:.2f}" + (f" ({value / values['torch'] - 1:+.1%})" if tool in apart else "")
        for tool, value in values.items()
    ]


def _apart(values: dict[str, float]) -> set[str]:
    ours = values["torch"]
    return {tool for tool, value in values.items() if abs(value - ours) > TOLERANCE * ours}


def causes(tallies: dict[str, Tally]) -> list[str]:
    """Tell why a tool's multiply-accumulates are not FlopCounterMode's.

    They are told by the operators that it misses, and what that leaves.
    """
    by_cause: dict[str, list[str]] = {}
    ours = tallies["torch"].products
    for tool, tally in tallies.items():
        parts = [f"{name} x{calls} {amount:.3g}" for name, (calls, amount) in tally.missed.items()]
        if parts:
            by_cause.setdefault("no rule for " + ", ".join(parts), []).append(tool)
        rest = tally.completed - ours
        if abs(rest) > 1e-6 * ours:
            by_cause.setdefault(f"{rest:+.3g} that nothing explains", []).append(tool)
        if tally.unknown:
            names = ", ".join(f"{name} x{calls}" for name, calls in tally.unknown.items())
            by_cause.setdefault(
                f"counted as nothing, since no formula is registered for {names}", []
            ).append(tool)
    return [f"{' and '.join(tools)}: {cause}" for cause, tools in by_cause.items()]


def additions(tallies: dict[str, Tally]) -> list[str]:
    """Describe a tool's additions to the multiply-accumulates of products.

    Their share of them is given where that is over the tolerance.
    """
    texts = []
    for tool, tally in tallies.items():
        parts = [
            f"{name} {amount:.3g}"
            for name, amount in tally.beyond.items()
            if amount >= _SHOWN * tally.products
        ]
        share = tally.printed - tally.products
        if parts:
            noted = (
                f" ({share / tally.products:+.1%})"
                if share > TOLERANCE * tally.products > 0
                else ""
            )
            texts.append(f"{tool}: {', '.join(parts)}{noted}")
    return texts


def ignored(tally: Tally) -> str:
    """List the operators that a tool leaves out, as the convention macs does.

    They are told by kind, each with its number of calls.
    """
    kinds: dict[str, list[str]] = {}
    for name, calls in tally.ignored.items():
        kinds.setdefault(kind(name), []).append(f"{name} x{calls}")
    return "; ".join(f"{name}: {', '.join(operators)}" for name, operators in kinds.items())
