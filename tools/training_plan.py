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

    def members(self, stage: _Stage) -> list[str]:
        """Return the names of the trainings of a stage, in the file's order."""
        return [
            name
            for name, own in self.trainings.items()
            if (stage.trainings is None or name in stage.trainings)
            and (own.stages is None or stage.name in own.stages)
        ]


def check(content: dict[str, Any]) -> None:
    """Raise ValueError, with the place, for a plan that has a key or a value that means nothing, or
    names a stage or a training that is not there or comes later."""
    try:
        plan = _Plan.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    earlier: list[str] = []
    for network, own in plan.trainings.items():
        place = f"training {network}"
        _check(f"{place}, init", own.init, earlier)
        _check(f"{place}, near", own.near, plan.trainings)
        _check(f"{place}, stages", own.stages or (), [stage.name for stage in plan.stages])
        _check(f"{place}, phases", own.phases, {stage.variant for stage in plan.stages})
        earlier.append(network)
    stages: dict[str, _Stage] = {}
    for stage in plan.stages:
        if stage.name in stages:
            raise ValueError(f"stage {stage.name} is there twice")
        _check_stage(plan, stage, stages)
        stages[stage.name] = stage


def _check_stage(plan: _Plan, stage: _Stage, earlier: dict[str, _Stage]) -> None:
    place, members = f"stage {stage.name}", plan.members(stage)
    _check(f"{place}, trainings", stage.trainings or (), members)
    for key, names in (
        ("alone", stage.alone), ("shares", stage.shares), ("from_other", stage.from_other),
    ):  # fmt: skip
        _check(f"{place}, {key}", names, members)
    for name in members:
        key = "pair_epochs" if plan.trainings[name].pairs else "epochs"
        if getattr(stage, key) is None:
            raise ValueError(f"{place}: {name} needs {key}")
    if stage.before is None:
        return
    _check(f"{place}, from", [stage.before], earlier)
    others = [stage.from_other.get(name, name) for name in members]
    _check(f"{place}, from {stage.before}", others, plan.members(earlier[stage.before]))


def _check(place: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none that comes before"
            raise ValueError(f"{place}: {name!r} is none of {listed}")
