"""Frames for a program elsewhere: decoded images, motion to the keyframe, labels, and the list of
them, so that it runs on exactly what methods here see."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from vssbench.core import files, outputs
from vssbench.core.errors import DataError, UsageError
from vssbench.core.version import __version__
from vssbench.core.video import Clip, Frame, Image, LabelMap
from vssbench.exchange.input import Input
from vssbench.protocol import Episode, typed

if TYPE_CHECKING:
    import pandas as pd

#: the list of the frames, that of the classes, and the record by which an export is known
FRAMES, CLASSES, RECORD = "frames.csv", "classes.csv", "export.json"
IMAGES, KEYFRAMES, MOTION, LABELS = "frames", "keyframes", "motion", "labels"
COLUMNS = (
    "clip", "frame", "name", "distance", "keyframe", "picture_type", "bits", "scored", "image",
    "keyframe_image", "motion", "label", "prediction",
)  # fmt: skip
#: bytes a pixel of a motion field, compressed: a vector of 8 bytes for 64 pixels
_MOTION_BYTES = 8 / 64


@dataclass(frozen=True)
class Estimate:
    """The contents of an export before it is written, and about how many bytes they take."""

    images: int
    motion: int
    labels: int
    size: float

    def __str__(self) -> str:
        return (
            f"about {_bytes(self.size)}: {self.images} images, {self.motion} motion fields, "
            f"{self.labels} labels"
        )


@dataclass
class Export:
    """The frames of an input, to be written to the folder ``out``; ``cache`` keeps bitstreams."""

    input: Input
    out: Path
    cache: Path | None = None

    def check(self, force: bool) -> None:
        """Raise UsageError where the folder holds what is not to be replaced: anything, but another
        export with ``force``; never the dataset's own."""
        root = getattr(self.input.dataset, "root", None)
        if root is not None and outputs.overlap(self.out, root):
            raise UsageError(
                f"-o {self.out} holds data that this command reads, of {root}: give another "
                "folder, an input is never written over"
            )
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"-o {self.out} is a file: expected a folder to write to")
        if self.out.is_dir() and any(self.out.iterdir()):
            if not (self.out / RECORD).is_file():
                raise UsageError(
                    f"the folder {self.out} is not empty, and is no export: give another one"
                )
            if not force:
                raise UsageError(
                    f"the folder {self.out} holds an export: give another one, or --force to "
                    "replace it"
                )
        self.input.protocol.remarks(self.input.clips, self.input.codec.gop)
        outputs.check_folder(self.out.resolve().parent)

    def estimate(self) -> Estimate:
        """Return what will be written, its size by that of the first frame as a PNG.

        Raises DataError where the disk has no room for it.
        """
        clips, places = self.input.clips, self.input.layout.places
        dense, gop = self.input.protocol.continuous, self.input.codec.gop
        of_image, of_label = self._bytes_a_pixel()
        images, motion, size, labelled = 0, 0, 0.0, set()
        for place in places:
            number, frame, distance = place.key
            pixels = clips[number].height * clips[number].width
            later = (frame % gop if distance is None else distance) != 0
            # under a protocol that scores a frame by itself its keyframe is written beside it
            count = 1 if dense or not later else 2
            images, size = images + count, size + count * of_image * pixels
            if later and self.input.codec.has_motion:
                motion, size = motion + 1, size + _MOTION_BYTES * pixels
            if place.labelled and (number, frame) not in labelled:
                labelled.add((number, frame))
                size += of_label * pixels
        found = Estimate(images, motion, len(labelled), size)
        above = next(each for each in self.out.resolve().parents if each.exists())
        free = shutil.disk_usage(above).free
        if free < size:
            raise DataError(
                f"{self.out} needs {found}, and {_bytes(free)} are free: make room, or write "
                "elsewhere"
            )
        return found

    def write(self, advance: Callable[[], object] = lambda: None) -> Path:
        """Write everything, the folder whole or not at all; ``advance`` is called once a frame."""
        with files.draft(self.out) as draft:
            draft.mkdir()
            with (draft / FRAMES).open(
                "w", newline="", encoding="utf-8", errors="backslashreplace"
            ) as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                for number, clip in enumerate(self.input.clips):
                    for line in self._clip(draft, number, clip, advance):
                        writer.writerow(line)
            dataset = self.input.dataset
            with (draft / CLASSES).open(
                "w", newline="", encoding="utf-8", errors="backslashreplace"
            ) as file:
                writer = csv.writer(file)
                writer.writerow(["value", "name", "red", "green", "blue"])
                for value, name in enumerate(dataset.classes):
                    writer.writerow([value, name, *dataset.palette[value]])
            (draft / RECORD).write_text(self._record(), encoding="utf-8")
        return self.out

    def _clip(
        self, draft: Path, number: int, clip: Clip, advance: Callable[[], object]
    ) -> Iterator[list[object]]:
        """Write a clip's files; yields the lines of the list."""
        source = self.input
        for episode in source.protocol.episodes(clip, source.codec.gop):
            keyframe, at = np.empty(0, np.uint8), 0
            for frame in source.codec.frames(
                episode.clip, self.cache, motion=source.codec.has_motion
            ):
                if frame.distance == 0:
                    keyframe, at = frame.image, episode.first + frame.index
                if source.protocol.continuous or episode.scores(frame.index):
                    yield self._frame(draft, number, episode, frame, (keyframe, at))
                advance()

    def _frame(
        self,
        draft: Path,
        number: int,
        episode: Episode,
        frame: Frame,
        keyframe: tuple[Image, int],
    ) -> list[object]:
        """Write a frame's files; returns its line of the list."""
        layout = self.input.layout
        clip, index = layout.clips[number], episode.first + frame.index
        path = layout.path(layout.key(number, episode, frame.index))
        label = episode.clip.label(frame.index) if episode.scores(frame.index) else None
        image = _save_image(draft, f"{IMAGES}/{path}.png", frame.image)
        if frame.distance == 0:
            key_image = image
        elif self.input.protocol.continuous:
            key_image = f"{IMAGES}/{layout.path((number, keyframe[1], None))}.png"
        else:
            key_image = _save_image(draft, f"{KEYFRAMES}/{path}.png", keyframe[0])
        motion, label_name = "", ""
        if frame.motion is not None and frame.distance:
            motion = f"{MOTION}/{path}.npz"
            _save_motion(draft / motion, frame.motion.dense())
        if label is not None:
            label_name = f"{LABELS}/{layout.path((number, index, None))}.png"
            if not (draft / label_name).exists():
                _save_image(draft, label_name, label)
        return [
            clip.name, index, clip.frame_name(index), frame.distance, keyframe[1],
            frame.picture_type, frame.bits or "", int(label is not None), image, key_image, motion,
            label_name, f"{path}.png",
        ]  # fmt: skip

    def _record(self) -> str:
        source = self.input
        record = {
            "vssbench": __version__,
            "dataset": str(source.dataset_variant),
            "codec": str(source.codec_variant),
            "settings": source.codec.settings(),
            "protocol": typed(source.protocol),
            "details": source.protocol.details(),
            "clips": {clip.name: clip.fingerprint for clip in source.clips},
        }
        return json.dumps(record, indent=1) + "\n"

    def _bytes_a_pixel(self) -> tuple[float, float]:
        """Return bytes a pixel of the first clip's first image, and of its first label, as PNGs."""
        clip = self.input.clips[0]
        labelled = clip.labelled_frames()
        label = clip.label(labelled[0]) if labelled else None
        return _png_bytes(clip.image(0)), 0.0 if label is None else _png_bytes(label)


def listed(folder: Path) -> pd.DataFrame:
    """Return the list of an export's frames, a row a frame."""
    import pandas as pd

    whole = {"frame": "int64", "distance": "int64", "keyframe": "int64", "bits": "Int64"}
    types = dict.fromkeys(COLUMNS, "string") | whole | {"scored": "int64"}
    # a clip may have the name "NA"
    frames = pd.read_csv(
        folder / FRAMES, dtype=types, keep_default_na=False, na_values={"bits": [""]}
    )
    return frames.astype({"scored": bool})


def _png_bytes(pixels: Image | LabelMap) -> float:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, format="PNG")
    return len(file.getvalue()) / (pixels.shape[0] * pixels.shape[1])


def _save_image(draft: Path, name: str, pixels: Image | LabelMap) -> str:
    """Write a PNG; returns its name in the export."""
    path = draft / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)
    return name


def _save_motion(path: Path, field: np.ndarray) -> None:
    """Write the motion to the keyframe at every pixel: ``field``, float32 (H, W, 2)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, field=field)


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
