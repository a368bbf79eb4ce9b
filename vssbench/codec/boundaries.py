"""Where the GOPs of a stream begin that is taken as it comes, and its vectors kept inside them.

Streams of our own have closed GOPs of known length. Others may have open ones, whose B-frames refer
over the keyframe that follows them, or none for hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.errors import UsageError
from vssbench.core.motion import NONE

#: frames for which a picture's field is kept since it was made or last referred to. A decoder holds
#: 16 pictures at most, so that few more than this number of fields are ever kept, however long a
#: GOP is
KEPT = 64


@dataclass
class Boundaries:
    """Follows one stream in display order. Keyframes are its intra pictures, and where ``max_gop``
    is given no two of them are much further apart: a picture is then made one that pictures behind
    it can refer to (no B-frame of a stream that reorders them), or any at twice that distance.
    Raises UsageError for a ``max_gop`` below 1."""

    max_gop: int | None = None
    _keyframes: deque[int] = field(default_factory=deque)
    _newest: int = NONE
    #: fields that are kept -> the frame that was the last to refer to them
    _used: dict[int, int] = field(default_factory=dict)
    _held: deque[tuple[int, BlockVectors]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.max_gop is not None and self.max_gop < 1:
            raise UsageError(
                f"a longest GOP of {self.max_gop} frames cannot be used: expected 1 or more"
            )

    def key(self, index: int, kind: str, intra: bool, reorders: bool) -> bool:
        """Return whether the next picture, of type I, P or B, begins a GOP.

        ``reorders`` says that the stream shows pictures late.
        """
        self._newest = index
        distance = index - self._keyframes[-1] if self._keyframes else 0
        begins = intra or not self._keyframes
        if self.max_gop is not None and distance >= self.max_gop:
            begins |= kind != "B" or not reorders or distance >= 2 * self.max_gop
        if begins:
            self._keyframes.append(index)
        return begins

    def inside(self, index: int, blocks: BlockVectors) -> Iterator[tuple[int, BlockVectors]]:
        """Take a frame's vectors; yields those that can be judged now, without what points out of
        their GOP.

        A frame waits until the pictures that it refers to have come, since one of them may be a
        keyframe.
        """
        self._held.append((index, blocks))
        while self._held and max(self._held[0][1].named, default=NONE) <= self._newest:
            yield self._judged(*self._held.popleft())

    def finish(self) -> Iterator[tuple[int, BlockVectors]]:
        """Yield the frames that still wait when the stream has ended.

        It was cut before a picture that they refer to.
        """
        while self._held:
            yield self._judged(*self._held.popleft())

    def forgotten(self) -> list[int]:
        """Return the frames to which no other will refer any more; each is told once."""
        waits = self._held[0][0] if self._held else self._newest
        key = self._keyframe(waits)
        old = [
            index
            for index, last in self._used.items()
            if index < key or (index != key and last < waits - KEPT)
        ]
        for index in old:
            del self._used[index]
        while len(self._keyframes) > 1 and self._keyframes[1] <= waits:
            self._keyframes.popleft()
        return old

    def _keyframe(self, index: int) -> int:
        """Return the keyframe of the GOP in which a frame lies."""
        return max((key for key in self._keyframes if key <= index), default=0)

    def _judged(self, index: int, blocks: BlockVectors) -> tuple[int, BlockVectors]:
        key = self._keyframe(index)
        following = min(
            (each for each in self._keyframes if each > index), default=self._newest + 1
        )
        self._used[index] = index
        if index == key:
            return index, blocks
        outside = [
            name for name in blocks.named if not self._reachable(name, index, key, following)
        ]
        references = blocks.references
        if outside:
            references = np.where(np.isin(references, outside), np.int32(NONE), references)
        past = blocks.past if self._reachable(blocks.past, index, key, following) else key
        if not outside and past == blocks.past:
            judged = blocks
        else:
            vectors = np.where((references == NONE)[..., None], np.float32(0), blocks.vectors)
            judged = replace(blocks, vectors=vectors, references=references, past=past)
        for name in (*judged.named, past):
            self._used[name] = max(index, self._used.get(name, index))
        return index, judged

    def _reachable(self, name: int, index: int, key: int, following: int) -> bool:
        """Return whether a frame may refer to a picture.

        It may where that lies in its GOP and its field is still kept, or will come.
        """
        if not key <= name < following:
            return False
        return name in self._used or name > index or name == key
