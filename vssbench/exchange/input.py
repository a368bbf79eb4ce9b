"""The input that this project and another program share: a dataset's frames through a codec, under
a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.opening import open_dataset
from vssbench.core.variant import Variant, parse_variant
from vssbench.core.video import Clip
from vssbench.exchange.layout import Layout
from vssbench.protocol import Protocol
from vssbench.protocol import protocol as find_protocol
from vssbench.run.identity import plugin_of

#: what is typed of an input: the parameters of :func:`open_input`
SOURCE = ("dataset", "data_root", "codec", "gop", "protocol")


@dataclass
class Input:
    """Frames of a dataset through a codec; the variants are as typed."""

    dataset_variant: Variant
    dataset: Dataset
    codec_variant: Variant
    codec: Codec
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.dataset_variant} under {self.codec_variant}"

    @property
    def clips(self) -> Sequence[Clip]:
        """The clips that methods are scored on."""
        return self.dataset.scored_clips

    @cached_property
    def layout(self) -> Layout:
        """The frames that are scored, and where their files stand."""
        return Layout(self.clips, self.protocol, self.codec.gop)

    @cached_property
    def plugins(self) -> tuple[registry.Plugin, ...]:
        """The plug-ins in use: dataset and codec."""
        return (
            plugin_of("datasets", self.dataset_variant.name, self.dataset),
            plugin_of("codecs", self.codec_variant.name, self.codec),
        )

    def frames(self) -> int:
        """Return frames that will be decoded, for the progress display."""
        episodes = (
            episode
            for clip in self.clips
            for episode in self.protocol.episodes(clip, self.codec.gop)
        )
        return sum(episode.clip.length for episode in episodes)


def open_input(
    dataset: str,
    data_root: str | Path | None = None,
    codec: str = "raw",
    gop: int | None = None,
    protocol: str = "dense",
) -> Input:
    """Open what is typed; ``gop`` is that of a codec whose brackets do not say. Raises UsageError,
    and DataError where a dataset's files are not given."""
    root = None if data_root is None else Path(data_root)
    variant, coder = parse_variant(dataset), parse_variant(codec)
    if gop is not None and "gop" not in coder.params:
        coder = Variant(coder.name, {**coder.params, "gop": gop})
    opened = registry.create("codecs", coder)
    chosen = find_protocol(protocol)
    return Input(variant, open_dataset(variant, root), coder, opened, chosen)
