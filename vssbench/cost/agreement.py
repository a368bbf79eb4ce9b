"""The table of the three counters in ``docs/cost.md``: ``python -m vssbench.cost.agreement --write
docs/cost.md``."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from tools.fidelity import write_block
from vssbench.core.variant import parse_variant
from vssbench.cost.crosscheck import TOLERANCE, CrossCheck, Tally, cross_check, kind

BEGIN = "<!-- counters: written by python -m vssbench.cost.agreement --write docs/cost.md -->"
END = "<!-- counters end -->"

#: networks that run anew on every frame and have no operator of their own
PLAIN = (
    "pspnet", "pspnet[layers=50]", "pspnet[layers=101]", "pspnet[style=semseg]",
    "pspnet[style=semseg,layers=50]",
    "pspnet[style=semseg,layers=101]", "pspnet[style=mmseg]", "pspnet[style=mmseg,layers=50]",
    "pspnet[style=mmseg,layers=101]",
    "pspnet[scale=0.5]", "bisenet", "bisenet[form=mmseg]", "bisenet[form=ooooverflow]",
    "bisenet[form=torchseg]",
    "bisenet[form=torchseg,backbone=xception39]", "bisenet[form=torchseg,backbone=resnet101]",
    "bisenet[form=torchseg_speed]",
    "icnet", "icnet[backbone=resnet18]", "icnet[form=liminn]", "icnet[form=mmseg]", "dsrl",
    "dsrl[base=bisenet]",
    "dsrl[base=pspnet18]", "dsrl[base=deeplabv3plus101,form=dootmaan]",
    "dsrl[sssr=off,sisr=off,fa=off]",
)  # fmt: skip
#: methods that reuse a keyframe
REUSING = (
    "arseg", "arseg[backbone=bise18]", "arseg[style=semseg]", "arseg[warp=paper]",
    "arseg[warp=off]", "arseg[grouped=off]",
    "arseg[fusion=global]", "arseg[fusion=conv]", "arseg[fusion=none]", "arseg[fusion=warp]",
    "arseg[location=ntask]",
    "arseg[location=nfeat]", "dff", "dff[motion=codec]", "dff[flow=half]", "dff[flow=inception]",
    "dff[flow=narrow]",
    "dff[backbone=resnet18]", "dff[backbone=resnet50]", "dff[backbone=psp18,style=upsample]",
    "copy", "warp",
)  # fmt: skip

#: additions of a smaller share of the products are not worth a word
_SHOWN = 1e-4

_CLASSES, _SIZE, _GOP = 12, (720, 960), 12
HEAD = ("variant", "frame", "torch", "fvcore", "ptflops", "why they differ", "counted in addition")
ALIGN = ("left", "left", "right", "right", "right", "left", "left")


def lines(method: str, check: CrossCheck, gop: int) -> list[list[str]]:
    """A method's lines: each frame that differs, and the GOP's mean."""
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


def render(methods: Sequence[str]) -> str:
    """The table as Markdown, at 720x960 with 12 classes."""
    body = []
    for method in methods:
        check = cross_check(parse_variant(method), _CLASSES, *_SIZE)
        body += lines(f"`{method}`", check, _GOP)
    return tabulate(body, HEAD, tablefmt="github", disable_numparse=True, colalign=ALIGN)


def passed_over(methods: Sequence[str]) -> str:
    """Write as Markdown the operators that each tool does not name or counts as nothing."""
    body = []
    for method in methods:
        check = cross_check(parse_variant(method), _CLASSES, *_SIZE)
        for frame, tallies in check.frames().items():
            body += [
                (f"`{method}`", frame, tool, ignored(tally)) for tool, tally in tallies.items()
            ]
    return tabulate(
        body,
        ("variant", "frame", "tool", "not counted, with the number of calls"),
        tablefmt="github",
    )


def block() -> str:
    """All tables."""
    return (
        f"### Plain networks\n\n{render(PLAIN)}\n\n### Methods that reuse a "
        f"keyframe\n\n{render(REUSING)}\n\n"
        f"### Not counted, as in the convention macs\n\n{passed_over(('pspnet', 'arseg', 'dff'))}"
    )


def main() -> None:
    """Print the tables, or write them into a document."""
    write_block("GMACs by three counters, as Markdown.", block, BEGIN, END)


if __name__ == "__main__":
    main()
