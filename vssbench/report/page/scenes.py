"""The frames that a page shows: the worst ones of each set of conditions, and a loop around the
worst, segmented again by every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from vssbench.core.errors import VssbenchError
from vssbench.report.columns import percent
from vssbench.report.counted import names_of_row
from vssbench.report.frames import frame
from vssbench.report.page.content import Content
from vssbench.report.page.parts import Shown
from vssbench.report.page.pictures import (
    LOOP_WIDTH,
    WIDTH,
    Loop,
    Picture,
    Pictures,
    Scene,
    Series,
    Strip,
    Tile,
    drawing,
    errors,
    photograph,
    scene_bytes,
    size_of,
)
from vssbench.report.page.replay import Place, Replay, Seen, Sources
from vssbench.run.store import RunStore
from vssbench.run.stored import Run
from vssbench.segment.drawing import Palette, palette_of

#: frames of a loop, and bytes of all pictures together, at most
LOOP_FRAMES, MOST_BYTES = 16, 6_000_000


_DIFFERING = (
    "Pixels that are not as measured: the frames were segmented again here, and another processor "
    "or version decodes and computes in another order."
)


@dataclass(frozen=True)
class Wish:
    """The pictures that are asked for: how many of the worst frames at each of some distances from
    the keyframe, or at the greatest where none is named."""

    count: int
    distances: tuple[int, ...] = ()


@dataclass
class Drawn:
    """One frame of a scene in pictures: what all methods share, and what each made of it."""

    size: tuple[int, int] = (0, 0)
    shared: tuple[Tile, ...] = ()
    own: dict[int, Tile] = field(default_factory=dict)


@dataclass
class Step:
    """One frame of a loop: pictures by their titles, and each method's by its run's number."""

    size: tuple[int, int] = (0, 0)
    shared: dict[str, str] = field(default_factory=dict)
    own: dict[int, str] = field(default_factory=dict)


def pictures(
    store: RunStore, page: Content, wish: Wish, sources: Sources, advance: Callable[[str], None]
) -> Pictures:
    """Segment the chosen frames of every run again and draw them.

    ``advance`` is called before each run with its name. Runs whose data or weights are not here are
    told in the notes.
    """
    scenes: list[Scene] = []
    missing: dict[str, list[str]] = {}
    left_out = 0
    for number, _ in enumerate(page.conditions):
        its = [each for each in page.shown if each.condition == number]
        runs = {each.number: store.get(each.row["run_id"]) for each in its}
        chosen = _chosen(its, runs, wish)
        if not chosen:
            continue
        if sum(map(scene_bytes, scenes)) > MOST_BYTES:
            left_out += 1
            continue
        made = _Scene(number, runs[its[0].number].measurement.classes, chosen)
        for each in its:
            advance(each.name)
            try:
                without = names_of_row(each.row)
                made.add(each, Replay(runs[each.number], sources, without))
            except VssbenchError as error:
                missing.setdefault(str(error), []).append(each.name)
        scenes += made.finished()
    notes = [_DIFFERING] if any(_differs(scene) for scene in scenes) else []
    notes += [
        f"No pictures of {', '.join(dict.fromkeys(names))}: {reason}"
        for reason, names in missing.items()
    ]
    if left_out:
        noun = "set of conditions has" if left_out == 1 else "sets of conditions have"
        notes.append(
            f"{left_out} {noun} no pictures, so that the page stays small: choose fewer by -d, -c "
            "and -m."
        )
    return Pictures(tuple(scenes), tuple(notes))


def _differs(scene: Scene) -> bool:
    tiles = [tile for strip in scene.strips for tile in strip.tiles]
    return any("not as measured" in tile.note for tile in tiles)


@dataclass(frozen=True)
class Chosen:
    """A frame that was chosen: where it lies, and its mean mIoU over the methods."""

    place: Place
    miou: float


def _chosen(its: Sequence[Shown], runs: dict[int, Run], wish: Wish) -> list[Chosen]:
    """Choose the frames on which the methods' mean mIoU is least, at each distance."""
    measured = [runs[each.number] for each in its if each.row["miou"] is not None]
    frames = frame(measured, "frame", names_of_row(its[0].row))
    frames = frames[frames["scored"] & frames["miou"].notna()]
    if frames.empty:
        return []
    gop = int(its[0].row["gop"]) or 1
    found = []
    for distance in wish.distances or (int(frames["distance"].max()),):
        found += _worst(frames[frames["distance"] == distance], distance, wish.count, gop)
    return found


def _worst(frames: pd.DataFrame, distance: int, count: int, gop: int) -> list[Chosen]:
    """Return the worst frames at a distance, none within a GOP of another."""
    means = frames.groupby(["clip", "frame"])["miou"].mean().sort_values(kind="stable")
    found: list[Chosen] = []
    for clip, number, value in means.reset_index().itertuples(index=False):
        near = (
            other.place.clip == clip and abs(other.place.frame - number) < gop for other in found
        )
        if len(found) < count and not any(near):
            found.append(Chosen(Place(int(clip), int(number), distance), float(value)))
    return found


class _Scene:
    """A scene while its runs are segmented one after the other."""

    def __init__(self, condition: int, classes: Sequence[str], chosen: Sequence[Chosen]) -> None:
        self.condition, self.classes, self.chosen = condition, list(classes), chosen
        self.palette: Palette = palette_of(classes)
        worst = chosen[-1].place if len(chosen) == 1 else max(
            (each.place for each in chosen), key=lambda place: place.distance
        )  # fmt: skip
        first = worst.frame - worst.distance
        self.loop = [Place(worst.clip, first + step, step) for step in range(LOOP_FRAMES)]
        self.strips: dict[Place, Drawn] = {each.place: Drawn() for each in chosen}
        self.frames: dict[Place, Step] = {}
        self.clips: dict[int, str] = {}
        self.names: dict[int, str] = {}

    def add(self, each: Shown, replay: Replay) -> None:
        """Segment the frames by one run's method, and draw them."""
        gop = replay.gop
        length = replay.dataset.scored_clips[self.loop[0].clip].length
        loop = [place for place in self.loop if place.distance < gop and place.frame < length]
        wanted = [*self.strips, *(place for place in loop if place not in self.strips)]
        found = replay.frames(wanted)
        self.names[each.number] = each.name
        for place, seen in found.items():
            self.clips[place.clip] = replay.dataset.scored_clips[place.clip].name
            if place in self.strips:
                self._strip(self.strips[place], each, seen, place, replay.run)
            if place in loop:
                self._frame(self.frames.setdefault(place, Step()), each, seen)

    def _strip(self, drawn: Drawn, each: Shown, seen: Seen, place: Place, run: Run) -> None:
        if seen.label is None:
            return
        if not drawn.shared:
            drawn.size = size_of(seen.image.shape[0], seen.image.shape[1], WIDTH)
            both = (
                Picture(photograph(seen.image), "The frame"),
                Picture(drawing(seen.label, self.palette), "Its label"),
            )
            drawn.shared = (Tile("The frame and its label", both),)
        made = (
            Picture(drawing(seen.prediction, self.palette), f"Prediction of {each.name}"),
            Picture(errors(seen.image, seen.label, seen.prediction), f"Errors of {each.name}"),
        )
        note = f"mIoU {percent(_miou(run, place, names_of_row(each.row)))} %"
        if seen.differing:
            note += f"; {100 * seen.differing:.2f} % of its pixels are not as measured"
        drawn.own[each.number] = Tile(each.name, made, each.number, note)

    def _frame(self, drawn: Step, each: Shown, seen: Seen) -> None:
        if not drawn.shared:
            drawn.size = size_of(seen.image.shape[0], seen.image.shape[1], LOOP_WIDTH)
            drawn.shared = {"The frames": photograph(seen.image, LOOP_WIDTH)}
            if seen.label is not None:
                drawn.shared["Labels"] = drawing(seen.label, self.palette, LOOP_WIDTH)
        drawn.own[each.number] = drawing(seen.prediction, self.palette, LOOP_WIDTH)

    def finished(self) -> list[Scene]:
        """Return the scene, or nothing where no run could be segmented."""
        strips = [
            self._finished_strip(each, drawn)
            for each in self.chosen
            if (drawn := self.strips[each.place]).own
        ]
        if not strips:
            return []
        colours = tuple(
            (name, "#{:02x}{:02x}{:02x}".format(*self.palette[place].tolist()))
            for place, name in enumerate(self.classes)
        )
        return [Scene(self.condition, colours, tuple(strips), self._finished_loop())]

    def _finished_strip(self, each: Chosen, drawn: Drawn) -> Strip:
        place = each.place
        title = (
            f"Frame {place.frame} of {self.clips[place.clip]}, {place.distance} frames after its "
            f"keyframe: the methods' mean mIoU on it is {percent(each.miou)} %"
        )
        return Strip(title, (*drawn.shared, *drawn.own.values()), *drawn.size)

    def _finished_loop(self) -> Loop | None:
        places = sorted(self.frames)
        if len(places) < 2:
            return None
        drawn = [self.frames[place] for place in places]
        series = [
            Series(name, tuple(each.shared[name] for each in drawn))
            for name in drawn[0].shared
            if all(name in each.shared for each in drawn)
        ]
        series += [
            Series(name, tuple(each.own[number] for each in drawn), number)
            for number, name in self.names.items()
            if all(number in each.own for each in drawn)
        ]
        first, last = places[0], places[-1]
        title = (
            f"Frames {first.frame} to {last.frame} of {self.clips[first.clip]}, from the keyframe "
            "on"
        )
        return Loop(title, tuple(series), *drawn[0].size)


def _miou(run: Run, place: Place, without: Sequence[str]) -> float | None:
    """Return the mIoU of one stored frame without some classes."""
    frames = frame([run], "frame", without)
    here = (
        (frames["clip"] == place.clip)
        & (frames["frame"] == place.frame)
        & (frames["distance"] == place.distance)
    )
    values = frames.loc[here, "miou"].dropna()
    return float(values.iloc[0]) if len(values) else None
