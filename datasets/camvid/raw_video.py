"""CamVid's raw videos: which file shows which sequence, where its frames lie, and the folder of the
frames taken from them.

Offsets are those of AR-Seg's code (dataset/camvid.py, ``scene_length_info``), which counts the
frames of a file from 1; here it is from 0. ``data prepare`` checks them against the stills.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vssbench.data.ondisk import MISSING, UNCOUNTED, Part

#: the folder of the frames that ``data prepare`` takes from the videos, a folder a sequence
FOLDER = "sequence"
#: frames a second
FPS = 30.0
#: where the videos are looked for, below the dataset's folder
PLACES = ("", "videos", "raw")
#: size of the pictures in the files, width and height
SIZE = (960, 720)


@dataclass(frozen=True)
class Footage:
    """The video of a sequence: picture 0 of ``file`` is frame ``first`` of the sequence, as the
    stills' names count.

    ``digits`` and ``prefix`` make the number in a still's name: ``f00930`` has 5 digits and the
    prefix ``f``.
    """

    sequence: str
    file: str
    first: int
    digits: int
    prefix: str = ""

    def still(self, number: int) -> str:
        """Return the name of a frame of the sequence, as the stills have it."""
        return f"{self.sequence}_{self.prefix}{number:0{self.digits}d}"


FOOTAGE: dict[str, Footage] = {
    each.sequence: each
    for each in (
        Footage("0001TP", "01TP_extract.avi", 6660, 6),
        Footage("0006R0", "0006R0.MXF", -1, 5, "f"),
        Footage("0016E5", "0016E5.MXF", -1, 5),
        Footage("Seq05VD", "0005VD.MXF", -1, 5, "f"),
    )
}


def find_video(folders: list[Path], footage: Footage) -> Path | None:
    """Return the file of a sequence in one of some folders, whatever the case of its name; None
    where it is in none."""
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.name.lower() == footage.file.lower():
                    return path
    return None


def zip_parts(folders: list[Path], footage: Footage) -> list[Path]:
    """Return the parts of the archive in which a video is given out, where they still lie
    unpacked."""
    stem = footage.file.rpartition(".")[0].lower()
    entries = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    return [path for path in entries if path.name.lower().startswith(f"{stem}.zip")]


def unpack_hint(parts: list[Path], footage: Footage) -> str:
    """Tell how to unpack an archive in parts."""
    whole = f"{footage.file.rpartition('.')[0]}.zip"
    return (
        f"it lies in {len(parts)} parts of an archive: join them with cat {whole}.* > {whole}, "
        f"then unzip {whole}"
    )


def video_folders(root: Path) -> list[Path]:
    """Return where the videos of a dataset's folder may lie."""
    return [root / place for place in PLACES]


def video_parts(root: Path) -> list[Part]:
    """Return the raw videos, and the frames that were taken from them."""
    folders, parts = video_folders(root), []
    for footage in FOOTAGE.values():
        name = f"raw video of {footage.sequence}"
        path = find_video(folders, footage)
        if path is not None:
            parts.append(Part(name, UNCOUNTED, f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB"))
            continue
        archive = zip_parts(folders, footage)
        remedy = (
            unpack_hint(archive, footage)
            if archive
            else "needed for the frames between the labelled ones"
        )
        parts.append(Part(name, MISSING, f"no {footage.file}", remedy))
    for sequence in FOOTAGE:
        count = sum(1 for _ in (root / FOLDER / sequence).glob("*.png"))
        if count:
            parts.append(
                Part(f"frames of {sequence}", UNCOUNTED, f"{count} frames in {FOLDER}/{sequence}")
            )
        else:
            remedy = "data prepare camvid takes them from the raw video"
            parts.append(
                Part(f"frames of {sequence}", MISSING, f"nothing in {FOLDER}/{sequence}", remedy)
            )
    return parts
