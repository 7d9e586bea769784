"""Data, weights and targets of the user, as a problem."""

from inspect import signature
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.base import RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import (
    assert_all_finite,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from skgd.estimators import labels
from skgd.estimators.sklearn_private import check_sample_weight
from skgd.kernels import Rows
from skgd.objective import penalties
from skgd.objective.offset import with_offset
from skgd.training.data import LocalData
from skgd.training.problem import Problem

DTYPES = [np.float64, np.float32]
# Newer versions of scikit-learn raise for weights that are all zero, unless told.
ZEROS_TOO = dict.fromkeys(
    {"allow_all_zero_weights"} & signature(check_sample_weight).parameters.keys(), True
)
NO_WEIGHT = "Sample weights must contain at least one non-zero number."


def check_data(estimator, X, y, sample_weight, reset=True, skip=False):
    classify = not isinstance(estimator, RegressorMixin)
    several = classify and labels.are_several(y)
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr",
        dtype=DTYPES,
        y_numeric=not classify,
        multi_output=several or not classify,
        reset=reset,
    )
    if several:
        y = labels.indicator(y)
    if sp.issparse(X):
        Rows(X)  # before scipy takes rows of what may be malformed
        if X.indices.dtype != X.indptr.dtype:
            # Of such matrices, older versions of scipy cannot take rows.
            X = sp.csr_array((X.data, X.indices, X.indptr), shape=X.shape)
    return X, y, check_weights(sample_weight, X, skip)


def make_problem(estimator, X, y, sample_weight, rows, normalize, offset=None):
    """The problem of these rows; `normalize` divides weights by their mean."""
    if rows is not None:
        y = y[rows]
        offset = None if offset is None else offset[rows]
        sample_weight = None if sample_weight is None else sample_weight[rows]
    weight = row_weights(estimator, y, sample_weight, balance=normalize)
    loss, targets, n_offsets = estimator._loss(), estimator._encode(y), 0
    if offset is not None:
        loss, targets, n_offsets = with_offset(loss, targets, offset)
    if (kept := positive(weight)) is not None:
        # A class of weight 0.
        if len(kept) == 0:
            raise ValueError(NO_WEIGHT)
        rows = kept if rows is None else rows[kept]
        targets, weight = targets[kept], weight[kept]
    if weight is not None and normalize:
        weight = weight / weight.max()  # whose sum can't overflow
        weight = weight / weight.mean()
    if weight is not None and np.all(weight == 1.0):
        weight = None
    l1, l2 = penalties.strengths(estimator.penalty, estimator.alpha, estimator.l1_ratio)
    with np.errstate(over="ignore"):
        targets = np.ascontiguousarray(targets, dtype=np.float64)
    if y.dtype == np.longdouble or offset is not None:
        assert_all_finite(targets, input_name="y")  # as float64
    return Problem(
        data=LocalData(X, targets, weight, rows, n_offsets),
        loss=loss,
        n_outputs=estimator._n_outputs,
        l1=l1,
        l2=l2,
        fit_intercept=estimator.fit_intercept,
    )


def row_weights(estimator, y, sample_weight, balance):
    """Sample weights times class weights; None if there are none of both."""
    weight = estimator._class_weights(y, sample_weight, balance)
    if weight is None or sample_weight is None:
        return sample_weight if weight is None else weight
    return weight * sample_weight


def check_weights(sample_weight, X, skip=False):
    if sample_weight is None:
        return None
    sample_weight = check_sample_weight(sample_weight, X, dtype=np.float64, **ZEROS_TOO)
    check_non_negative(sample_weight, "`sample_weight`")
    if not (skip or sample_weight.any()):
        raise ValueError(NO_WEIGHT)
    return sample_weight


def check_offset(offset, n_rows, n_outputs, name="offset"):
    """The offset, (n, K), or None."""
    if offset is None:
        return None
    offset = check_array(
        offset, ensure_2d=False, dtype=np.float64, input_name=name, ensure_min_samples=0
    )
    shape = (n_rows, n_outputs)
    if offset.shape != shape and not (n_outputs == 1 and offset.shape == (n_rows,)):
        expected = (n_rows,) if n_outputs == 1 else shape
        raise ValueError(f"{name}.shape == {offset.shape}, expected {expected}!")
    return offset.reshape(shape)


def positive(weight):
    """Rows of positive weight; None if that is all of them."""
    if weight is None or np.all(weight > 0):
        return None
    return np.flatnonzero(weight)


def check_model(estimator):
    """Raise NotFittedError if there is no model, or the user set a part of one."""
    check_is_fitted(estimator)
    parts = {"intercept_"}
    if not isinstance(estimator, RegressorMixin):
        parts.add("classes_")
    missing = sorted(name for name in parts if not hasattr(estimator, name))
    if missing:
        raise NotFittedError(
            f"This {type(estimator).__name__} instance has coef_, but no "
            f"{' and no '.join(missing)}. Set what is missing, too, or call 'fit'."
        )


def check_warm_start(estimator, classes, several, problem):
    """Raise ValueError if the model is of other data.

    `classes` are those it knows, `several` says whether a row has several labels.
    """
    check_model(estimator)
    if classes is not None and several != estimator.multilabel_:
        now, then = "one label", "several"
        if estimator.multilabel_:
            now, then = "several labels", "one"
        raise ValueError(
            f"y has {now} per row, but warm_start=True goes on from a model of {then}."
        )
    if classes is not None and not np.array_equal(classes, estimator.classes_):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the "
            f"previous call to fit. Previously got {classes}, `y` has "
            f"{estimator.classes_}"
        )
    n_outputs, n_features = np.atleast_2d(dense(estimator.coef_)).shape
    n_given = problem.data.n_features
    if n_features != n_given:
        raise ValueError(
            f"X has {n_given} features, but {type(estimator).__name__} is expecting "
            f"{n_features} features as input: warm_start=True goes on from the "
            "previous call to fit."
        )
    if n_outputs != estimator._n_outputs:
        raise ValueError(
            f"y has {estimator._n_outputs} targets, but warm_start=True goes on from a "
            f"model of {n_outputs}."
        )


def shaped(array, shape, name):
    """`array` as float64 of `shape`, whose leading axis may be omitted if it is 1."""
    array = np.asarray(array, dtype=np.float64)
    if array.shape == shape[1:] and shape[0] == 1:
        array = array[None]
    if array.shape != shape:
        raise ValueError(f"Provided {name} does not match dataset.")
    assert_all_finite(array, input_name=name)
    return array


def dense(coef):
    return coef.toarray() if sp.issparse(coef) else coef


def seed(random_state):
    if isinstance(random_state, Integral):
        return random_state
    return check_random_state(random_state).randint(np.iinfo(np.int32).max)
