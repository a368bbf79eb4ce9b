"""Frames around CamVid's labels, taken from the raw videos: streaming, resumable, each file written
whole or not at all."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image as Pillow

from vssbench.core import files, reading, registry
from vssbench.core.dataset import Preparation
from vssbench.core.errors import DataError, UsageError
from vssbench.core.program import program
from vssbench.core.progress import Tracker, track
from vssbench.core.variant import Variant
from vssbench.core.video import Image
from vssbench.data.alignment import Thumbnail, check_place, find_offset, thumbnail
from vssbench.data.colour import rgb
from vssbench.data.pictures import Size, image_size, read_image
from vssbench.data.stills import Still
from vssbench.data.videofile import pictures
from vssbench.datasets.camvid.raw_video import (
    FOLDER,
    FOOTAGE,
    Footage,
    find_video,
    unpack_hint,
    video_folders,
    zip_parts,
)

SPLITS = ("train", "val", "test")
#: stills by which the offset is found, and frames to either side of the expected one at which they
#: are looked for
CHECKED, REACH = 3, 15
#: colour matrices that a video may have been turned into stills by, whatever it says of itself
MATRICES = {"BT.601": Colorspace.ITU601, "BT.709": Colorspace.ITU709}
MANIFEST = "taken.json"


@dataclass(frozen=True)
class Taken:
    """The origin of a sequence's frames: their video and how they were taken; kept beside them."""

    video: str
    bytes: int
    first: int
    matrix: str
    width: int
    height: int


@dataclass(frozen=True)
class _Job:
    """One sequence: its stills by frame number, its video, the folder of its frames, and the frames
    that are wanted."""

    footage: Footage
    stills: dict[int, Still]
    video: Path
    folder: Path
    wanted: frozenset[int]

    def file(self, frame: int) -> Path:
        return self.folder / f"{self.footage.still(frame)}.png"


def take(order: Preparation, tell: Callable[[str], None]) -> Iterator[str]:
    """Take the frames, a sequence at a time; yields what came of each in words. ``tell`` is told
    what happens meanwhile.

    Raises DataError where stills or all videos are missing, a video and the stills do not fit, or
    frames cannot be written; UsageError for an unknown split.
    """
    stills = _stills(order)
    folders = [order.videos] if order.videos is not None else video_folders(order.root)
    sequences = sorted({still.sequence for still in stills})
    for still in stills:
        if still.sequence not in FOOTAGE:
            raise DataError(
                f"{still.image} is of the sequence {still.sequence!r}, which is none of CamVid's: "
                f"expected {', '.join(FOOTAGE)}; take it out of the list, or move it out of the "
                "folder"
            )
    videos = {name: find_video(folders, FOOTAGE[name]) for name in sequences}
    if not any(videos.values()):
        raise DataError(
            f"none of the raw videos {', '.join(FOOTAGE[name].file for name in sequences)} is in "
            f"{', '.join(map(str, folders))}: pass --videos DIR; {program()} data status "
            "camvid says where to get them"
        )
    for name in sequences:
        video = videos[name]
        if video is None:
            parts = zip_parts(folders, FOOTAGE[name])
            hint = f"; {unpack_hint(parts, FOOTAGE[name])}" if parts else ""
            yield f"{name}: left out, there is no {FOOTAGE[name].file}{hint}"
            continue
        job = _job(
            order, FOOTAGE[name], [still for still in stills if still.sequence == name], video
        )
        try:
            yield _take(job, tell)
        except files.NotWritten as error:
            raise DataError(f"{error}, then run it again: it goes on where it stopped") from error


def _stills(order: Preparation) -> list[Still]:
    """Return the labelled frames of the splits that are asked for, or of those that the folder
    has."""
    for split in order.splits:
        if split not in SPLITS:
            raise UsageError(f"camvid has no split {split!r}: expected one of {', '.join(SPLITS)}")
    stills: list[Still] = []
    reason: DataError | None = None
    for split in order.splits or SPLITS:
        dataset = registry.create(
            "datasets", Variant("camvid", {"split": split}), root=str(order.root)
        )
        try:
            stills += dataset.stills(split)[0]
        except DataError as error:
            if order.splits:
                raise
            reason = reason or error
    if not stills and reason is not None:
        raise reason
    return stills


def _job(order: Preparation, footage: Footage, stills: Sequence[Still], video: Path) -> _Job:
    numbers = {still.number: still for still in stills}
    wanted = {
        frame
        for number in numbers
        for frame in range(number - order.before, number + order.after + 1)
        if frame >= 0
    }
    return _Job(footage, numbers, video, order.root / FOLDER / footage.sequence, frozenset(wanted))


def _take(job: _Job, tell: Callable[[str], None]) -> str:
    name, there = job.footage.sequence, {frame for frame in job.wanted if job.file(frame).is_file()}
    kept = _manifest(job)
    if kept is not None and there == job.wanted:
        return f"{name}: all {len(there)} frames are in {job.folder} already"
    if kept is None:
        tell(f"{name}: looking for the stills in {job.video.name}")
        kept = _survey(job)
        files.write_text(job.folder / MANIFEST, json.dumps(asdict(kept), indent=2) + "\n")
    with track(f"{name}: frames", len(job.wanted)) as tracker:
        worst, written, seen = _extract(job, kept, there, tracker)
    found = (
        "as expected"
        if kept.first == job.footage.first
        else f"found by comparing, expected {job.footage.first}"
    )
    lacking = len(job.wanted) - seen
    beyond = f"; {lacking} lie beyond the video's ends" if lacking else ""
    return (
        f"{name}: wrote {written} frames to {job.folder}, {len(there)} were there{beyond}. Picture "
        f"0 is frame {kept.first} ({found}), colours by {kept.matrix}; all {len(job.stills)} "
        f"stills fit, the worst to {worst:.3f} of the contrast"
    )


def _manifest(job: _Job) -> Taken | None:
    """Read the origin of the frames that are there.

    Raises DataError for another video, or stills of another size.
    """
    path = job.folder / MANIFEST
    if not path.is_file():
        return None
    try:
        taken = Taken(**reading.read_json(path))
    except (OSError, DataError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): move the folder {job.folder} away and take the "
            "frames again"
        ) from error
    still = image_size(next(iter(job.stills.values())).image)
    here = (job.video.name, job.video.stat().st_size, *still)
    if (taken.video, taken.bytes, taken.width, taken.height) != here:
        raise DataError(
            f"the frames in {job.folder} were taken from {taken.video} ({taken.bytes} bytes) at "
            f"{taken.width}x{taken.height}, but now there is {here[0]} ({here[1]} bytes) with "
            f"stills of {here[2]}x{here[3]}: move that folder away first"
        )
    return taken


def _survey(job: _Job) -> Taken:
    """Find where the stills lie in the video, and the colour matrix by which they were made."""
    numbers = sorted(job.stills)[:CHECKED]
    width, height = image_size(job.stills[numbers[0]].image)
    first, last = (number - job.footage.first for number in (numbers[0], numbers[-1]))
    window = (
        (number, thumbnail(rgb(picture)))
        for number, picture in _span(job.video, first - REACH, last + REACH)
    )
    stills = {number: thumbnail(read_image(job.stills[number].image)) for number in numbers}
    offset = find_offset(window, stills, job.footage.first, REACH, str(job.video))
    number = numbers[-1] - offset.first
    _, picture = next(_span(job.video, number, number))
    size = _scaling(job, picture, width, height)
    still = read_image(job.stills[numbers[-1]].image).astype(np.int16)
    apart = {
        name: float(np.abs(_scaled(rgb(picture, matrix), size) - still).mean())
        for name, matrix in MATRICES.items()
    }
    matrix = min(apart, key=lambda name: apart[name])
    return Taken(job.video.name, job.video.stat().st_size, offset.first, matrix, width, height)


def _scaling(job: _Job, picture: av.VideoFrame, width: int, height: int) -> Size | None:
    """Return the size to which pictures are scaled, None where they have it.

    Raises DataError where one is not a whole multiple of the other.
    """
    if (picture.width, picture.height) == (width, height):
        return None
    if (
        picture.width % width
        or picture.height % height
        or picture.width // width != picture.height // height
    ):
        raise DataError(
            f"{job.video} has pictures of {picture.width}x{picture.height}, the stills are "
            f"{width}x{height} (width x height): expected the same size or a whole multiple of it; "
            "use the video as published (960x720)"
        )
    return Size(height, width)


def _scaled(image: Image, size: Size | None) -> Image:
    return image if size is None else size.image(image)


def _extract(job: _Job, taken: Taken, there: set[int], tracker: Tracker) -> tuple[float, int, int]:
    """Write the frames that are wanted and not there, and check every still.

    Returns the greatest difference of a still and its picture, how many frames were written, and
    how many were met.
    """
    size: Size | None = None
    matrix = MATRICES[taken.matrix]
    near: deque[tuple[int, Thumbnail]] = deque(maxlen=3)
    unchecked, worst, written, seen = set(job.stills), 0.0, 0, 0
    beside = {number + step for number in job.stills for step in (-1, 0, 1)}
    first, last = min(job.wanted) - taken.first, max(job.wanted) - taken.first
    for number, picture in _span(job.video, max(first - 1, 0), last + 1):
        frame = number + taken.first
        if frame not in job.wanted and frame not in beside:
            continue
        size = size or _scaling(job, picture, taken.width, taken.height)
        image = _scaled(rgb(picture, matrix), size)
        if frame in beside:
            near.append((frame, thumbnail(image)))
            if frame - 1 in unchecked:
                worst = max(worst, _check(job, frame - 1, near))
                unchecked.discard(frame - 1)
        if frame in job.wanted:
            seen += 1
            tracker.advance()
            if frame not in there:
                _write_image(job.file(frame), image)
                written += 1
    for number in sorted(unchecked):
        if number not in dict(near):
            raise DataError(
                f"{job.video} ends before frame {number}, which is labelled: it is not whole; get "
                "it again"
            )
        worst = max(worst, _check(job, number, near))
    return worst, written, seen


def _check(job: _Job, number: int, near: Sequence[tuple[int, Thumbnail]]) -> float:
    still = job.stills[number]
    around = [(frame, picture) for frame, picture in near if abs(frame - number) <= 1]
    return check_place(
        thumbnail(read_image(still.image)),
        around,
        number,
        f"the still {still.image.name} in {job.video}",
    )


def _span(video: Path, first: int, last: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the pictures ``first`` to ``last`` of a video, by number."""
    return islice(enumerate(pictures(video)), max(first, 0), last + 1)


def _write_image(path: Path, image: Image) -> None:
    with files.draft(path) as draft:
        Pillow.fromarray(image).save(draft, "PNG", compress_level=3)
