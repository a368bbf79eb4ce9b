"""The confusion matrix of one frame: all that is kept of its accuracy, and all that any IoU
needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import IGNORE

ConfusionMatrix = npt.NDArray[np.int64]

#: values of a uint8
_VALUES = 256


def confusion_matrix(
    label: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: int,
    ignore: int = IGNORE,
) -> ConfusionMatrix:
    """Count pixels by (true class, predicted class): int64 (classes, classes), rows are the truth.

    ``label`` is uint8 (H, W), ``prediction`` uint8 or int64 (H, W). Pixels whose label is
    ``ignore`` are not counted, whatever was predicted there. Raises DataError where the shapes
    differ or a counted value is no class.
    """
    if classes < 1:
        raise UsageError(f"{classes} classes: expected at least one")
    if label.shape != prediction.shape:
        raise DataError(
            f"a prediction of shape {prediction.shape} for a label of shape {label.shape}: "
            "resize the logits to the label before scoring"
        )
    if label.dtype == np.uint8 and prediction.dtype == np.uint8 and classes <= _VALUES:
        return _of_bytes(label, prediction, classes, ignore)
    counted = label != ignore
    truth, predicted = label[counted], prediction[counted]
    _check_range("label", truth, classes, _label_hint(ignore))
    _check_range("prediction", predicted, classes, _PREDICTION_HINT)
    cells = truth.astype(np.int64) * classes + predicted
    return (
        np.bincount(cells, minlength=classes * classes)
        .reshape(classes, classes)
        .astype(np.int64, copy=False)
    )


def _of_bytes(
    label: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer], classes: int, ignore: int
) -> ConfusionMatrix:
    """Return the confusion matrix of uint8 labels, from one histogram of the pairs.

    Wrong values show as counts in it. See :func:`confusion_matrix`.
    """
    pairs = label.astype(np.uint16)
    pairs <<= 8
    pairs |= prediction
    counts = np.bincount(pairs.ravel(), minlength=_VALUES * _VALUES).reshape(_VALUES, _VALUES)
    if 0 <= ignore < _VALUES:
        counts[ignore] = 0
    for what, hint, outside in (
        ("label", _label_hint(ignore), counts.any(axis=1)),
        ("prediction", _PREDICTION_HINT, counts.any(axis=0)),
    ):
        _check_range(what, np.flatnonzero(outside), classes, hint)
    return counts[:classes, :classes].astype(np.int64)


_PREDICTION_HINT = "as many as the dataset has classes"


def _label_hint(ignore: int) -> str:
    return f"or {ignore} for pixels that are not scored"


def _check_range(what: str, values: npt.NDArray[np.integer], classes: int, hint: str) -> None:
    if values.size and (values.min() < 0 or values.max() >= classes):
        wrong = np.unique(values[(values < 0) | (values >= classes)])
        listed = ", ".join(str(value) for value in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        raise DataError(f"{what} with the value {listed}: expected 0..{classes - 1}, {hint}")
