"""Training on several processes: what a batch spread over them needs so that its gradient is that
of the whole batch.

``torchrun`` starts the processes; gradients are averaged, batch normalisation takes its statistics
over all processes, and losses that divide by a count of pixels divide by the count over all
processes (:mod:`vssbench.nets.processes`). Every function here leaves its argument alone where
there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.errors import UsageError
from vssbench.nets.processes import several, sum_over_processes


@dataclass(frozen=True)
class World:
    """The processes of this training, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def on_machine(self) -> int:
        """Return how many of the processes run on this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) if self.size > 1 else 1


def join(device: str) -> tuple[World, str]:
    """Join the processes that ``torchrun`` started, by gloo or, on CUDA, by nccl; alone where there
    are none.

    Returns the world and this process's own device. Raises UsageError where a machine has fewer
    GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(), device
    if device.startswith("cuda"):
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"process {local} of this machine finds {torch.cuda.device_count()} GPUs: start "
                "one process a GPU"
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(dist.get_rank(), size), device


def leave() -> None:
    """End the connection that :func:`join` began.

    After an error the process ends without it: others may never come to the same place.
    """
    if several():
        dist.destroy_process_group()


def is_loss_of_contact(error: BaseException) -> bool:
    """Return whether an error says that another process is gone.

    That process's own message tells why.
    """
    return (
        several()
        and isinstance(error, RuntimeError)
        and any(
            word in str(error)
            for word in ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
        )
    )


def wait_for_all() -> None:
    """Wait until every process has come here."""
    if several():
        dist.barrier()


def same_everywhere(model: nn.Module) -> None:
    """Give every process the first one's parameters and statistics."""
    if several():
        for value in model.state_dict().values():
            dist.broadcast(value, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, in one message.

    A parameter that no process used stays without.
    """
    if not several():
        return
    members = list(parameters)
    used = torch.tensor([float(p.grad is not None) for p in members], device=members[0].device)
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in members]
    flat = torch.cat([used, *(_at_least_fp32(gradient).reshape(-1) for gradient in gradients)])
    dist.all_reduce(flat)
    anywhere, flat = flat[: len(members)].tolist(), flat[len(members) :] / dist.get_world_size()
    for parameter, mean, trained in zip(
        members, flat.split([p.numel() for p in members]), anywhere, strict=True
    ):
        if trained:
            parameter.grad = mean.view(parameter.shape).to(parameter.dtype)


class _SharedNormalisation(torch.autograd.Function):
    """Batch normalisation (N, C, ...) by mean and biased variance over all processes; also returns
    both, and the count."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [0, *range(2, x.ndim)]
        wide = _at_least_fp32(x)
        count = wide.new_tensor([x.numel() / x.shape[1]])
        totals = sum_over_processes(torch.cat([wide.sum(axes), count]))
        count, mean = totals[-1], totals[:-1] / totals[-1]
        centred = wide - _channels(mean, x)
        variance = sum_over_processes(centred.square().sum(axes)) / count
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, inverse, count)
        ctx.mark_non_differentiable(mean, variance, count)
        y = centred * _channels(inverse * weight, x) + _channels(bias, x)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        axes = [0, *range(2, x.ndim)]
        wide = _at_least_fp32(grad)
        normal = (_at_least_fp32(x) - _channels(mean, x)) * _channels(inverse, x)
        own = torch.stack([wide.sum(axes), (wide * normal).sum(axes)])
        bias_mean, weight_mean = sum_over_processes(own) / count
        inner = wide - _channels(bias_mean, x) - normal * _channels(weight_mean, x)
        return (inner * _channels(inverse * weight, x)).to(x.dtype), own[1], own[0], None


def _at_least_fp32(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _channels(value: Tensor, like: Tensor) -> Tensor:
    return value.view(1, -1, *[1] * (like.ndim - 2))


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose statistics are those of the whole batch, on CPU and CUDA. The sum
    over processes of its gradients is the gradient of the sum of their losses."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected (N, C, ...), found {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training and self.track_running_stats:
            return F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                False,
                0.0,
                self.eps,
            )
        self._check_input_dim(input)
        weight = (
            self.weight if self.affine else input.new_ones(self.num_features, dtype=torch.float32)
        )
        bias = self.bias if self.affine else input.new_zeros(self.num_features, dtype=torch.float32)
        output, mean, variance, count = _SharedNormalisation.apply(input, weight, bias, self.eps)
        if self.track_running_stats:
            self._follow(mean, variance * count / (count - 1).clamp(min=1))
        return output

    @torch.no_grad()
    def _follow(self, mean: Tensor, unbiased: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(unbiased, share)


def share_batch_norm(model: nn.Module) -> None:
    """Let every batch normalisation of a model take its statistics over all processes.

    This holds from now on; names and values stay.
    """
    for module in model.modules():
        if several() and isinstance(module, nn.modules.batchnorm._BatchNorm):
            # a new class for the same object: another object would have to be put at every place
            # that holds this one
            module.__class__ = SharedBatchNorm
