"""Frame sizes of a dataset's clips: what a row says where they differ, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.core.video import Clip
from vssbench.cost.gmacs import Cost, count

#: height and width in pixels
Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """The frame size of each clip, in the clips' order."""

    of_clips: tuple[Size, ...]

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Sizes:
        """Return the sizes of these clips."""
        return cls(tuple((clip.height, clip.width) for clip in clips))

    @property
    def distinct(self) -> list[Size]:
        """Every size once, by rising number of pixels."""
        return sorted(set(self.of_clips), key=lambda size: (size[0] * size[1], size))

    @property
    def common(self) -> Size:
        """The size of all clips, (0, 0) where they differ."""
        return self.distinct[0] if len(self.distinct) == 1 else (0, 0)

    @property
    def text(self) -> str:
        """The size as height x width; smallest and largest, by pixels, where clips differ."""
        ends = self.distinct[0], self.distinct[-1]
        return " to ".join(dict.fromkeys(f"{height}x{width}" for height, width in ends))

    @property
    def remarks(self) -> list[str]:
        """The remark of a row whose clips differ in size, else none."""
        if len(self.distinct) == 1:
            return []
        return [
            f"clips are of {len(self.distinct)} frame sizes, {self.text}: GMACs are counted at "
            "each clip's size and averaged by frames, latencies are of frames of all sizes"
        ]

    def title(self, dataset: str) -> str:
        """Return the dataset's title, with the sizes where clips differ."""
        return dataset if len(self.distinct) == 1 else f"{dataset} {self.text}"

    def costs(self, method: Variant, classes: int) -> dict[Size, Cost]:
        """Return the method's cost at each size. Raises UsageError where it does not accept one."""
        cls = registry.load("methods", method.name)
        return {
            size: _cost(cls, method, classes, *size)  # type: ignore[arg-type]
            for size in self.distinct
        }

    def mean_cost(self, costs: Mapping[Size, Cost], frames: Mapping[int, int]) -> Cost:
        """Return the mean of the costs at the clips' sizes, by the number of frames that ran of
        each."""
        if len(costs) == 1:
            return next(iter(costs.values()))
        total = sum(frames.values())
        shares = [(costs[self.of_clips[clip]], ran / total) for clip, ran in frames.items()]
        return Cost(
            shares[0][0].params,
            sum(share * cost.gmacs_key for cost, share in shares),
            sum(share * cost.gmacs_nonkey for cost, share in shares),
            uncounted=tuple(dict.fromkeys(name for cost, _ in shares for name in cost.uncounted)),
        )


@lru_cache  # the experiments of a grid are of few sizes
def _cost(cls: type, method: Variant, classes: int, height: int, width: int) -> Cost:
    return count(method, classes, height, width)
