"""The data and weights that rows of a paper's table need, which of them are here, and the
experiments that can be run with these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError, UsageError, VssbenchError, WeightsError
from vssbench.core.opening import open_dataset
from vssbench.core.variant import Variant, parse_variant
from vssbench.report.paper.layout import Layout, Setting
from vssbench.report.paper.ours import ACCURACIES, Number
from vssbench.sweep.grid import Grid
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.network import check_fit, weights_name
from vssbench.weights.shipped import choose_shipped, closest


@dataclass(frozen=True)
class Need:
    """The needs of one method to be measured as in a paper.

    ``size`` is that of frames (height, width), where the paper states it; ``no_data`` and
    ``no_weights`` say what is missing, and are empty where it is here.
    """

    method: str
    dataset: str
    codec: str
    protocol: str
    size: tuple[int, int] | None
    no_data: str
    no_weights: str

    @property
    def runs(self) -> bool:
        """Whether it can be run with what is here."""
        return not (self.no_data or self.no_weights)

    def missing(self) -> str:
        """Return what is missing, in a few words; empty where nothing is."""
        parts = [
            *(["data"] if self.no_data else []),
            *(["weights"] if self.no_weights else []),
        ]
        return " and ".join(parts)

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "runs": self.runs}


@dataclass(frozen=True)
class Means:
    """The means of a user: folders of data, weight files, the device to run on."""

    roots: tuple[Path, ...] = ()
    weights: tuple[Path, ...] = ()
    device: str = "cpu"

    def grid(self, need: Need) -> Grid:
        """Return the experiment of a need that can be run."""
        method = parse_variant(need.method)
        names = (method.name, weights_name(method))
        fitting = [path for path in self.weights if open_weights(path).variant.name in names]
        return Grid(
            (need.method,), (need.codec,), need.protocol, tuple(fitting), device=self.device
        )


def needs(layouts: Iterable[Layout], means: Means) -> list[Need]:
    """Return what each measured row of these tables needs, once for each experiment."""
    files = [open_weights(path) for path in means.weights]
    listed: dict[tuple[str, str, str, str], Need] = {}
    data: dict[tuple[str, tuple[int, int] | None], str] = {}
    for layout in layouts:
        for _, column, number in layout.numbers():
            if number is None or not column.ours or number["metric"] not in ACCURACIES:
                continue
            setting = layout.paper.setting(number)
            if not number["variant"] or setting is None:
                continue
            key = need_of(number, setting)
            if key not in listed:
                method = parse_variant(number["variant"])
                listed[key] = _need(method, number, setting, _Here(means.roots, files, data))
    return list(listed.values())


@dataclass(frozen=True)
class _Here:
    """The folders and weight files of a user, and what was found of datasets already."""

    roots: Sequence[Path]
    files: Sequence[WeightFile]
    data: dict[tuple[str, tuple[int, int] | None], str]

    def no_data(self, text: str, size: tuple[int, int] | None) -> str:
        """Return what is missing of a dataset of that size; empty where it is here."""
        if (text, size) not in self.data:
            try:
                opened(text, size, self.roots)
                self.data[text, size] = ""
            except DataError as error:
                self.data[text, size] = str(error)
        return self.data[text, size]


def _need(method: Variant, number: Number, setting: Setting, here: _Here) -> Need:
    """Return the need of a number, by the first way to measure it whose data are here."""
    height, width = number["height"], number["width"]
    size = None if height is None or width is None else (int(height), int(width))
    way = next((way for way in setting.ways if not here.no_data(way.dataset, size)), setting)
    lacking = _no_weights(method, way, number["classes"] or 0, here.files)
    return Need(*need_of(number, way), size, here.no_data(way.dataset, size), lacking)


def need_of(number: Number, setting: Setting) -> tuple[str, str, str, str]:
    """Return method, dataset, codec and protocol, as typed, by which a number is measured."""
    codec = codec_of(setting, number["gop"])
    return number["variant"], setting.dataset, codec, setting.protocol


def codec_of(setting: Setting, gop: int | None) -> str:
    """Return the codec of a setting as typed, at a number's GOP."""
    codec = parse_variant(setting.codec)
    spell = getattr(registry.load("codecs", codec.name), "spelled_out", dict)
    spelled = dict(spell(codec.params))
    if gop is None or spelled.get("gop") == gop:
        return setting.codec
    return str(Variant(codec.name, {**spelled, "gop": gop}))


def opened(text: str, size: tuple[int, int] | None, roots: Sequence[Path]) -> Dataset:
    """Open a dataset in the first of these folders that has it, with frames of that size.

    Raises DataError, of the last folder, where none has.
    """
    variant = parse_variant(text)
    error: VssbenchError = DataError(f"{text} is not there")
    for root in roots or (None,):
        try:
            dataset = open_dataset(variant, root)
            _check_size(dataset, text, size)
            return dataset
        except (DataError, UsageError) as failure:
            error = failure
    raise DataError(str(error)) from error


def _check_size(dataset: Dataset, text: str, size: tuple[int, int] | None) -> None:
    """Raise DataError for a dataset without clips that are scored, or of frames of another size."""
    sizes = {(clip.height, clip.width) for clip in dataset.scored_clips}
    if not sizes:
        raise DataError(f"{text} has no clips that are scored")
    if size is not None and sizes != {size}:
        listed = ", ".join(sorted(f"{height}x{width}" for height, width in sizes))
        raise DataError(f"here at {listed}; the paper's frames are {size[0]}x{size[1]}")


def _no_weights(
    variant: Variant, setting: Setting, classes: int, files: Sequence[WeightFile]
) -> str:
    """Return why no weights fit; empty where a file that was given or is shipped does."""
    best = closest(variant, files, classes)
    try:
        if best is not None:
            check_fit(variant, best.classes, best)
            fits = len(best.classes) == classes
            return "" if fits else f"{best.path} has {len(best.classes)} classes, not {classes}"
        settled, _ = choose_shipped(
            variant, parse_variant(setting.dataset).name, tuple(map(str, range(classes)))
        )
    except WeightsError as error:
        return f"none for {classes} classes are shipped" if best is None else str(error)
    if registry.resolved("methods", settled) == registry.resolved("methods", variant):
        return ""
    return f"shipped are those of {settled}"
