"""The names of frames in folders that other programs write and read: ``CLIP/FRAME``, and under a
protocol that scores a frame at several distances ``dDISTANCE/CLIP/FRAME``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vssbench.core.errors import DataError
from vssbench.core.video import Clip
from vssbench.protocol import Episode, Protocol

#: in a folder's or a file's name they would lead elsewhere, or cannot be written on every system
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]|^\.')

#: number of the clip, of the frame in it, and its distance under protocols that score it at several
Key = tuple[int, int, int | None]


@dataclass(frozen=True)
class Place:
    """A frame as a protocol scores it, and where its files stand: ``path`` is without an ending.

    ``labelled`` says that the frame carries a label, so that it is scored.
    """

    key: Key
    path: str
    labelled: bool


class Layout:
    """The places of all frames of some clips under a protocol. Raises DataError where two frames
    would have one name."""

    def __init__(self, clips: Sequence[Clip], protocol: Protocol, gop: int) -> None:
        self.clips, self.protocol, self.gop = clips, protocol, gop
        self.folders = [_UNSAFE.sub("_", clip.name) for clip in clips]
        self.places = tuple(
            place for number in range(len(clips)) for place in self._of_clip(number)
        )
        self._check()

    def key(self, clip: int, episode: Episode, index: int) -> Key:
        """Return the key of a frame of an episode of that clip."""
        return clip, episode.first + index, None if self.protocol.continuous else index

    def path(self, key: Key) -> str:
        """Return where a frame's files stand, without an ending."""
        clip, frame, distance = key
        name = _UNSAFE.sub("_", self.clips[clip].frame_name(frame))
        path = f"{self.folders[clip]}/{name}"
        return path if distance is None else f"d{distance}/{path}"

    def _of_clip(self, number: int) -> list[Place]:
        clip = self.clips[number]
        labelled = set(clip.labelled_frames())
        found = []
        for episode in self.protocol.episodes(clip, self.gop):
            scored = range(episode.clip.length) if episode.scored is None else episode.scored
            for index in sorted(scored):
                key = self.key(number, episode, index)
                found.append(Place(key, self.path(key), episode.first + index in labelled))
        return found

    def _check(self) -> None:
        seen: dict[str, Place] = {}
        for place in self.places:
            other = seen.setdefault(place.path, place)
            if other is not place:
                clips = [self.clips[each.key[0]].name for each in (other, place)]
                raise DataError(
                    f"frame {other.key[1]} of {clips[0]!r} and frame {place.key[1]} of "
                    f"{clips[1]!r} would both be called {place.path}: give clips and frames names "
                    "of their own"
                )


def label_size(clip: Clip) -> tuple[int, int]:
    """Return the (height, width) of a clip's labels, or of its frames where it has none."""
    for index in clip.labelled_frames()[:1]:
        label = clip.label(index)
        if label is not None:
            return label.shape[0], label.shape[1]
    return clip.height, clip.width
