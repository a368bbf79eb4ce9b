"""FlowNet-S as ClementPinard/FlowNetPytorch publishes it, with and without BN, and the flow network
of a PyTorch DFF.

Either is the flow network of ``dff`` and no more: a partial file, from which a training starts.
Their normalisation belongs to the flow network (:data:`vssbench.methods.dff.flownet.SETTINGS`), not
to the images that N_feat sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vssbench.core.variant import Value
from vssbench.weights.original import Original, State

#: yzfzzz/Deep-Feature-Flow-pytorch returns pixels of its flow's own grid: 20 pixels a unit, at
#: stride 4
_YZFZZZ_UNIT = 5.0

_RULES = (
    (r"^(conv\d(_1)?)\.", r"encoder.\1."),
    (r"^deconv(\d)\.", r"deconv.\1."),
    (r"^predict_flow(\d)\.", r"predict.\1."),
    (r"^upsampled?_flow(\d)_?to_?\d\.", r"enlarge.\1."),
    (r"^", "flow.network."),
)


def _parameters(state: State) -> dict[str, Value]:
    return {
        "flow": "flownets",
        "flow_form": "pytorch_bn" if "conv1.1.running_mean" in state else "pytorch",
    }


def _outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the flow at stride 4, in units of 20 pixels, of two normalised images concatenated (6
    channels)."""
    return [model.flow.network(inputs[0])]


def _yzfzzz_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the flow at stride 4 in pixels of that grid, of two images concatenated (6 channels,
    BGR in [0, 1])."""
    return [model.flow.network(inputs[0]) * _YZFZZZ_UNIT]


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="ClementPinard FlowNet-S",
        source="ClementPinard/FlowNetPytorch@d5f3292",
        method="dff",
        marks=(
            "conv1.0.weight",
            "conv3_1.0.weight",
            "predict_flow2.weight",
            "upsampled_flow6_to_5.weight",
        ),
        absent=("conv_redir.0.weight",),  # FlowNet-C has it
        classifier=None,
        rules=_RULES,
        parameters=_parameters,
        outputs=_outputs,
    ),
    Original(
        name="yzfzzz FlowNet-S (3/8 of the channels)",
        source="yzfzzz/Deep-Feature-Flow-pytorch@3d16f4a",
        method="dff",
        marks=(
            "conv1.0.weight",
            "conv3_1.0.weight",
            "predict_flow2.bias",
            "upsample_flow6to5.weight",
        ),
        classifier=None,
        rules=_RULES,
        parameters=lambda state: {"flow": "narrow", "flow_form": "mxnet"},
        outputs=_yzfzzz_outputs,
    ),
)
