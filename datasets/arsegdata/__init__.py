"""AR-Seg's processed data: CamVid or Cityscapes as its authors encoded, decoded and published them,
with motion vectors.

The folder is ``3M-GOP12`` (CamVid, 960x720) or ``5M-GOP12`` (Cityscapes), or one that holds it, as
AR-Seg's pre-processing writes it (github.com/THU-LYJ-Lab/AR-Seg, pre-process/). Every labelled
frame was encoded once for each distance d:

* ``decoded_GOP12_dist_d/``: the labelled frames, decoded d frames after their keyframe; on CamVid
  ``test/NAME.png`` with ``test_labels_with_ignored/``, on Cityscapes ``leftImg8bit/val/CITY/`` with
  ``gtFine/``
* ``frames/``: their keyframes, named by the number of the frame in the video
* ``MVmap_GOP12_dist_d/``: the motion to the keyframe, int16 (H, W, 2) in quarter pixels, (x, y),
  backward

A clip is a keyframe and the frame d later, so that ``dense`` over all clips is AR-Seg's protocol:
mIoU_d over all labelled frames at distance d. Run it under ``raw[motion=given]``: anything else
would code twice.

The clips of a labelled frame are views of it, and the frames of a drive (CamVid) or a city
(Cityscapes) are one group, as in the datasets themselves: an interval draws stretches of frames,
each with all its views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from vssbench.core.division import Division, divided_by
from vssbench.core.division import Part as HeldOutPart
from vssbench.core.errors import DataError, UsageError
from vssbench.core.program import program
from vssbench.core.video import Clip, Given
from vssbench.data.faults import complaint, missing_files, wrong_files
from vssbench.data.fingerprint import fingerprint
from vssbench.data.ondisk import (
    COMPLETE,
    MISSING,
    PARTIAL,
    NothingThere,
    OnDisk,
    Outline,
    Part,
    Source,
    path_or_none,
    shown,
)
from vssbench.data.pictures import image_size
from vssbench.datasets.arsegdata.layout import (
    NAME,
    CamVidFiles,
    CityscapesFiles,
    Files,
    Sample,
    base_of,
    kind_of,
)
from vssbench.datasets.arsegdata.vectors import check_motion, check_size, motion_of
from vssbench.datasets.camvid import held_out as held_out_of_camvid
from vssbench.datasets.cityscapes import held_out as held_out_of_cityscapes


class ArSegData(OnDisk):
    """AR-Seg's decoded frames with their motion, at every distance that the folder has.

    ``root`` is the folder; ``split`` what methods are scored on: auto is test on CamVid and val on
    Cityscapes; ``gop`` which of the folder's GOP lengths. Run under ``raw[motion=given]``.
    """

    title = "AR-Seg's data"
    disjoint = True
    sources = (
        Source(
            "CamVid as processed by AR-Seg's authors",
            "https://cloud.tsinghua.edu.cn/d/f358201e9ac14c4e801a/ or "
            "https://drive.google.com/drive/folders/1EMDyP59-WE2OK8FqYFY_f3SAd7PgZ7Ld",
            "CamVid's: research use",
        ),
        Source(
            "the scripts that make it, for CamVid and Cityscapes",
            "https://github.com/THU-LYJ-Lab/AR-Seg (pre-process)",
            "the data sets' own",
        ),
    )  # fmt: skip
    offers = ({"split": "auto"},)

    def __init__(
        self,
        *,
        root: str | Path = "",
        split: Literal["auto", "train", "val", "test"] = "auto",
        gop: int = 12,
    ) -> None:
        if gop < 1:
            raise UsageError(
                f"arsegdata cannot have gop={gop}: expected the GOP length in the folders' names, "
                "as 12"
            )
        self.root = path_or_none(root)
        kind = kind_of(self.root) if self.root is not None else CamVidFiles
        self.split, self.gop = kind.default_split if split == "auto" else split, gop
        self.classes, self.palette = kind.classes, kind.palette

    @classmethod
    def where(cls) -> str:
        """Tell how to get the data and what the folder must look like."""
        return (
            "AR-Seg's authors link processed data in https://github.com/THU-LYJ-Lab/AR-Seg, which "
            "also has the scripts that make them. The folder must hold decoded_GOP12_dist_0 to "
            "_11, MVmap_GOP12_dist_1 to _11 and frames/, or a folder that does, as 3M-GOP12"
        )

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk: samples that are whole, distance by distance."""
        base = base_of(root)
        if base is None:
            return [Part("decoded_GOP12_dist_0 to _11", MISSING, "none", "see below")]
        files, parts = kind_of(root)(base), []
        for gop, distance in sorted(files.distances):
            try:
                samples = [
                    sample
                    for split in ("train", "val", "test")
                    for sample in files.samples(split, gop, distance)
                ]
            except DataError as error:
                parts.append(
                    Part(
                        f"GOP {gop}, distance {distance}",
                        PARTIAL,
                        "a file that is none of AR-Seg's",
                        str(error),
                    )
                )
                continue
            whole = sum(all(path.is_file() for path in sample.paths()) for sample in samples)
            words = f"{whole} of {len(samples)} frames with label, keyframe and motion"
            state = COMPLETE if whole == len(samples) and whole else PARTIAL if whole else MISSING
            remedy = (
                ""
                if state == COMPLETE
                else f"complete it; {program()} data verify arsegdata names each file"
            )
            parts.append(Part(f"GOP {gop}, distance {distance}", state, words, remedy))
        return parts

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [sample.run(1.0).outline() for sample in self._samples(self.split)[1]]

    def clips(self) -> Sequence[Clip]:
        """Return a clip for every labelled frame at every distance. Raises DataError where a file
        is missing or wrong."""
        return self._clips(self.split)

    def training_clips(self) -> Sequence[Clip]:
        """Return the pairs of the train split, which the authors made for the last distance alone.
        Raises DataError as ``clips``."""
        return self._clips("train")

    def division(self) -> Division:
        """Hold out the frames that the dataset itself holds out, see
        :mod:`vssbench.datasets.camvid.held_out`."""
        cities = kind_of(self.folder()) is CityscapesFiles
        rule = held_out_of_cityscapes.RULE if cities else held_out_of_camvid.RULE
        return divided_by(self.training_clips(), _city_part if cities else _drive_part, rule)

    def faults(self) -> Iterator[str]:
        """See OnDisk."""
        files, samples = self._samples(self.split)
        yield from missing_files((sample.image, sample.label) for sample in samples)
        yield from files.misnamed(samples)
        counts = {
            distance: sum(s.distance == distance for s in samples) for distance in range(self.gop)
        }
        most = max(counts.values())
        for distance, count in counts.items():
            if count < most:
                yield (
                    f"distance {distance} has {count} frames, others {most}: every distance "
                    "should have the same"
                )
        for sample in samples:
            for path in (sample.keyframe, sample.motion):
                if path is not None and not path.is_file():
                    yield (
                        f"{path} is missing: expected for {sample.image}; get it, or take the "
                        "frame out at all distances"
                    )
            yield from wrong_files(
                [still for still in sample.run(1.0).stills if still.image.is_file()],
                files.read_label,
            )
            if sample.motion is not None and sample.motion.is_file() and sample.image.is_file():
                yield from complaint(_check_sample, sample)

    def _clips(self, split: str) -> list[Clip]:
        files, samples = self._samples(split)
        for fault in files.misnamed(samples):
            raise DataError(fault)
        clips = []
        for sample in samples:
            for path in sample.paths():
                if not path.is_file():
                    raise DataError(
                        f"{path} is missing: expected for {sample.image}. {self.where()}"
                    )
            clip = sample.run(files.fps).clip(files.read_label)
            if sample.motion is not None:
                check_size(sample.motion, clip.height, clip.width)
            distances = (0,) if sample.keyframe is None else (0, sample.distance)
            motion = partial(motion_of, path=sample.motion, height=clip.height, width=clip.width)
            given = Given(distances, motion, f"AR-Seg's {files.base.name}")
            mark = f"{clip.fingerprint}{distances}"
            if sample.motion is not None:
                mark = fingerprint([sample.motion], mark)
            clips.append(replace(clip, given=given, fingerprint=mark))
        return clips

    def _samples(self, split: str) -> tuple[Files, list[Sample]]:
        """Return the folder, and the labelled frames of a split at every distance.

        Raises DataError where there is none.
        """
        root = self.folder()
        base = base_of(root)
        if base is None:
            raise NothingThere(
                f"{root} holds no decoded_GOP{self.gop}_dist_0: found "
                f"{shown(sorted(root.iterdir()))}. {self.where()}"
            )
        files = kind_of(root)(base)
        split = files.default_split if split == "auto" else split
        distances = sorted(distance for gop, distance in files.distances if gop == self.gop)
        samples = [
            sample for distance in distances for sample in files.samples(split, self.gop, distance)
        ]
        if not samples:
            there = ", ".join(
                f"GOP {gop} at distance {distance}" for gop, distance in sorted(files.distances)
            )
            raise NothingThere(
                f"{base} holds no frame of the split {split} at a GOP of {self.gop}: found "
                f"{there}. {self.where()}"
            )
        return files, samples


def _check_sample(sample: Sample) -> None:
    """Check the motion of a labelled frame that has one. Raises DataError."""
    assert sample.motion is not None
    width, height = image_size(sample.image)
    check_motion(sample.motion, height, width)


def _city_part(clip: Clip) -> HeldOutPart:
    return held_out_of_cityscapes.part(clip.name.partition("_")[0])


def _drive_part(clip: Clip) -> HeldOutPart:
    match = NAME.fullmatch(clip.name.partition("@")[0])
    return (
        "training"
        if match is None
        else held_out_of_camvid.part(match["sequence"], int(match["number"]))
    )
