"""The table of the three counters in ``docs/cost.md``: ``python -m tools.counters --write
docs/cost.md``."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from tools.fidelity import write_block
from vssbench.core.variant import parse_variant
from vssbench.cost.agreement import HEAD, ignored, lines
from vssbench.cost.crosscheck import cross_check

BEGIN = "<!-- counters: written by python -m tools.counters --write docs/cost.md -->"
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

_CLASSES, _SIZE, _GOP = 12, (720, 960), 12
_ALIGN = ("left", "left", "right", "right", "right", "left", "left")


def render(methods: Sequence[str]) -> str:
    """Return the table as Markdown, at 720x960 with 12 classes."""
    body = []
    for method in methods:
        check = cross_check(parse_variant(method), _CLASSES, *_SIZE)
        body += lines(f"`{method}`", check, _GOP)
    return tabulate(body, HEAD, tablefmt="github", disable_numparse=True, colalign=_ALIGN)


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
    """Return all tables."""
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
