"""The file of the reference trainings as it may be written: its keys, their types, and the names
that stand for others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

Share = Annotated[float, Field(gt=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Stage(_Strict):
    name: str
    variant: str
    before: str | None = Field(default=None, alias="from")
    from_other: dict[str, str] = {}
    trainings: list[str] | None = None
    alone: list[str] = []
    shares: dict[str, Share] = {}
    epochs: PositiveInt | None = None
    pair_epochs: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    options: list[str] = []


class _Network(_Strict):
    method: str
    recipe: str | None = None
    file: str | None = None
    init: list[str] = []
    near: list[str] = []
    share: Share = 1
    pairs: bool = False
    phases: dict[str, list[str]] = {}
    stages: list[str] | None = None
    options: list[str] = []


class _Plan(_Strict):
    recipe: str
    width: PositiveFloat
    mantissa_bits: PositiveInt
    stages: list[_Stage]
    trainings: dict[str, _Network]


def members(content: dict[str, Any], stage: dict[str, Any]) -> list[str]:
    """Return the names of the trainings of a stage, in the file's order."""
    return [
        name
        for name, own in content["trainings"].items()
        if name in stage.get("trainings", [name])
        and stage["name"] in own.get("stages", [stage["name"]])
    ]


def check(content: dict[str, Any]) -> None:
    """Raise ValueError, with the place, for a plan that has a key or a value that means nothing, or
    names a stage or a training that is not there or comes later."""
    try:
        _Plan.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    trainings, stages = content["trainings"], content["stages"]
    earlier: list[str] = []
    for network, own in trainings.items():
        place = f"training {network}"
        _check(f"{place}, init", own.get("init", ()), earlier)
        _check(f"{place}, near", own.get("near", ()), trainings)
        _check(f"{place}, stages", own.get("stages", ()), [stage["name"] for stage in stages])
        _check(f"{place}, phases", own.get("phases", ()), {stage["variant"] for stage in stages})
        earlier.append(network)
    before: dict[str, list[str]] = {}
    for stage in stages:
        if stage["name"] in before:
            raise ValueError(f"stage {stage['name']} is there twice")
        before[stage["name"]] = _checked_members(content, stage, before)


def _checked_members(
    content: dict[str, Any], stage: dict[str, Any], before: dict[str, list[str]]
) -> list[str]:
    """Return the members of a stage, given those of the stages before it. Raises ValueError."""
    place, its = f"stage {stage['name']}", members(content, stage)
    for key in ("trainings", "alone", "shares", "from_other"):
        _check(f"{place}, {key}", stage.get(key, ()), its)
    for name in its:
        key = "pair_epochs" if content["trainings"][name].get("pairs") else "epochs"
        if key not in stage:
            raise ValueError(f"{place}: {name} needs {key}")
    if "from" in stage:
        _check(f"{place}, from", [stage["from"]], before)
        others = [stage.get("from_other", {}).get(name, name) for name in its]
        _check(f"{place}, from {stage['from']}", others, before[stage["from"]])
    return its


def _check(place: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none that comes before"
            raise ValueError(f"{place}: {name!r} is none of {listed}")
