"""A stream made visible: each frame with its motion vectors, its type and its bits beside those of
the whole clip."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from itertools import chain
from pathlib import Path
from statistics import median

from PIL import Image as Pillow

from vssbench.codec.prediction import statistics
from vssbench.codec.spec import Codec
from vssbench.codec.vectors.exported import MACROBLOCK, ExportedVectors
from vssbench.core import files, hidden
from vssbench.core.bounds import PIXELS
from vssbench.core.errors import MotionUnavailable, UsageError
from vssbench.core.video import Clip, Frame, Image
from vssbench.lettering import written
from vssbench.view.moviefile import MOVIE_SUFFIXES, write_movie
from vssbench.view.overlay import FIELDS, LARGEST, Overlay, exaggeration, kinds, p95_length
from vssbench.view.sheet import Coded, Sheet

STILL_SUFFIXES = (".png", ".jpg", ".jpeg")
SUFFIXES = (*STILL_SUFFIXES, *MOVIE_SUFFIXES, ".csv")
#: frames of a contact sheet at most
MOST_TILES = 36
#: pixels of an enlarged frame at most
MOST_DRAWN = 16_000_000
#: displayed pixels: what small frames are enlarged to, by whole factors; a frame on a contact sheet
WIDTH, TILE_WIDTH = 960, 640
CSV_FIELDS = (
    "frame", "type", "distance", "bits", "psnr_db", "ssim", "intra_share", "mean_vector",
    "p95_vector", "warp_error",
)  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """The frames that are shown.

    One frame, or those of a span (first, end), ``end`` not included; None where nobody said.
    """

    frame: int | None = None
    span: tuple[int, int] | None = None

    def check(self, length: int, suffix: str) -> None:
        """Check the selection against a clip's length and a file's ending.

        Raises UsageError where it does not fit.
        """
        if self.frame is not None and self.span is not None:
            raise UsageError("--frame and --frames exclude each other: give one")
        if self.frame is not None and suffix not in STILL_SUFFIXES:
            raise UsageError(
                f"--frame is for pictures ({', '.join(STILL_SUFFIXES)}); for a {suffix} file give "
                "--frames A:B"
            )
        if self.frame is not None and not 0 <= self.frame < length:
            raise UsageError(
                f"--frame {self.frame} is out of range: the clip's frames are 0 to {length - 1}"
            )
        if self.span is None:
            return
        first, end = self.span
        if not 0 <= first < end <= length:
            raise UsageError(
                f"--frames {first}:{end} is out of range: expected A:B within 0:{length}, frame A "
                "up to but without frame B"
            )
        if suffix in STILL_SUFFIXES and end - first > MOST_TILES:
            raise UsageError(
                f"--frames {first}:{end} are {end - first} frames: a picture holds {MOST_TILES}; "
                "or write a video"
            )


@dataclass(frozen=True)
class _Survey:
    """The whole stream: each frame, the 95th percentile of its vectors' lengths, and the kinds of
    references."""

    coded: list[Coded]
    lengths: list[float]
    kinds: set[str]


def check_out(out: Path) -> str:
    """Return the ending of a file that can be written, in small letters. Raises UsageError."""
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"cannot write {out.name!r}: expected a name that ends in {', '.join(SUFFIXES)}"
        )
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist: make it, or write elsewhere")
    if out.is_dir():
        raise UsageError(f"{out} is a folder: give the name of a file")
    return suffix


def default_frame(coded: list[Coded]) -> int:
    """Return the middle P-frame of the first GOP, 0 where there is none."""
    gop = next(
        (index for index, each in enumerate(coded) if index and each.distance == 0), len(coded)
    )
    predicted = [index for index in range(gop) if coded[index].picture_type == "P"]
    return predicted[len(predicted) // 2] if predicted else 0


@dataclass
class Show:
    """One clip under one codec, drawn. ``note`` is told what the user should know, ``advance`` of
    each step of work."""

    clip: Clip
    codec: Codec
    field: str = FIELDS[0]
    note: Callable[[str], object] = lambda text: None
    advance: Callable[[str], object] = lambda step: None
    #: empty, or why the stream is drawn without vectors
    without_motion: str = dataclass_field(default="", init=False)
    _read: int = dataclass_field(default=0, init=False)
    _cache: Path | None = dataclass_field(default=None, init=False)

    def steps(self, out: Path, selection: Selection) -> int:
        """Return the number of calls of ``advance``.

        It is called once for a frame that is encoded and once for a frame that is shown.
        """
        if out.suffix.lower() in STILL_SUFFIXES and selection.span is None:
            return self.clip.length + 1
        first, end = selection.span or (0, self.clip.length)
        return self.clip.length + end - first

    def write(self, out: Path, selection: Selection) -> None:
        """Draw to ``out``, in the form that its ending says. Raises UsageError, DataError."""
        suffix = check_out(out)
        selection.check(self.clip.length, suffix)
        # several passes read one stream: it is encoded once
        with hidden.temporary() as folder:
            self._cache = folder
            try:
                if suffix == ".csv":
                    self._write_table(out, selection)
                elif suffix in MOVIE_SUFFIXES:
                    self._write_movie(out, selection)
                else:
                    _save(self.still(selection), out)
            except OSError as error:
                raise files.refusal(out, error) from error
            finally:
                self._cache = None

    def rows(self, first: int = 0, end: int | None = None) -> Iterator[dict[str, object]]:
        """Yield a row of CSV_FIELDS for each frame; what needs motion is left out where there is
        none.

        Lengths are pixels and errors grey levels, of the field to the keyframe: see
        prediction.FieldStatistics.
        """
        keyframe: Image | None = None
        for frame in self._frames(0, end):
            keyframe = frame.image if frame.distance == 0 else keyframe
            if frame.index < first:
                continue
            row: dict[str, object] = {
                "frame": frame.index, "type": frame.picture_type, "distance": frame.distance,
                "bits": frame.bits,
                "psnr_db": f"{frame.psnr_db:.4f}", "ssim": f"{frame.ssim:.6f}",
            }  # fmt: skip
            if frame.motion is not None and keyframe is not None:
                its = statistics(frame.motion, frame.image, keyframe)
                numbers = (its.intra_share, its.mean_vector, its.p95_vector, its.warp_error)
                row.update(
                    zip(
                        CSV_FIELDS[-len(numbers) :],
                        (f"{number:.4f}" for number in numbers),
                        strict=True,
                    )
                )
            self.advance("measure")
            yield row

    def still(self, selection: Selection) -> Pillow.Image:
        """Draw one frame, or several on a contact sheet."""
        survey = self._survey()
        single = selection.frame if selection.frame is not None else default_frame(survey.coded)
        first, end = selection.span or (single, single + 1)
        scale = self._scale() if end - first == 1 else TILE_WIDTH / self.clip.width
        drawn = round(self.clip.height * self.clip.width * scale * scale) * (end - first)
        PIXELS.check(drawn, f"a picture of {end - first} frames", UsageError)
        sheet = self._sheet(survey, scale, first, end)
        frames = []
        for frame in self._frames(first, end):
            frames.append(frame)
            self.advance("draw")
        return sheet.draw(frames[0]) if len(frames) == 1 else sheet.contact(frames)

    def _write_movie(self, out: Path, selection: Selection) -> None:
        first, end = selection.span or (0, self.clip.length)
        sheet = self._sheet(self._survey(), self._scale(), first, end)

        def pictures() -> Iterator[Pillow.Image]:
            for frame in self._frames(first, end):
                yield sheet.draw(frame)
                self.advance("draw")

        write_movie(pictures(), out, float(getattr(self.codec, "fps", 0) or self.clip.fps))

    def _write_table(self, out: Path, selection: Selection) -> None:
        with (
            files.draft(out) as draft,
            draft.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.DictWriter(file, CSV_FIELDS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows(*(selection.span or (0, None))))

    def _sheet(self, survey: _Survey, scale: float, first: int, end: int) -> Sheet:
        _, remark = written([self.clip.name])
        if remark:
            self.note(remark)
        # one length of arrows for all frames that are shown; keyframes have none
        moving = [length for length in survey.lengths[first:end] if length]
        longer = exaggeration(median(moving) if moving else 0.0, scale)
        overlay = Overlay(scale, longer, self.field, self._largest())
        return Sheet(
            self.clip,
            self.codec,
            survey.coded,
            overlay,
            None if self.without_motion else survey.kinds,
        )

    def _scale(self) -> int:
        """Return the whole factor by which frames are enlarged: less for tall ones, whose page
        would be of any length."""
        height, width = self.clip.height, self.clip.width
        return max(1, min(round(WIDTH / width), math.isqrt(MOST_DRAWN // (height * width))))

    def _largest(self) -> int:
        """Return the side of the codec's largest blocks in pixels."""
        if getattr(self.codec, "source", "") == "estimated":
            return 0
        # FFmpeg exports vectors of the codecs that have macroblocks
        return (
            MACROBLOCK
            if issubclass(getattr(self.codec, "reader", object), ExportedVectors)
            else LARGEST
        )

    def _survey(self) -> _Survey:
        coded, lengths, references = [], [], set()
        for frame in self._frames(0, None):
            coded.append(Coded(frame.picture_type, frame.distance, frame.bits, frame.psnr_db))
            motion = frame.motion
            lengths.append(0.0 if motion is None else p95_length(motion, self.field))
            if motion is not None and motion.blocks is not None:
                there = kinds(frame.index, motion.blocks.references)
                references |= (
                    {"keyframe"}
                    if self.field == "keyframe"
                    else {kind for kind, mask in there.items() if mask.any()}
                )
        return _Survey(coded, lengths, references)

    def _frames(self, first: int, end: int | None) -> Iterator[Frame]:
        """Yield the frames from ``first`` up to ``end``, None for the last; decoding goes no
        further than it must."""
        with closing(self._stream()) as stream:
            for frame in stream:
                if frame.index >= first:
                    yield frame
                if frame.index + 1 == end:
                    return

    def _stream(self) -> Generator[Frame, None, None]:
        """Return the stream with motion; without, said once, where it has none."""
        clip = replace(self.clip, image=self._image)
        if not self.without_motion:
            try:
                if not self.codec.has_motion:
                    raise MotionUnavailable(f"{self.codec.describe()} carries no motion")
                frames = iter(self.codec.frames(clip, self._cache))
                # a codec refuses when its first frame is asked for, not before
                first = next(frames)
            except MotionUnavailable as reason:
                self.without_motion = str(reason)
                self.note(f"drawn without motion vectors: {reason}")
            else:
                yield from chain([first], frames)
                return
        yield from self.codec.frames(clip, self._cache, motion=False)

    def _image(self, index: int) -> Image:
        if index >= self._read:
            self._read = index + 1
            self.advance("encode")
        return self.clip.image(index)


def _save(picture: Pillow.Image, out: Path) -> None:
    with files.draft(out) as draft:
        picture.save(draft, quality=92) if out.suffix.lower() in (
            ".jpg",
            ".jpeg",
        ) else picture.save(draft)
