"""Labels, their weights, and the probabilities that a loss gives them."""

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import compute_class_weight
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import check_non_negative


def are_several(y):
    """Whether y is an indicator of several labels per row, of shape (n, L)."""
    return len(shape := np.shape(y)) == 2 and shape[1] > 1


def indicator(y):
    """The indicator of several labels per row, (n, L), not sparse."""
    y = y.toarray() if issparse(y) else y
    if y.dtype.kind not in "biufO" or not np.all((y == 0) | (y == 1)):
        raise ValueError(
            "y with several columns must be an indicator of labels, all 0 or 1: "
            "multiclass-multioutput targets are not supported."
        )
    return y.astype(np.float64)


def check_shape(y, classes, several):
    """Raise ValueError unless y has a column for each of several labels per row."""
    if not (several and are_several(y) and y.shape[1] == len(classes)):
        wanted = f"(n_samples, {len(classes)})" if several else "(n_samples,)"
        raise ValueError(f"y must be of shape {wanted}, as before; got {y.shape}.")


def check_numbers(classes, known):
    """Raise ValueError if `classes` are not the columns of an indicator."""
    if classes is not None and not np.array_equal(np.unique(classes), known):
        raise ValueError(
            "With an indicator y, `classes` are the numbers of its columns, or None; "
            f"got {classes}."
        )


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


def probabilities(loss, z, several):
    """Of the classes, or each of several labels, (n, K), by the decision function."""
    if loss == "log_loss" and z.ndim > 1 and not several:
        return softmax(z, copy=False)
    p = expit(z) if loss == "log_loss" else (np.clip(z, -1.0, 1.0) + 1.0) / 2.0
    if several:
        return p
    if p.ndim == 1:
        return np.column_stack([1.0 - p, p])
    # All classes may be ruled out; then all are as likely as each other.
    p[p.sum(axis=1) == 0] = 1.0
    return p / p.sum(axis=1, keepdims=True)
