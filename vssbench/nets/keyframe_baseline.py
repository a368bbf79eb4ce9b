"""Reuse of a keyframe's labels without any later work.

It is the base of the baselines ``copy`` and ``warp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase, VideoSegmenter, is_per_frame
from vssbench.core.variant import Value, Variant, parse_variant

#: parameters that are handed to the network where they are given
_HANDED_ON = ("layers", "style", "scale", "width")


class KeyframeBaseline(VideoSegmenter):
    """Segments keyframes by a per-frame network, whose weights it borrows; what a non-keyframe
    shows is the sub-class's.

    Parameters: ``network`` of keyframes, any per-frame method, whose weights are used; its
    parameters in brackets, as in ``network=icnet[form=mmseg]``, or beside it where they are
    ``layers``, ``style``, ``scale`` of the input or ``width``.
    """

    recipe = "pspnet/recipe.toml"  # trained as the network that it runs on keyframes
    title: ClassVar[str]

    def __init__(
        self,
        classes: int,
        *,
        network: str = "pspnet",
        layers: int = 18,
        style: str = "upsample",
        scale: float = 1.0,
        width: float = 1.0,
    ) -> None:
        super().__init__(classes)
        own = registry.parameters(type(self))
        given = {key: value for key, value in self._given.items() if key in own}
        lent = self.lender(Variant(self.title.lower(), given))
        per_frame: VideoSegmenter = registry.create("methods", lent, classes=classes)
        # the network's own names of weights: a file of it fits as it is. The method itself is no
        # submodule, and the two share what they hold
        self.__dict__["_per_frame"] = per_frame
        for shared in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            self.__dict__[shared] = per_frame.__dict__[shared]
        self.scale = float(getattr(per_frame, "scale", 1.0))
        self.fast_forms = per_frame.fast_forms
        self.void = None if per_frame.void is None else -1

    @classmethod
    def lender(cls, variant: Variant) -> Variant:
        """Return the per-frame method with its parameters. Raises UsageError where there is no such
        one, or it has no such parameter."""
        defaults = registry.parameters(cls)
        lent = parse_variant(str(variant.params.get("network", defaults["network"])))
        there = lent.name in registry.plugins("methods")
        if not there or not is_per_frame(registry.load("methods", lent.name)):
            every = registry.classes("methods").items()
            names = ", ".join(name for name, method in every if is_per_frame(method))
            raise UsageError(
                f"{variant.name}: unknown network {lent.name!r}; expected a per-frame method, one "
                f"of {names}"
            )
        accepted = registry.parameters(registry.load("methods", lent.name))
        params: dict[str, Value] = dict(lent.params)
        for key in _HANDED_ON:
            if key not in variant.params:
                continue
            value = variant.params[key]
            if key in lent.params:
                raise UsageError(
                    f"{variant.name}: {key} is given twice, in network={lent} and beside it"
                )
            if key in accepted:
                params[key] = value
            elif value != defaults[key]:
                raise UsageError(
                    f"{variant.name}: {lent.name} has no {key}; layers, style, scale and width are "
                    f"for networks that have them: leave them out with network={lent.name}"
                )
        return Variant(lent.name, params)

    @classmethod
    def borrowing(cls, variant: Variant, lent: Variant) -> Variant:
        nested = parse_variant(str(variant.params.get("network", lent.name)))
        inside = {
            key: value
            for key, value in lent.params.items()
            if key in nested.params or key not in _HANDED_ON
        }
        beside = {key: value for key, value in lent.params.items() if key not in inside}
        params: dict[str, Value] = dict(variant.params)
        if inside or "network" in params:
            params["network"] = str(Variant(lent.name, dict(sorted(inside.items()))))
        return Variant(variant.name, {**params, **beside})

    @property
    def display(self) -> str:
        return f"{self.title} {self._network.display}"

    @property
    def _network(self) -> VideoSegmenter:
        network: VideoSegmenter = self.__dict__["_per_frame"]
        return network

    def train(self, mode: bool = True) -> Self:
        self._network.training = mode
        return super().train(mode)

    def keyframe(self, image: Tensor) -> tuple[Tensor, Any]:
        network = self._network
        network.keeps_void, network.masked = self.keeps_void, self.masked
        return network.begin(image)

    def phases(self) -> Sequence[Phase]:
        return self._network.phases()

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        return self._network.loss(phase, batch)

    def begin_phase(self, phase: Phase) -> None:
        self._network.begin_phase(phase)

    def validation_logits(self, phase: Phase, batch: Batch) -> Tensor:
        return self._network.validation_logits(phase, batch)

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        return self._network.initialise(state, source)

    def training_only(self) -> tuple[str, ...]:
        return self._network.training_only()
