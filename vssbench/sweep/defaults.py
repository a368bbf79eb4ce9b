"""The experiments that run when nothing is asked for: the one place where plug-ins are named."""

from __future__ import annotations

DEFAULT_METHODS = (
    "pspnet",
    "pspnet[scale=0.5]",
    "arseg[scale=0.5]",
    "dff[backbone=resnet18]",
    "dff[backbone=resnet18,motion=codec]",
    "dsrl[base=bisenet]",
    "icnet",
    "bisenet",
    "warp",
    "copy",
)
#: a dataset that needs no files; latency is measured on its frames, too
DEFAULT_DATASET = "synthetic"
#: the dataset whose shipped weights segment a user's own video
DEFAULT_SCENES = "camvid"
DEFAULT_CODECS = ("h264[bitrate=1M]", "h264[bitrate=300k]")
