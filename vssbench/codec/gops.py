"""A coded clip in pieces that are decoded by themselves: one for each GOP of its stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av

from vssbench.codec.encode import CONTAINER, CONTAINER_OPTIONS
from vssbench.core.errors import DataError
from vssbench.core.video import Frame
from vssbench.data.opening import open_video


@dataclass(frozen=True)
class Gop:
    """A run of frames of a coded clip from a keyframe on, decoded anew whenever they are asked for.

    ``first`` is the clip's number of the first; ``read`` gives the frames, numbered from 0.
    """

    first: int
    read: Callable[[], Iterator[Frame]]

    def frames(self) -> Generator[Frame]:
        """Yield the frames in display order, with the clip's numbers."""
        for frame in self.read():
            yield replace(frame, index=self.first + frame.index)


def cut(stream: Path, folder: Path) -> list[Path]:
    """Cut a stream of closed GOPs into one file for each in ``folder``, without decoding it.

    Raises DataError where the files cannot be written.
    """
    paths: list[Path] = []
    part: av.container.OutputContainer | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_video(str(stream)) as source:
            video = source.streams.video[0]
            for packet in source.demux(video):
                if not packet.size:  # the end of the stream
                    continue
                if packet.is_keyframe or part is None:
                    if part is not None:
                        part.close()
                    paths.append(folder / f"{len(paths):06d}.mkv")
                    part = av.open(
                        str(paths[-1]), "w", format=CONTAINER, container_options=CONTAINER_OPTIONS
                    )
                    target = part.add_stream_from_template(video, opaque=True)
                packet.stream = target
                part.mux(packet)
    except OSError as error:
        raise DataError(
            f"cannot write coded training clips to {folder}: {error.strerror or error}; set TMPDIR"
        ) from error
    finally:
        if part is not None:
            part.close()
    return paths
