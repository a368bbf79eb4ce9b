"""One experiment of a comparison: method x dataset x codec x protocol, and its identity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.classes import numbers_of
from vssbench.core.dataset import Dataset
from vssbench.core.machine import describe_environment, describe_machine
from vssbench.core.variant import Variant
from vssbench.cost.gmacs import traits
from vssbench.protocol import Protocol, typed
from vssbench.run.identity import (
    code_version,
    kernels,
    origins,
    plugin_of,
    requirements,
    run_id,
)
from vssbench.run.outputs import VOID, Outputs, Void, outputs_of
from vssbench.weights.file import WeightFile
from vssbench.weights.network import weights_name

#: what a method may need that is made of motion
MOTION = frozenset({"motion", "residual"})
#: counters that `cost --cross-check` sets beside ours; they make no number of a run
PEERS = ("fvcore", "ptflops")


@dataclass
class Experiment:
    """An experiment to be measured: method, dataset, codec and protocol.

    The variants are as typed; the objects were made from them.
    """

    method: Variant
    weights: WeightFile
    dataset_variant: Variant
    dataset: Dataset
    codec_variant: Variant
    codec: Codec
    protocol: Protocol
    precision: str = "fp32"
    device: str = "cpu"
    seed: int = 0
    cache: Path | None = None
    #: names of vssbench.metrics.meters; they change no number, so that they are no part of the
    #: identity
    measures: tuple[str, ...] = ()
    #: names of classes that are not scored: their pixels are not counted, and no mean holds them
    without: tuple[str, ...] = ()
    #: what becomes of an output that stands for no class that is scored
    void: Void = VOID

    @property
    def title(self) -> str:
        return f"{self.method} on {self.dataset_variant} under {self.codec_variant}"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that changes the numbers; its hash is the run's id."""
        library = self.codec.motion_library()
        return {
            "method": self.method.name,
            "parameters": registry.resolved("methods", self.method),
            "weights": self.weights.sha256,
            "dataset": self.dataset_variant.name,
            "classes": self.dataset.classes,
            "clips": [clip.fingerprint for clip in self.dataset.scored_clips],
            "groups": [clip.group for clip in self.dataset.scored_clips],
            "codec": self._codec_settings(),
            "protocol": [typed(self.protocol), self.protocol.details()],
            "without": self.left_out,
            "void": self.outputs.void,
            "precision": self.precision,
            "seed": self.seed,
            "code": self.version,
            "requirements": requirements(self.plugins),
            "motion": library if library and self.needs & MOTION else "",
            "kernels": kernels(),
            "machine": {
                key: value
                for key, value in describe_machine(self.device).items()
                if key not in PEERS
            },
        }

    def _codec_settings(self) -> dict[str, Any]:
        """Return what the codec says of itself. Raises UsageError for what has no digest."""
        name = str(self.codec_variant)
        with registry.guarded(f"the codec {name!r} has no settings that identify it"):
            settings = dict(self.codec.settings())
            run_id(settings)
        return settings

    @cached_property
    def run_id(self) -> str:
        return run_id(self.identity)

    @cached_property
    def plugins(self) -> tuple[registry.Plugin, ...]:
        """The plug-ins in use: the method, that whose network it borrows, dataset and codec."""
        methods = dict.fromkeys((self.method.name, weights_name(self.method)))
        return (
            *(registry.find("methods", name) for name in methods),
            plugin_of("datasets", self.dataset_variant.name, self.dataset),
            plugin_of("codecs", self.codec_variant.name, self.codec),
        )

    @cached_property
    def version(self) -> str:
        """The version of the source that makes the numbers."""
        return code_version(self.plugins)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Return what the method needs of a codec."""
        return traits(self.method, self.outputs.classes).needs

    @cached_property
    def outputs(self) -> Outputs:
        """The network's outputs as the dataset's classes."""
        declared = traits(self.method, len(self.dataset.classes)).void
        own, asked = self.weights.classes, self.dataset.classes
        return outputs_of(own, asked, declared, self.without, self.void)

    @property
    def expected(self) -> tuple[str, ...]:
        """The classes of weights that fit: the dataset's, or more where the others are no class."""
        own, asked = self.weights.classes, self.dataset.classes
        return own if self.outputs.classes > len(asked) else asked

    @property
    def left_out(self) -> list[str]:
        """The dataset's classes that are not scored, as it spells them."""
        classes = self.dataset.classes
        return [classes[number] for number in numbers_of(self.without, classes)]

    def environment(self) -> dict[str, Any]:
        """Describe what the experiment is measured with, for the record: machine and plug-ins."""
        return {**describe_environment(self.device), "plugins": origins(self.plugins)}

    def frames(self) -> int:
        """Return frames that will be decoded, for the progress display."""
        episodes = (
            episode
            for clip in self.dataset.scored_clips
            for episode in self.protocol.episodes(clip, self.codec.gop)
        )
        return sum(episode.clip.length for episode in episodes)
