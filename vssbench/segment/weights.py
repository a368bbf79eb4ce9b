"""The weights for a video: those given, or the shipped ones of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.home import expanded
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.gmacs import meta_model
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.network import check_fit
from vssbench.weights.shipped import choose_shipped, none_here, shipped_folder


def weights_for(
    method: str | None, given: Path | None, dataset: str, say: Callable[[str], object]
) -> tuple[Variant, WeightFile]:
    """Return the method with its weights: a file that is given must fit what was typed, shipped
    ones settle what was left open.

    ``say`` takes the message of what was settled. Raises UsageError where neither is given,
    WeightsError where nothing fits.
    """
    if given is not None:
        file = open_weights(expanded(given))
        variant = file.variant if method is None else parse_variant(method)
        # refuses parameters that the method does not have or allow
        meta_model(variant, len(file.classes))
        check_fit(variant, file.classes, file)
        return variant, file
    if method is None:
        raise UsageError(
            "nothing to run: give a method, as -m 'arseg[scale=0.5]', or --weights FILE"
        )
    asked = parse_variant(method)
    classes = _shipped_classes(dataset)
    meta_model(asked, len(classes))
    settled, file = choose_shipped(asked, dataset, classes)
    if settled != asked:
        say(f"{asked}: taken as {settled}, for which {file.path.name} is shipped")
    return settled, file


def _shipped_classes(dataset: str) -> tuple[str, ...]:
    """Return the classes of the weights that are shipped for a dataset."""
    classes = {
        file.dataset: file.classes
        for file in map(open_weights, sorted(shipped_folder().glob("*.safetensors")))
    }
    if dataset not in classes:
        raise WeightsError(
            none_here()
            or f"no weights are shipped for {dataset!r}, only for {', '.join(classes)}: give "
            "--weights FILE"
        )
    return classes[dataset]
