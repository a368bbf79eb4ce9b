"""ICNet on every frame: a cascade of the image at quarter, half and full size (Zhao et al., ECCV
2018)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import Batch, Phase
from vssbench.core.variant import format_value
from vssbench.methods.icnet.conventions import CONVENTIONS
from vssbench.methods.icnet.forms import LiminnICNet, MmsegICNet
from vssbench.methods.icnet.network import Branches, Fusion, PaperICNet
from vssbench.methods.icnet.network import ICNet as Cascade
from vssbench.methods.icnet.originals import ORIGINALS
from vssbench.methods.icnet.pruning import pruned
from vssbench.methods.icnet.units import FAST_FORMS
from vssbench.nets.perframe import PerFrameSegmenter
from vssbench.nets.resize import resize, scaled_size

#: value of ``backbone`` -> layers of the ResNet
BACKBONES = {"resnet18": 18, "resnet50": 50, "resnet101": 101}
#: value of ``form`` -> the network
FORMS: dict[str, type[LiminnICNet] | type[MmsegICNet] | type[PaperICNet]] = {
    "paper": PaperICNet,
    "liminn": LiminnICNet,
    "mmseg": MmsegICNet,
}


class ICNet(PerFrameSegmenter):
    """Parameters: ``form`` paper (the authors' network), liminn (liminn/ICNet-pytorch) or mmseg
    (open-mmlab); ``backbone`` resnet18, resnet50 or resnet101; ``guidance`` (on, off) cascade label
    guidance in training; ``scale`` of the network's input (1 = full resolution); ``width``
    multiplier of all channels. Of the paper's form alone: ``keep``, the part of the backbone's
    kernels that its compression keeps (0.5 half compressed, 1 uncompressed; ``train --init`` prunes
    weights of a larger one); ``branches``, which branch predicts (sub4, sub24, sub124; Table 2);
    ``fusion`` of branches (cff; dc3, dc5, dc7: Table 3)."""

    originals = ORIGINALS
    conventions = CONVENTIONS
    fast_forms = FAST_FORMS
    free_parameters = ("scale", "branches")
    net: Cascade

    def __init__(
        self,
        classes: int,
        *,
        form: Literal["paper", "liminn", "mmseg"] = "paper",
        backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet50",
        keep: float = 0.5,
        branches: Branches = "sub124",
        fusion: Fusion = "cff",
        guidance: bool = True,
        scale: float = 1.0,
        width: float = 1.0,
    ) -> None:
        if not 0 < keep <= 1:
            raise UsageError(
                f"icnet: keep={keep:g} is not above 0 and at most 1 (0.5 is the paper's, 1 is "
                "uncompressed)"
            )
        self.keep = keep
        self.structure = {
            "form": form,
            "backbone": backbone,
            "fusion": fusion,
            "width": format_value(width),
        }
        layers = BACKBONES[backbone]
        if form == "paper":
            network: Cascade = PaperICNet(
                classes,
                layers,
                width,
                keep=keep,
                branches=branches,
                fusion=fusion,
                guidance=guidance,
            )
        else:
            given = {
                "keep": keep != 0.5,
                "branches": branches != "sub124",
                "fusion": fusion != "cff",
            }
            if any(given.values()):
                names = " and ".join(name for name, differs in given.items() if differs)
                raise UsageError(
                    f"icnet: form={form} has no choice of {names}: leave it out, or take form=paper"
                )
            network = FORMS[form](classes, layers, width, guidance=guidance)
        super().__init__(
            _name(form, layers, keep, branches, fusion, guidance), network, classes, scale, width
        )

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        """Compute cascade label guidance (section 3.4): every branch is compared at its own size,
        whichever predicts at inference."""
        size = scaled_size(batch.label.shape[-2], batch.label.shape[-1], self.scale)
        feature, extra = self.net.features(resize(self.normalise(batch.image), size))
        return self.net.losses(self.net.final(feature), extra, batch.label, batch.class_weights)

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        """Begin from weights of the same network; those of a larger ``keep`` are pruned to this
        one's, by the L1 norms of their filters."""
        held = float(source.get("keep", self.keep))
        if (
            source.get("name") != "icnet"
            or not isinstance(self.net, PaperICNet)
            or held == self.keep
        ):
            return super().initialise(state, source)
        self._check_prunable(held, source)
        replaced = super().initialise(self._pruned(state), source)
        self.remarks = (
            f"pruned the weights of keep={held:g} to keep={self.keep:g}; the filters with the "
            "largest L1 norms are kept",
        )
        return replaced

    def _pruned(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        assert isinstance(self.net, PaperICNet)
        inner = {name.removeprefix("net."): value for name, value in state.items()}
        return {f"net.{name}": value for name, value in pruned(inner, self.net).items()}

    def _check_prunable(self, held: float, source: dict[str, str]) -> None:
        """Raise WeightsError where a file of another ``keep`` cannot be pruned to this network."""
        if held < self.keep:
            raise WeightsError(
                f"the file to start from holds icnet with keep={held:g}, which has fewer filters "
                f"than keep={self.keep:g}: pruning removes filters and adds none; start from "
                "weights of a larger keep"
            )
        for name, value in self.structure.items():
            if source.get(name, value) != value:
                raise WeightsError(
                    f"the file to start from holds icnet with {name}={source[name]}, and "
                    f"{name}={value} is to be trained: pruning changes keep alone; ask for "
                    f"{name}={source[name]}, or start from other weights"
                )

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"net.{name}" for name in self.net.idle())


def _name(form: str, layers: int, keep: float, branches: str, fusion: str, guidance: bool) -> str:
    """Return the variant's display name.

    ICNet is the paper's own; what differs from it stands behind.
    """
    parts = [
        "" if layers == 50 else f"R{layers}",
        "" if form == "paper" else form,
        f"keep {keep:g}" if form == "paper" and keep != 0.5 else "",
        branches if branches != "sub124" else "",
        fusion.upper() if fusion != "cff" else "",
        "" if guidance else "no guidance",
    ]
    return " ".join(["ICNet", *filter(None, parts)])
