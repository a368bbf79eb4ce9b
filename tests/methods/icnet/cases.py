"""Shared by the tests that compute ICNet by hand: its published windows, and settled values."""

import torch

#: bins -> (window, stride) of the pooling layers in the authors' prototxt, for a map of 33x65
PUBLISHED_WINDOWS = {
    1: ((33, 65), (33, 65)),
    2: ((17, 33), (16, 32)),
    3: ((13, 25), (10, 20)),
    6: ((8, 15), (5, 10)),
}


def settled(module, seed=0):
    """Return the network in evaluation mode, with values at which every term matters.

    This holds for its weights and its running statistics.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return module.eval()
