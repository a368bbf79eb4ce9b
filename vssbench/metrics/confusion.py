"""The confusion matrix of one frame: all that is kept of its accuracy, and all that any IoU needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vssbench.errors import DataError, UsageError
from vssbench.video import IGNORE

ConfusionMatrix = npt.NDArray[np.int64]


def confusion_matrix(
    label: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer], classes: int, ignore: int = IGNORE
) -> ConfusionMatrix:
    """Count pixels by (true class, predicted class): int64 (classes, classes), rows are the truth.

    ``label`` is uint8 (H, W), ``prediction`` uint8 or int64 (H, W). Pixels whose label is ``ignore`` are not counted,
    whatever was predicted there. Raises DataError where the shapes differ or a counted value is no class.
    """
    if classes < 1:
        raise UsageError(f"{classes} classes: expected at least one")
    if label.shape != prediction.shape:
        raise DataError(
            f"a prediction of shape {prediction.shape} for a label of shape {label.shape}: "
            "resize the logits to the label before scoring"
        )
    counted = label != ignore
    truth, predicted = label[counted], prediction[counted]
    _check_range("label", truth, classes, f"or {ignore} for pixels that are not scored")
    _check_range("prediction", predicted, classes, "as many as the dataset has classes")
    cells = truth.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64, copy=False)


def _check_range(what: str, values: npt.NDArray[np.integer], classes: int, hint: str) -> None:
    if values.size and (values.min() < 0 or values.max() >= classes):
        wrong = np.unique(values[(values < 0) | (values >= classes)])
        listed = ", ".join(str(value) for value in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        raise DataError(f"{what} with the value {listed}: expected 0..{classes - 1}, {hint}")
