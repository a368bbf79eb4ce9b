"""Checks the record in a weight file's metadata before anything is made of it.

Metadata are text that any tool may have written: each key is read strictly, and the first that does
not fit is refused with what it holds and what was expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.program import program
from vssbench.core.shown import plain
from vssbench.core.variant import Variant, format_value, parse_variant

#: files that one weight file may be split into: more than any network has tensors
MOST_PARTS = 9999
#: classes that masks of 8 bits can hold beside the value that is ignored
MOST_CLASSES = 255
#: below this a division by the standard deviation leaves what float16 and bfloat16 hold
_LEAST_STD = 1e-5

#: keys that a parameter of a method does not bear
_OWN = (
    "method", "name", "classes", "dataset", "training", "vssbench", "parts", "mean", "std",
    "missing", "packed", "identity",
)  # fmt: skip

Fits = Callable[[Any], bool]


def check_record(path: Path, metadata: Mapping[str, str]) -> None:
    """Check every key of a weight file's metadata that is there.

    Raises WeightsError that names the first key that does not fit.
    """
    variant = _variant(path, metadata["method"])
    name = metadata.get("name", variant.name)
    if name != variant.name:
        raise _refusal(path, "name", name, f"{variant.name!r}, as in 'method'")
    for key, (fits, expected) in _JSON.items():
        if key in metadata and not fits(_value(path, key, metadata[key], expected)):
            raise _refusal(path, key, metadata[key], expected)
    parts = metadata.get("parts", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", parts):
        raise _refusal(path, "parts", parts, f"a whole number from 1 to {MOST_PARTS}")
    _check_training(path, json.loads(metadata.get("training", "{}")))
    _check_parameters(path, variant, metadata)


def _variant(path: Path, text: str) -> Variant:
    try:
        return parse_variant(text)
    except UsageError as error:
        raise WeightsError(f"{path} has a damaged record: 'method': {error}; {_next()}") from error


def _value(path: Path, key: str, text: str, expected: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(path, key, text, expected) from error


def _check_training(path: Path, training: Mapping[str, Any]) -> None:
    """Check what is read of the record of how the weights were made."""
    for key, (fits, expected) in _TRAINING.items():
        if key in training and not fits(training[key]):
            raise _refusal(path, f"training: {key}", json.dumps(training[key]), expected)


def _check_parameters(path: Path, variant: Variant, metadata: Mapping[str, str]) -> None:
    """Check that each parameter's own key says what 'method' says."""
    stated = dict(variant.params)
    further = [key for key in metadata if key not in _OWN and key not in stated]
    if further:
        # defaults that 'method' leaves open; a method that is not installed is refused where it is
        # used
        with suppress(UsageError):
            stated = registry.resolved("methods", variant)
    for key, value in stated.items():
        if key not in _OWN and metadata.get(key, format_value(value)) != format_value(value):
            raise _refusal(path, key, metadata[key], f"{format_value(value)!r}, as in 'method'")


def _refusal(path: Path, key: str, found: str, expected: str) -> WeightsError:
    shown = found if len(found) <= 80 else f"{found[:77]}..."
    return WeightsError(
        f"{path} has a damaged record: {key!r} is {shown!r}, expected {expected}; {_next()}"
    )


def _next() -> str:
    name = program()
    return f"fetch the file again, or make it again with `{name} train` or `{name} weights`"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    # half of a surrogate pair, which JSON can hold, can be neither printed nor stored
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _class_names(value: Any) -> bool:
    return (
        _texts(value)
        and len(value) <= MOST_CLASSES
        and all(name.strip() and name == plain(name) for name in value)
    )


def _triple(least: float) -> Fits:
    return lambda value: (
        isinstance(value, list)
        and len(value) == 3
        and all(_number(each) and least <= each <= 1 for each in value)
    )


def _colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(each in range(256) for each in value)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


_JSON: dict[str, tuple[Fits, str]] = {
    "classes": (_class_names, f"a JSON list of at most {MOST_CLASSES} names"),
    "mean": (_triple(0), "a JSON list of three numbers of R, G and B between 0 and 1"),
    "std": (_triple(_LEAST_STD), f"a JSON list of three numbers between {_LEAST_STD:g} and 1"),
    "missing": (_texts, "a JSON list of the names of parts"),
    "training": (_object, "a JSON object"),
}

_TRAINING: dict[str, tuple[Fits, str]] = {
    "command": (_text, "a text"),
    "dataset": (_text, "a text"),
    "seconds": (lambda value: _number(value) and 0 <= value < float("inf"), "a number of seconds"),
    "history": (_list_of(_object), "a list of objects, one an epoch"),
    "imported from": (_texts, "a list of texts"),
    "entries not used": (_list_of(lambda value: isinstance(value, list)), "a list of lists"),
    "options": (_object, "an object"),
    "palette": (_list_of(_colour), "a list of colours, three whole numbers up to 255 each"),
}
