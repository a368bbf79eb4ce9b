"""Benchmark of inference in the harness's form, as ratios of forms timed in turns."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from common import Forms, benchmark, figures, in_turns, ratios, spread
from forms import CLASSES, Frames, PlainForm, fast, peak_of
from torch import nn

from vssbench import native
from vssbench.methods.arseg.fused_creff import Fusion, compiled_creff, strip_creff, whole_creff
from vssbench.methods.arseg.local_attention import local_attention
from vssbench.nets.resize import resize
from vssbench.nets.warp import warp

GROUPS = ("forms", "gop", "creff", "memory")
GOP = 12

Times = dict[str, list[float]]


@benchmark(GROUPS, rounds=5)
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("pspnet", "bisenet", "icnet"),
    show_default=True,
    help="For forms.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    multiple=True,
    default=("fp32", "bf16"),
    show_default=True,
)
@click.option(
    "--threads", type=click.IntRange(1), help="PyTorch's threads; its own choice if left out."
)
@click.option(
    "--peak",
    nargs=2,
    hidden=True,
    help="METHOD PART: print the peak memory of this process and end.",
)
def main(
    size: tuple[int, int],
    rounds: int,
    groups: tuple[str, ...],
    methods: tuple[str, ...],
    precision: tuple[str, ...],
    threads: int | None,
    output: Path | None,
    force: bool,
    peak: tuple[str, str] | None,
) -> None:
    """Times of a round stand beside each other, so that a busy machine changes ratios less than
    seconds.

    forms: each method as its authors' code runs it at evaluation (NCHW, batch norm by itself,
    discarded layers) against the harness's form, in either precision. gop: AR-Seg's average over a
    GOP of 12 against PSPNet on every frame. creff: CReFF with warp and last convolution, and its
    steps one by one. memory: peak of a fresh process.
    """
    if threads:
        torch.set_num_threads(threads)
    if peak:
        print(peak_of(peak[0], peak[1], size))
        return
    with figures(output, force, size=size, rounds=rounds, native=native.available()) as measured:
        machine = measured["machine"]
        print(
            f"{machine['cpu']}, {machine['threads']} threads, torch {machine['torch']}, "
            f"{size[0]}x{size[1]}, {rounds} rounds"
        )
        print(f"compiled kernels: {'yes' if native.available() else 'no'}\n")
        for group in groups or GROUPS:
            if group == "forms":
                measured[group] = {
                    method: compare_forms(method, size, rounds, precision) for method in methods
                }
            elif group == "gop":
                measured[group] = {kind: compare_gop(size, rounds, kind) for kind in precision}
            elif group == "creff":
                measured[group] = compare_creff(size, rounds)
            else:
                measured[group] = compare_memory(size)


@torch.inference_mode()
def seconds(form: Callable[[], Any]) -> float:
    """Return seconds of one inference."""
    started = time.perf_counter()
    form()
    return time.perf_counter() - started


def show(title: str, values: list[float], unit: str = "") -> None:
    """Print a line of the table: median, least and most."""
    print(f"  {title:44} {spread(values, unit)}")


def show_ratio(title: str, times: list[float], base: list[float]) -> None:
    show(title, ratios(times, base))


def autocast(form: Callable[[], Any], precision: str) -> Callable[[], Any]:
    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            form()

    return run


def compare_forms(
    method: str, size: tuple[int, int], rounds: int, precision: tuple[str, ...]
) -> Times:
    """Compare a per-frame method as written against the harness's form."""
    plain, ours, frames = PlainForm(method, size).eval(), fast(method), Frames.of(*size)
    last = frames.channels_last()
    forms: Forms = {"plain fp32": lambda: plain(frames.image)[0][0].argmax(0)}
    for kind in precision:
        forms[f"ours {kind}"] = autocast(lambda: ours.keyframe(last.image)[0][0].argmax(0), kind)
    times = in_turns(forms, rounds, seconds)
    print(method)
    for name, values in times.items():
        show(name, values, " s")
    if "ours fp32" in times:
        show_ratio("ours / plain, fp32", times["ours fp32"], times["plain fp32"])
    if len(precision) == 2:
        show_ratio("ours bf16 / ours fp32", times["ours bf16"], times["ours fp32"])
    return times


def compare_gop(size: tuple[int, int], rounds: int, precision: str) -> Times:
    """Compare AR0.5-PSP18 against PSPNet18, both in the harness's form: (keyframe + 11
    non-keyframes) / 12."""
    pspnet, arseg, frames = (
        fast("pspnet"),
        fast("arseg[scale=0.5]"),
        Frames.of(*size).channels_last(),
    )
    kept: list[Any] = []

    def keyframe() -> None:
        logits, reference = arseg.keyframe(frames.image)
        kept[:] = [reference]
        logits[0].argmax(0)

    forms = {
        "PSPNet18": lambda: pspnet.keyframe(frames.image)[0][0].argmax(0),
        "AR0.5-PSP18 keyframe": keyframe,
        "AR0.5-PSP18 non-keyframe": lambda: arseg.nonkeyframe(frames.image, frames.motion, kept[0])[
            0
        ].argmax(0),
    }
    times = in_turns(
        {name: autocast(form, precision) for name, form in forms.items()}, rounds, seconds
    )
    print(f"AR-Seg, {precision}")
    for name, values in times.items():
        show(name, values, " s")
    key, other = times["AR0.5-PSP18 keyframe"], times["AR0.5-PSP18 non-keyframe"]
    mean = [(a + (GOP - 1) * b) / GOP for a, b in zip(key, other, strict=True)]
    show("AR0.5-PSP18, mean of a GOP of 12", mean, " s")
    show_ratio("mean of a GOP / PSPNet18", mean, times["PSPNet18"])
    return times


def compare_creff(size: tuple[int, int], rounds: int) -> Times:
    """Time CReFF at full resolution and 64 channels: all of it in the three forms, and its steps by
    themselves."""
    torch.manual_seed(0)
    frames, channels, small = Frames.of(*size), 64, (size[0] // 2, size[1] // 2)
    low, reference = torch.rand(1, channels, *small), torch.rand(1, channels, *size)
    low, reference = (x.contiguous(memory_format=torch.channels_last) for x in (low, reference))
    query, key, value = (
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels) for _ in range(3)
    )
    classifier = nn.Conv2d(channels, CLASSES, 1)
    case = (low, reference, frames.motion, Fusion(query, key, value, classifier))
    forms: Forms = {
        "whole, step by step": lambda: whole_creff(*case),
        "in strips, without a compiler": lambda: strip_creff(*case),
        "step: upsampling": lambda: resize(low, size),
        "step: warp": lambda: warp(reference, frames.motion),
        "step: three depthwise convolutions": lambda: (
            query(reference),
            key(reference),
            value(reference),
        ),
        "step: attention": lambda: local_attention(reference, reference, reference),
        "step: last convolution": lambda: classifier(reference),
    }
    kernels = native.library()
    if kernels is not None:
        forms = {"compiled, in tiles": lambda: compiled_creff(kernels, *case), **forms}
    times = in_turns(forms, rounds, seconds)
    print("CReFF, 64 channels, 7x7, with warp and last convolution")
    for name, values in times.items():
        show(name, values, " s")
    return times


def compare_memory(size: tuple[int, int]) -> dict[str, float]:
    """Measure peak resident memory in MB of fresh processes; ``nothing`` is that of the libraries
    and weights."""
    cases = [
        ("pspnet", "nothing"),
        ("pspnet", "plain"),
        ("pspnet", "key"),
        ("arseg[scale=0.5]", "nothing"),
        ("arseg[scale=0.5]", "key"),
        ("arseg[scale=0.5]", "nonkey"),
        ("arseg[scale=0.5]", "gop"),
    ]
    print("peak memory of a fresh process")
    peaks = {}
    for method, part in cases:
        command = [
            sys.executable,
            __file__,
            "--size",
            f"{size[0]}x{size[1]}",
            "--peak",
            method,
            part,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[f"{method} {part}"] = int(result.stdout) / 1e6
        print(f"  {f'{method}, {part}':44} {peaks[f'{method} {part}']:8.0f} MB")
    return peaks


if __name__ == "__main__":
    main()
