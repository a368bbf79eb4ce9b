"""The parameters of a plug-in's class: their defaults, types and choices, and the check of what was
given for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, Self, get_args, get_origin

from vssbench.core.errors import UsageError
from vssbench.core.variant import Value, format_value


class WithChoices:
    """An object whose arguments are checked before it is made: one that is annotated as
    ``Literal[...]`` takes these values alone."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        check_choices(cls, kwargs, cls.__name__)
        return super().__new__(cls)


def signature(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only arguments of a class's ``__init__`` that have defaults.

    Where that takes ``**options`` too, those of the class that it derives from come first.
    """
    return dict(_signature(cls))  # type: ignore[arg-type]


@cache
def _signature(cls: type[Any]) -> Mapping[str, inspect.Parameter]:
    declared: dict[str, inspect.Parameter] = {}
    for arguments, _ in reversed(list(_constructors(cls))):
        declared |= {
            item.name: item
            for item in arguments
            if item.kind is inspect.Parameter.KEYWORD_ONLY
            and item.default is not inspect.Parameter.empty
        }
    return declared


def choices(cls: type[Any]) -> Mapping[str, tuple[Value, ...]]:
    """Return the values that an argument of the class's ``__init__`` can have, where it is
    annotated as ``Literal[...]``."""
    return dict(_choices(cls))  # type: ignore[arg-type]


@cache
def _choices(cls: type[Any]) -> Mapping[str, tuple[Value, ...]]:
    declared: dict[str, tuple[Value, ...]] = {}
    for arguments, names in reversed(list(_constructors(cls))):
        for item in arguments:
            declared.pop(item.name, None)
            annotation = _evaluated(item.annotation, names)
            if get_origin(annotation) is Literal:
                declared[item.name] = get_args(annotation)
    return declared


def check_choices(cls: type[Any], given: Mapping[str, Any], owner: str = "") -> None:
    """Refuse a value that is none of its argument's choices: UsageError that names these, and whose
    argument it is."""
    for key, allowed in choices(cls).items():
        if key in given and not _is_among(given[key], allowed):
            raise UsageError(
                f"unknown {key} {given[key]!r}{owner and f' of {owner}'}: expected "
                f"{either(format_value(value) for value in allowed)}"
            )


def either(words: Iterable[str]) -> str:
    """Return the words in one phrase: ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def converted(cls: type[Any], given: Mapping[str, Value], owner: str) -> dict[str, Value]:
    """Return values as they were typed in the types that the class declares: ``scale=1`` and
    ``scale=1.0`` are the same.

    Raises UsageError for a value of another type, or that is none of the choices.
    """
    declared, allowed = signature(cls), choices(cls)
    values = {
        key: _convert(f"{key} of {owner}", value, _kind(declared[key], allowed.get(key, ())))
        for key, value in given.items()
    }
    check_choices(cls, values, owner)
    return values


def _kind(item: inspect.Parameter, allowed: tuple[Value, ...]) -> str:
    """Return the name of the type that an argument is declared to have; of choices among words
    ``str``."""
    if allowed and all(isinstance(value, str) for value in allowed):
        return "str"
    annotation = item.annotation
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _convert(what: str, value: Value, declared: str) -> Value:
    """Return a value in its declared type. A type other than bool, int, float and str is the
    class's own to check."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if declared == "str":
        # the grammar reads `warp=off` as a boolean before it knows what is declared
        if isinstance(value, bool):
            return "on" if value else "off"
        return format_value(value)
    if declared == "float" and number:
        return float(value)
    fits = {
        "bool": isinstance(value, bool),
        "int": number and isinstance(value, int),
        "float": number,
    }
    if not fits.get(declared, True):
        expected = {"bool": "on or off", "int": "an integer", "float": "a number"}[declared]
        raise UsageError(f"{what} is {format_value(value)!r}: expected {expected}")
    return value


def _is_among(value: Any, allowed: Collection[Value]) -> bool:
    """Return whether a value is one of the choices; ``True`` is not 1."""
    return any(type(value) is type(choice) and value == choice for choice in allowed)


def _constructors(
    cls: type[Any],
) -> Iterator[tuple[Collection[inspect.Parameter], Mapping[str, Any]]]:
    """Yield the arguments of the class's ``__init__`` with the names that its module knows, and of
    the next in its MRO for as long as ``**options`` pass the rest on."""
    for base in cls.__mro__:
        if "__init__" in vars(base):
            init: Callable[..., Any] = vars(base)["__init__"]
            arguments = inspect.signature(init).parameters.values()
            yield arguments, getattr(init, "__globals__", {})
            if all(item.kind is not inspect.Parameter.VAR_KEYWORD for item in arguments):
                return


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """Return an annotation that may be a text, as ``from __future__ import annotations`` makes it;
    None where a name in it is for type checkers alone."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # the plug-in's own source, as typing evaluates it
    except (NameError, AttributeError, TypeError):
        # a name that is imported for type checkers alone, or an attribute of it that its stub has;
        # a form that this Python lacks where it runs, as a class that takes no brackets
        return None
