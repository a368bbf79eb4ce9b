"""VideoSegmenter, the interface that every method implements, and what its training is made of."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError, WeightsError
from vssbench.core.parameters import check_choices
from vssbench.core.variant import Variant, format_value
from vssbench.core.video import IGNORE

#: mean and standard deviation of ImageNet's RGB values in [0, 1], as torchvision and the authors'
#: codes use them
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Phase:
    """One phase of a method's training (AR-Seg has three).

    ``share`` is its part of the epochs asked for. ``data`` is ``stills`` (labelled images),
    ``pairs`` (a keyframe, a later frame and, where the method needs it, the codec's motion between
    them) or ``flow`` (the same with the exact motion). ``frozen`` names submodules that are not
    trained and stay in evaluation mode; ``learning_rate`` multiplies the one asked for. ``gaps`` is
    the range of frames from keyframe to image, both ends included, where 0 is the keyframe itself;
    without it a pair's keyframe is the one of the codec's GOP.
    """

    name: str
    share: float = 1.0
    data: str = "stills"
    frozen: tuple[str, ...] = ()
    learning_rate: float = 1.0
    gaps: tuple[int, int] | None = None


@dataclass
class Batch:
    """A training batch.

    image: float32 (N, 3, H, W) in [0, 1]; label: int64 (N, H, W), 255 ignored; class_weights:
    (classes,); keyframe: like image, in phases on pairs and on flow; motion: float32 (N, 2, H, W)
    backward from image to keyframe in pixels, the codec's, in phases on pairs of a method that
    needs motion; flow: like motion but exact, NaN where the keyframe does not show what the image
    shows, in phases on flow; distance: int64 (N,), frames from keyframe to image, in phases on
    pairs, where 0 is the keyframe itself.
    """

    image: Tensor
    label: Tensor
    class_weights: Tensor
    keyframe: Tensor | None = None
    motion: Tensor | None = None
    flow: Tensor | None = None
    distance: Tensor | None = None


@dataclass(frozen=True)
class FastForm:
    """A form of a module that gives the same outputs with less work at inference.

    ``change(module)`` is called for each module of that type (or derived from it) inside a method;
    it returns what takes the place of what: the module itself, or submodules of it. Nothing where
    the change gains nothing. The result is compared with the method as it was, and taken back where
    it differs (:mod:`vssbench.fast.prepare`).
    """

    module: type[nn.Module]
    change: Callable[[Any], Mapping[nn.Module, nn.Module]]


class VideoSegmenter(nn.Module, ABC):
    """One method. Images are float32 (N, 3, H, W) in [0, 1], normalised by the method; logits are
    (N, classes, h, w), of any size: the harness enlarges them to the image's.

    A plug-in's keyword-only arguments are its parameters in the bracket grammar. State is passed,
    never hidden: a keyframe yields a reference, later frames receive it. A per-frame network
    implements :meth:`keyframe` alone.
    """

    #: what the harness must supply with a non-keyframe (``motion``, ``residual``); a codec that
    #: lacks it is refused in words. A variant that needs less, or more, sets it in its ``__init__``
    needs: frozenset[str] = frozenset()
    #: parameters that may differ between training and evaluation, since they leave every weight's
    #: shape as it is
    free_parameters: ClassVar[tuple[str, ...]] = ()
    #: the published networks whose checkpoints can be imported
    #: (:class:`vssbench.weights.original.Original`)
    originals: ClassVar[Sequence[Any]] = ()
    #: file of the training recipes, beside the module of the class; there need not be one
    recipe: ClassVar[str] = "recipe.toml"
    #: forms of its modules that do less work at inference
    fast_forms: Sequence[FastForm] = ()
    #: name -> how a paper counts operations (:class:`vssbench.cost.conventions.Convention`); for
    #: ``cost --convention``
    conventions: ClassVar[Mapping[str, Any]] = {}
    #: the fewest classes that the network can be built for
    minimum_classes: ClassVar[int] = 2
    #: height and width of every image are multiples of this: the harness repeats the image's last
    #: rows and columns up to there, and cuts the logits back; the operations are counted
    multiple_of: ClassVar[int] = 1
    #: number of the output that stands for no class (Void), -1 for the last; the harness takes it
    #: out of the logits. Outputs beyond a dataset's classes are an error without it
    void: int | None = None
    #: whether the output ``void`` is put behind the classes in place of being taken out: a run
    #: does, that counts it as an error where it is the largest
    keeps_void: bool = False
    #: numbers of outputs that are made so small that they are never the largest
    masked: tuple[int, ...] = ()
    #: what :meth:`initialise` did to the weights beside loading them, in words that the training
    #: prints
    remarks: tuple[str, ...] = ()

    mean: Tensor
    std: Tensor
    #: the arguments of the constructor that were given by name
    _given: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        check_choices(cls, kwargs, cls.__name__)
        self = super().__new__(cls)
        self.__dict__["_given"] = kwargs
        return self

    def __init__(self, classes: int) -> None:
        super().__init__()
        if classes < self.minimum_classes:
            raise UsageError(
                f"{type(self).__name__} takes at least {self.minimum_classes} classes, and there "
                f"are {classes}"
            )
        self.classes = classes
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def lender(cls, variant: Variant) -> Variant:
        """Return the variant whose weight files fit: itself, or that of a method whose network it
        borrows."""
        return variant

    @classmethod
    def borrowing(cls, variant: Variant, lent: Variant) -> Variant:
        """Return the variant with a :meth:`lender` that is ``lent``, of other parameters than
        today's."""
        return lent

    @property
    def display(self) -> str:
        """The variant's name in the field's own words, such as ``AR0.5-PSP18``.

        By default it is the name of the class, and its parameters that are not at their defaults.
        """
        defaults, given = registry.parameters(type(self)), self._given
        own = [
            f"{key} {format_value(given[key])}"
            for key in defaults
            if key in given and given[key] != defaults[key]
        ]
        return f"{type(self).__name__} ({', '.join(own)})" if own else type(self).__name__

    @abstractmethod
    def keyframe(self, image: Tensor) -> tuple[Tensor, Any]:
        """Segment a keyframe with full work: (logits, reference).

        The reference is what later frames reuse; None if nothing.
        """

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Any) -> Tensor:
        """Segment a later frame with cheap work: logits.

        ``motion`` is (N, 2, H, W), see :mod:`vssbench.core.video`.

        A method whose ``needs`` name ``residual`` takes one more argument of that name, float32 (N,
        3, H, W): the frame minus its motion-compensated prediction from the pictures that its
        blocks refer to, in units of the image's.
        """
        return self.keyframe(image)[0]

    def begin(self, image: Tensor) -> tuple[Tensor, Any]:
        """Segment a keyframe as every loop over frames does: (logits of the classes, reference).

        This is ``keyframe`` on an image that is padded to ``multiple_of``, without the padding and
        the output ``void`` in the logits.
        """
        size = (image.shape[-2], image.shape[-1])
        logits, reference = self.keyframe(padded(image, self.multiple_of))
        return self._class_logits(logits, size), reference

    def follow(
        self, image: Tensor, motion: Tensor | None, reference: Any, residual: Tensor | None = None
    ) -> Tensor:
        """Segment a later frame as every loop over frames does: logits of the classes.

        This is ``nonkeyframe`` with what the method asks for: a residual, zero where none is given,
        only if it needs one; padded and cut as in :meth:`begin`.
        """
        size = (image.shape[-2], image.shape[-1])
        image = padded(image, self.multiple_of)
        motion = None if motion is None else padded(motion, self.multiple_of)
        if "residual" not in self.needs:
            logits = self.nonkeyframe(image, motion, reference)
        else:
            given = (
                torch.zeros_like(image) if residual is None else padded(residual, self.multiple_of)
            )
            logits = self.nonkeyframe(image, motion, reference, residual=given)  # type: ignore[call-arg]
        return self._class_logits(logits, size)

    def _class_logits(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the logits of a dataset's classes, of the image alone where that was padded."""
        whole = tuple(-(-side // self.multiple_of) * self.multiple_of for side in size)
        if whole != size:
            if tuple(logits.shape[-2:]) != whole:
                logits = F.interpolate(logits, whole, mode="bilinear", align_corners=True)
            logits = logits[..., : size[0], : size[1]]
        outputs = logits.shape[1]
        void = self.void
        if outputs == self.classes + 1 and void is not None and -outputs <= void < outputs:
            kept = [n for n in range(outputs) if n != void % outputs]
            logits = logits[:, [*kept, void % outputs] if self.keeps_void else kept]
        elif outputs != self.classes:
            raise DataError(
                f"{self.display} gives {outputs} outputs for {self.classes} classes: expected one "
                "a class, or one more that the method's class declares (void = its number)"
            )
        if self.masked:
            masked = torch.tensor(self.masked, device=logits.device)
            # finite, so that resizing keeps it, and whatever is checked of logits holds
            logits = logits.index_fill(1, masked, torch.finfo(logits.dtype).min / 2)
        return logits

    def phases(self) -> Sequence[Phase]:
        """Return the phases of the method's training, in order."""
        return (Phase("task"),)

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms of a batch's loss; the loop minimises their sum.

        By default it is the cross-entropy of the logits at the label's size, weighted by class:
        those of the image as a keyframe, in phases on pairs as a later frame.
        """
        if phase.data == "stills" or batch.keyframe is None:
            logits, _ = self.begin(batch.image)
        else:
            logits = self.follow(batch.image, batch.motion, self.begin(batch.keyframe)[1])
        size = (batch.label.shape[-2], batch.label.shape[-1])
        if tuple(logits.shape[-2:]) != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=True)
        return {"task": _cross_entropy(logits, batch.label, batch.class_weights)}

    def validation_logits(self, phase: Phase, batch: Batch) -> Tensor:
        """Return the logits of held-out images by which a phase of training on stills or pairs is
        judged.

        They must come of what the phase trains: a method overrides this where that is neither its
        keyframes' network (stills) nor its later frames' (pairs).
        """
        if batch.keyframe is None:
            return self.begin(batch.image)[0]
        return self.follow(batch.image, batch.motion, self.begin(batch.keyframe)[1])

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        """Start from another method's weights (``train --init``); returns the names of the phases
        that this replaces.

        ``source`` is the file's metadata. The default takes weights of the same network, of
        whatever free parameters; a file that holds a part of it alone, such as an ImageNet
        backbone, replaces no phase.
        """
        self._load(state, source)
        return ()

    def _load(self, state: dict[str, Tensor], source: dict[str, str]) -> bool:
        """Load tensors by name; True where the file holds the whole method. Raises WeightsError
        where they do not fit."""
        partial = bool(json.loads(source.get("missing", "[]")))
        try:
            result = self.load_state_dict(state, strict=False)
        except RuntimeError as error:  # shapes
            raise WeightsError(
                f"the file to start from does not fit {self.display}: {error}"
            ) from error
        idle = tuple(f"{prefix}." for prefix in self.training_only())
        lacking = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
        lacking = [name for name in lacking if not (idle and name.startswith(idle))]
        if result.unexpected_keys or (lacking and not partial):
            problem = (
                f"holds {result.unexpected_keys[0]}"
                if result.unexpected_keys
                else f"lacks {lacking[0]}"
            )
            raise WeightsError(f"the file to start from does not fit {self.display}: it {problem}")
        return not partial

    def begin_phase(self, phase: Phase) -> None:
        """Prepare the model for a phase before it starts, not when it is resumed.

        It may copy weights from one branch to another, say.
        """

    def training_only(self) -> tuple[str, ...]:
        """Return prefixes of submodules that are absent at inference (auxiliary heads): not
        counted, still stored."""
        return ()

    def inference_parameters(self) -> int:
        """Return the number of parameters that an inference uses."""
        skipped = tuple(f"{prefix}." for prefix in self.training_only())
        return sum(
            p.numel()
            for name, p in self.named_parameters()
            if not (skipped and name.startswith(skipped))
        )

    def normalise(self, image: Tensor) -> Tensor:
        """Bring an image in [0, 1] to the zero mean and unit variance that the backbone expects."""
        return (image - self.mean) / self.std


def is_per_frame(method: VideoSegmenter | type[VideoSegmenter]) -> bool:
    """Return whether a later frame is the same work as a keyframe."""
    cls = method if isinstance(method, type) else type(method)
    return cls.nonkeyframe is VideoSegmenter.nonkeyframe


def _cross_entropy(logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
    """Compute the mean over the labelled pixels of all processes, weighted by class; 0 where there
    are none."""
    total = F.cross_entropy(logits.float(), label, weights, ignore_index=IGNORE, reduction="sum")
    counted = weights[label[label != IGNORE]].sum()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counted)  # gradients are means over the processes
        counted = counted / dist.get_world_size()
    return total / counted.clamp(min=1e-6)


def padded(x: Tensor, multiple: int) -> Tensor:
    """Return (N, C, H, W) with its last rows and columns repeated, so that height and width are
    multiples.

    ``x`` itself where they are already.
    """
    below, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def scaled_channels(channels: int, width: float) -> int:
    """Return channels of a layer at a width multiplier: a multiple of 8, at least 8; ``width=1`` is
    the paper's own."""
    return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def width_suffix(width: float) -> str:
    """Return a display name's suffix for a network that is not at paper width."""
    return "" if width == 1 else f" (width {width:g})"
