"""A clip of one's own that is a video file, with masks by the numbers of its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from vssbench.core.errors import DataError
from vssbench.core.video import Clip, LabelMap
from vssbench.data.fingerprint import content_of, fingerprint
from vssbench.data.movie import Movie
from vssbench.data.ondisk import (
    Outline,
)
from vssbench.data.pictures import check_size

#: frames a second of images, where nothing else is said
FPS = 30.0


@dataclass(frozen=True)
class Filmed:
    """A clip that is a video file, with masks by the numbers of its pictures, the first of which is
    ``first``."""

    name: str
    movie: Movie
    labels: dict[int, Path]
    first: int
    fps: float

    def outline(self) -> Outline:
        """Return the clip's length and labelled frames.

        Raises DataError where a mask has no picture.
        """
        places = tuple(number - self.first for number in sorted(self.labels))
        if places and not 0 <= places[0] <= places[-1] < len(self.movie):
            wrong = next(place for place in places if not 0 <= place < len(self.movie)) + self.first
            raise DataError(
                f"{self.labels[wrong]} is for picture {wrong}: {self.movie.path} has pictures "
                f"{self.first} to {self.first + len(self.movie) - 1}; number masks by the "
                "pictures, or say the first one's number, as first=1"
            )
        return Outline(self.name, len(self.movie), places)

    def check(self, label: Path) -> None:
        """Check that each mask is of the pictures' size. Raises DataError where one is not."""
        check_size(label, self.movie.size[::-1], self.movie.path)

    def clip(self, read_label: partial[LabelMap]) -> Clip:
        """Return the clip, checked. Raises DataError."""
        outline = self.outline()
        for path in self.labels.values():
            self.check(path)
            read_label(path)
        paths = [self.movie.path, *(self.labels[number] for number in sorted(self.labels))]
        labelled = {number - self.first: path for number, path in self.labels.items()}
        return Clip(
            self.name, len(self.movie), *self.movie.size,
            self.fps or self.movie.fps or FPS,
            self.movie.image, partial(_label, labels=labelled, read_label=read_label),
            fingerprint(paths, str(self.first)), labelled=outline.labelled,
            picture=partial(_picture, path=self.movie.path),
        )  # fmt: skip


def _label(index: int, labels: dict[int, Path], read_label: partial[LabelMap]) -> LabelMap | None:
    return read_label(labels[index]) if index in labels else None


@lru_cache(maxsize=64)
def _content(path: Path) -> str:
    return content_of(path)


def _picture(index: int, path: Path) -> str:
    """Tell a video's picture by the file's content and its number."""
    return f"{_content(path)} {index}"
