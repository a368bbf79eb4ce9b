"""DFF, Deep Feature Flow: the keyframe's feature, moved by a flow network to later frames (Zhu et
al., CVPR 2017)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vssbench.core.errors import WeightsError
from vssbench.core.segmenter import Batch, Phase, VideoSegmenter, width_suffix
from vssbench.methods.dff.deeplab import DeepLab
from vssbench.methods.dff.flownet import FORMS, SETTINGS, FeatureFlow
from vssbench.methods.dff.originals import ORIGINALS
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.pspnet import STYLES
from vssbench.nets.warp import resize_motion, warp

Backbone = Literal["resnet18", "resnet50", "resnet101", "psp18", "psp50", "psp101"]
#: backbone parameter -> (whether it is a PSPNet, layers of its ResNet, its name in display names)
BACKBONES = {
    "resnet18": (False, 18, "R18"),
    "resnet50": (False, 50, "R50"),
    "resnet101": (False, 101, "R101"),
    "psp18": (True, 18, "PSP18"),
    "psp50": (True, 50, "PSP50"),
    "psp101": (True, 101, "PSP101"),
}
#: pixels of the image between two cells of the feature before the last 1x1 convolution
_DEEPLAB_STRIDE = 16
_PSPNET_STRIDES = {"semseg": 8, "upsample": 1}

#: frames from keyframe to image in joint training, both ends included (section 5.1)
GAPS = (0, 9)

Reference = tuple[Tensor, Tensor]


class DFF(VideoSegmenter):
    """Parameters: ``backbone`` resnet101, resnet50, resnet18 (DeepLab at stride 16) or psp101,
    psp50, psp18 (PSPNet, of which ``style`` semseg has its feature at stride 8 and upsample at full
    resolution); ``motion`` flow (a flow network) or codec (the codec's vectors, without flow
    network or scale field); ``flow`` flownets, half, inception (section 4 and Appendix A) or narrow
    (3/8 of the channels, full-sized images, as in yzfzzz's code); ``flow_form`` mxnet (every layer
    has a bias), pytorch (the decoder's have none) or pytorch_bn (and the encoder has BN);
    ``scale_field`` on or off; ``width`` multiplier of all channels.

    A keyframe passes through N_feat, whose feature is the reference, and N_task, one 1x1
    convolution. For another frame the feature is warped along the flow from that frame to the
    keyframe, multiplied by the scale field, and classified by the same N_task (Algorithm 1). The
    key interval is the codec's GOP.
    """

    originals = ORIGINALS

    def __init__(
        self,
        classes: int,
        *,
        backbone: Backbone = "resnet101",
        style: Literal["semseg", "upsample"] = "semseg",
        motion: Literal["flow", "codec"] = "flow",
        flow: Literal["flownets", "half", "inception", "narrow"] = "flownets",
        flow_form: Literal["mxnet", "pytorch", "pytorch_bn"] = "mxnet",
        scale_field: bool = True,
        width: float = 1.0,
    ) -> None:
        super().__init__(classes)
        self.is_pspnet, self.layers, self._paper_name = BACKBONES[backbone]
        self.backbone, self.style, self.width = backbone, style, width
        self.net: SegmentationNetwork
        if self.is_pspnet:
            self.net, stride = STYLES[style](classes, self.layers, width), _PSPNET_STRIDES[style]
        else:
            self.net, stride = DeepLab(classes, self.layers, width), _DEEPLAB_STRIDE
        self.flow: FeatureFlow | None = None
        if motion == "codec":
            self.needs = frozenset({"motion"})
            return
        setting = SETTINGS[flow]
        network = setting.build(width, FORMS[flow_form])
        self.flow = FeatureFlow(network, setting, stride, self.net.feature_channels, scale_field)

    @property
    def display(self) -> str:
        how = ["codec motion"] if self.flow is None else [self.flow.setting.name]
        if self.flow is not None and self.flow.scale is None:
            how.append("no scale field")
        details = ", ".join(filter(None, how))
        return (
            f"DFF-{self._paper_name}{f' ({details})' if details else ''}{width_suffix(self.width)}"
        )

    def keyframe(self, image: Tensor) -> tuple[Tensor, Reference]:
        logits, feature = self.net(self.normalise(image))
        return logits, (image, feature)

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Reference) -> Tensor:
        return self.net.classify(
            self.propagate(image, motion, reference), (image.shape[-2], image.shape[-1])
        )

    def propagate(self, image: Tensor, motion: Tensor | None, reference: Reference) -> Tensor:
        """Warp the keyframe's feature to the image's time (Eq.

        3). The result is like the feature of the reference, (key image, key feature).
        """
        keyframe, feature = reference
        size = (feature.shape[-2], feature.shape[-1])
        if self.flow is None:
            assert motion is not None  # the harness grants what `needs` declares
            return warp(feature, resize_motion(motion, size))
        flow, scale = self.flow(image, keyframe, size)
        moved = warp(feature, flow)
        return moved if scale is None else moved * scale

    def phases(self) -> Sequence[Phase]:
        """Return the phases: N_feat and N_task on stills; the flow network on pairs of known flow,
        in the place of the paper's Flying Chairs; all of it on pairs whose later frame is labelled
        (section 3), where distance 0 is training on stills: the keyframe's own feature is neither
        moved nor scaled (the ``eq_flag`` of the authors' training symbol)."""
        idle = self.training_only()  # a keyframe has no label to train auxiliary heads with
        if self.flow is None:
            return (Phase("task"), Phase("joint", data="pairs", frozen=idle))
        scale = () if self.flow.scale is None else ("flow.scale",)
        return (
            Phase("task", frozen=("flow",)),
            Phase("flow", data="flow", frozen=("net", *scale)),
            Phase("joint", data="pairs", frozen=idle, gaps=GAPS),
        )

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        size = (batch.label.shape[-2], batch.label.shape[-1])
        if phase.name == "task":
            feature, extra = self.net.features(self.normalise(batch.image))
            return self.net.losses(
                self.net.classify(feature, size), extra, batch.label, batch.class_weights
            )
        assert batch.keyframe is not None
        if phase.name == "flow":
            assert batch.flow is not None
            assert self.flow is not None
            return {"task": self.flow.error(batch.image, batch.keyframe, batch.flow)}
        feature, _ = self.net.features(self.normalise(batch.keyframe))
        moved = self.propagate(batch.image, batch.motion, (batch.keyframe, feature))
        if batch.distance is not None:
            # a keyframe's own feature is classified as it is, here as at inference
            moved = torch.where((batch.distance == 0).view(-1, 1, 1, 1), feature, moved)
        logits = self.net.classify(moved, size)
        return {"task": self.net.task_loss(logits, batch.label, batch.class_weights)}

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        """Begin from DFF's own weights, whole or in part (an imported FlowNet-S replaces phase
        flow), or from a PSPNet's, of the same layers and style, where that is the backbone
        (replaces phase task). Of a DFF with another backbone the flow network is taken, and of one
        with a flow network, where the codec gives the motion, the rest."""
        if source.get("name") == "dff":
            if "backbone" in source and source["backbone"] != self.backbone:
                state = {
                    name: value for name, value in state.items() if name.startswith("flow.network.")
                }
                source = {**source, "missing": json.dumps(["net"])}
            elif self.flow is None:
                state = {
                    name: value for name, value in state.items() if not name.startswith("flow.")
                }
            whole = not json.loads(source.get("missing", "[]"))
            if self.flow is not None and source.get("motion") == "codec":
                self._load(state, {**source, "missing": json.dumps(["flow"])})
                return ("task",) if whole else ()
            self._load(state, source)
            held = {
                "task": whole,
                "flow": whole or any(name.startswith("flow.network.") for name in state),
            }
            return tuple(phase.name for phase in self.phases() if held.get(phase.name))
        expected = {"name": "pspnet", "layers": str(self.layers), "style": self.style}
        if not self.is_pspnet or any(source.get(key) != value for key, value in expected.items()):
            wanted = (
                f"dff or pspnet[layers={self.layers},style={self.style}]"
                if self.is_pspnet
                else "dff"
            )
            raise WeightsError(
                f"dff[backbone={self.backbone}] starts from weights of {wanted}, and this file "
                f"holds {source.get('method', 'an unknown method')}"
            )
        self._load(state, {**source, "missing": json.dumps(["flow"])})
        return ("task",) if json.loads(source.get("missing", "[]")) == [] else ()

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"net.{name}" for name in self.net.auxiliary)
