"""The precision that a network computes in, beside that of its weights."""

from __future__ import annotations

import torch

#: the precision of the weights, which is without autocast; and what that computes in of others
PLAIN = "fp32"
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: str, precision: str) -> torch.autocast:
    """Return the context in which a network computes in that precision on that device."""
    kind = AUTOCAST.get(precision)
    return torch.autocast(
        device.split(":")[0], dtype=kind or torch.bfloat16, enabled=kind is not None
    )
