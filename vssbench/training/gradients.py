"""Tests each layer's gradient in the precision and memory layout of a training, and says what is
done where it is wrong.

Kernels for low precision and channels-last are younger than those for fp32 in NCHW, and some
releases of torch have some that leave a part of a gradient unwritten: whatever was in memory before
is then taken for a gradient. So each layer is run by itself before a phase, on random values in the
shapes of a real batch, forward and backward, against itself in fp32 and NCHW; a layer that differs
is trained in the first form that does not. Layers whose kernels are known to leave their memory are
trained in NCHW from the first pass on (:mod:`vssbench.training.overruns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vssbench.training.calls import layers_of
from vssbench.training.kept import FORMS, Form, keep, release
from vssbench.training.overruns import overrunning
from vssbench.training.trials import Trials


@dataclass(frozen=True)
class Findings:
    """Findings of a check of all layers, by their names: the form that each wrong layer is trained
    in; those that are right in no form that was tried; those that could not be run by themselves.
    """

    kept: dict[str, Form] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what the weight file says of the check; empty where every layer was right."""
        lists = {"wrong": list(self.wrong), "unchecked": list(self.unchecked)}
        return {name: value for name, value in {"kept": dict(self.kept), **lists}.items() if value}

    def line(self, precision: str) -> str:
        """Return the findings in one line for the user; empty where every layer was right."""
        said = []
        for form in FORMS:
            if names := [name for name, chosen in self.kept.items() if chosen == form]:
                said.append(f"trained in {form}: {', '.join(names)}")
        if self.wrong:
            said.append(
                "wrong in NCHW and in fp32 too, so that this training is in doubt: "
                f"{', '.join(self.wrong)}"
            )
        text = ""
        if said:
            text = (
                f"torch {torch.__version__} gives wrong gradients here in {precision} and "
                "channels-last, or computes them beyond their memory; " + "; ".join(said)
            )
        if self.unchecked:
            text += (
                f"{'; ' if text else ''}gradients that could not be checked: "
                f"{', '.join(self.unchecked)}"
            )
        return text

    def doubt(self, precision: str) -> str:
        """Return the layers by which a training may have diverged at any rate, and what to do about
        them; empty where every layer is trained with a right gradient."""
        said, remedies = [], []
        if self.wrong:
            said.append(
                "gave wrong gradients in every precision and layout that was tried: "
                f"{', '.join(self.wrong)}"
            )
        if self.unchecked:
            said.append(f"could not be checked: {', '.join(self.unchecked)}")
        if not said:
            return ""
        if self.unchecked and precision != "fp32":
            remedies.append("train anew with --precision fp32")
        if self.wrong or not remedies:
            remedies.append("train on another version of torch, or on another device")
        layers = f"layers that {'; layers that '.join(said)}"
        return f"whatever the rate, the cause may be {layers}: {', or '.join(remedies)}"


def right_gradients(
    model: nn.Module,
    loss: Callable[[], Tensor],
    device: str,
    precision: str,
    known: dict[str, Form] | None = None,
) -> Findings:
    """Check the gradient of every layer that ``loss`` goes through, and keep those that are wrong
    in a form that is right, and those that would be computed beyond their memory in NCHW.

    ``precision`` is that of autocast in ``loss`` (fp32: none). Layers in ``known`` take the form
    named there at least: a training that is resumed goes on as it began. Values, statistics and
    random numbers of the model are as before.
    """
    for module in model.modules():
        release(module)
    guarded = overrunning(model, device, precision)
    for module in guarded.values():
        keep(module, FORMS[0])
    devices = [torch.cuda.current_device()] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices), _same_buffers(model):
        layers, unseen = layers_of(model, loss)
        for name in guarded.keys() - {layer.name for layer in layers}:
            release(guarded.pop(name))
        check = Trials(layers, device, precision)
        broken = check.agreed(check.trial())
        left = [n for n, state in enumerate(broken) if state == 1]
        kept: dict[str, Form] = {**dict.fromkeys(guarded, FORMS[0]), **(known or {})}
        for form in FORMS:
            trying = [n for n in left if _at_least(form, kept.get(layers[n].name))]
            for n in trying:
                keep(layers[n].module, form, next(iter(layers[n].calls.values())).types)
            again = check.agreed(check.trial(trying))
            kept.update({layers[n].name: form for n in trying if not again[n]})
            left = [n for n in left if n not in trying or again[n]]
    for layer in layers:
        if layer.name in kept:
            keep(layer.module, kept[layer.name], next(iter(layer.calls.values())).types)
        else:
            release(layer.module)
    unchecked = [layers[n].name for n, state in enumerate(broken) if state > 1]
    return Findings(kept, tuple(layers[n].name for n in left), (*unchecked, *unseen))


def _at_least(form: Form, earlier: Form | None) -> bool:
    return earlier is None or FORMS.index(form) >= FORMS.index(earlier)


@contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    """Leave statistics after as before."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
