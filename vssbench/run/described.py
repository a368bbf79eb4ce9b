"""The fields of a stored row that tell the frames behind it: dataset, codec and protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from vssbench.codec.spec import Codec
from vssbench.core.dataset import Dataset
from vssbench.core.variant import Variant
from vssbench.protocol import Protocol as Scoring
from vssbench.protocol import typed
from vssbench.run.identity import run_id
from vssbench.run.sizes import Sizes


class Source(Protocol):
    """Frames of a dataset through a codec under a protocol; the variants are as typed."""

    @property
    def dataset_variant(self) -> Variant: ...

    @property
    def dataset(self) -> Dataset: ...

    @property
    def codec_variant(self) -> Variant: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def protocol(self) -> Scoring: ...


def described(source: Source, identity: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a Measurement that tell its source, its id and when it began.

    ``identity`` is that of the run: its id is made of it, and its classes and clips tell the data.
    """
    clips, codec = source.dataset.scored_clips, source.codec
    sizes, given = Sizes.of(clips), clips[0].given
    height, width = sizes.common
    return {
        "run_id": run_id(identity),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": str(source.dataset_variant),
        "dataset_title": sizes.title(source.dataset.title),
        "split": str(source.dataset.split or ""),
        "data": run_id({name: identity[name] for name in ("classes", "clips")}),
        "codec": str(source.codec_variant),
        "codec_title": codec.describe() if given is None else given.title,
        "codec_name": codec.title if given is None else given.title,
        "codec_rate": codec.asked(),
        "protocol": typed(source.protocol),
        "aggregate": source.protocol.aggregate,
        "gop": codec.gop,
        "classes": list(source.dataset.classes),
        "height": height,
        "width": width,
    }
