"""Labels, their weights, and the probabilities that a loss gives them."""

import numpy as np
from scipy.special import expit
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import compute_class_weight
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import check_non_negative


def indices(y, classes):
    """Where the labels are in `classes`; an error if one is not among them."""
    known = np.asarray(classes)
    if y.dtype.kind in "biuf" and known.dtype.kind in "biuf":
        # LabelEncoder takes as long as a call of partial_fit in all.
        index = np.minimum(np.searchsorted(known, y), len(known) - 1)
        if np.array_equal(known[index], y):
            return index
    encoder = LabelEncoder()
    encoder.classes_ = known
    return encoder.transform(y)


def class_weights(class_weight, classes, y, sample_weight):
    """The weight of each row by its class."""
    index = indices(y, classes)
    if class_weight == "balanced":
        # By weight, not by number, so that a weight of 2 is a row given twice.
        total = np.bincount(index, sample_weight, minlength=len(classes))
        with np.errstate(divide="ignore"):
            return (total.sum() / (len(classes) * total))[index]
    weight = compute_class_weight(class_weight, classes=classes, y=y)
    check_non_negative(weight, "`class_weight`")
    return weight[index]


def gives_probabilities(estimator):
    if estimator.loss in ("log_loss", "modified_huber"):
        return True
    raise AttributeError(
        f"probability estimates are not available for loss={estimator.loss!r}: use "
        "loss='log_loss', or sklearn.calibration.CalibratedClassifierCV around it"
    )


def probabilities(loss, z):
    """Of the classes, (n, K), by the decision function of a loss."""
    if loss == "log_loss" and z.ndim > 1:
        return softmax(z, copy=False)
    p = expit(z) if loss == "log_loss" else (np.clip(z, -1.0, 1.0) + 1.0) / 2.0
    if p.ndim == 1:
        return np.column_stack([1.0 - p, p])
    # All classes may be ruled out; then all are as likely as each other.
    p[p.sum(axis=1) == 0] = 1.0
    return p / p.sum(axis=1, keepdims=True)
