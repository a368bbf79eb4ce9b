"""The forms of DFF that its tests build, small, and a batch to train them on."""

from __future__ import annotations

import torch

from vssbench.core import registry
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant

VARIANTS = (
    "dff[backbone=resnet18,width=0.125]",
    "dff[backbone=resnet50,width=0.125,flow=half,flow_form=pytorch]",
    "dff[backbone=resnet18,width=0.125,flow=inception,scale_field=off]",
    "dff[backbone=psp18,width=0.125]",
    "dff[backbone=psp50,width=0.125,flow=narrow]",
    "dff[backbone=psp18,style=upsample,width=0.125]",
)
SMALL, UPSAMPLING = VARIANTS[0], VARIANTS[-1]
CODEC = "dff[backbone=resnet18,motion=codec,width=0.125]"


def create(text: str, classes: int = 4):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=classes)


def batch_of(size: tuple[int, int], flow: torch.Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image, keyframe = torch.rand(2, 2, 3, *size, generator=generator)
    label = torch.randint(0, 4, (2, *size), generator=generator)
    return Batch(image, label, torch.ones(4), keyframe, torch.zeros(2, 2, *size), flow)
