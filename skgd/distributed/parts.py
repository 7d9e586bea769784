"""The rows of one partition, and what is asked of them, where they are."""

from contextlib import contextmanager
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_non_negative

from skgd.kernels import loss_totals
from skgd.training.data import LocalData, Multipliers


class Part:
    """Rows of a partition with targets and weights, which are positive.

    Targets are the user's, or after `bind` those that losses take.
    """

    def __init__(self, number, X, y, weight):
        self.number, self.X, self.y, self.weight = number, X, y, weight

    @cached_property
    def data(self):
        return LocalData(self.X, self.y, self.weight)

    def weights(self):
        return np.ones(len(self.y)) if self.weight is None else self.weight

    def __reduce__(self):
        # Without `data`, which holds addresses.
        return Part, (self.number, self.X, self.y, self.weight)

    def __sizeof__(self):
        """Bytes, which dask spills by."""
        X = self.X
        arrays = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
        return int(sum(a.nbytes for a in (*arrays, np.asarray(self.y))))


@contextmanager
def naming(number):
    """Let an error say which partition it is of."""
    try:
        yield
    except Exception as error:
        if (where := f"in partition {number}") not in str(error):
            error.add_note(where)
        raise


def make(number, X, y, weight, names, classify):
    """The rows of a partition. `names` are those of columns, or None."""
    with naming(number):
        return checked(number, X, y, weight, names, classify)


def checked(number, X, y, weight, names, classify):
    where = f" in partition {number}"
    if names is not None:
        if list(X.columns) != list(names):
            raise ValueError(f"The columns{where} are others, or in another order.")
        if kinds := [c for c in X.columns if X[c].dtype.kind not in "biufc"]:
            raise ValueError(
                f"Columns {kinds}{where} are not numbers. Encode them, for instance by "
                "Categorizer and DummyEncoder of dask-ml, or by dask.dataframe."
                "get_dummies."
            )
    if hasattr(y, "isna") and np.any(y.isna()):
        raise ValueError(f"Input y{where} contains NaN.")  # pandas.NA among text, too
    y = np.asarray(y)
    try:
        check_consistent_length(X, y, weight)
    except ValueError as error:
        raise ValueError(f"{error}{where}") from None
    if not sp.issparse(X) and hasattr(X, "tocsr"):
        X = X.tocsr()  # of the package sparse
    dtypes = [np.float64, np.float32]
    X = check_array(
        X, accept_sparse="csr", dtype=dtypes, ensure_min_samples=0,
        ensure_all_finite=weight is not None, input_name=f"X{where}",
    )  # fmt: skip
    if not sp.issparse(X):
        X = np.require(X, requirements=["A"])  # what was sent may not be aligned
    if classify:
        y = column_or_1d(y)
        assert_all_finite(y, input_name=f"y{where}")
    else:
        y = numbers(y, f"y{where}")
    if weight is not None:
        weight = column_or_1d(numbers(weight, f"sample_weight{where}"))
        check_non_negative(weight, f"`sample_weight`{where}")
        if not np.all(weight):
            kept = np.flatnonzero(weight)
            X, y, weight = X[kept], y[kept], weight[kept]
    return Part(number, X, y, weight)


def numbers(array, name):
    """Targets or weights as doubles."""
    return check_array(
        array, dtype=np.float64, ensure_2d=False, ensure_min_samples=0,
        ensure_min_features=0, input_name=name,
    )  # fmt: skip


def describe(part, classify, with_moments=False):
    """What must be known of all partitions before their targets are encoded.

    And what `moments` tells, which another pass over the rows would take otherwise.
    """
    X, y = part.X, part.y
    known = moments(part, classify) if with_moments and len(y) else None
    if known is None or not np.all(np.isfinite(known[2])):
        # Means tell as much, with no pass of their own.
        assert_all_finite(X, input_name=f"X in partition {part.number}")
    if classify:
        classes = np.unique(y)
        if len(y):
            check_classification_targets(classes)
        # Quicker than `return_inverse`, which sorts.
        index = np.searchsorted(classes, y)
        counts = totals = np.bincount(index, minlength=len(classes))
        if part.weight is not None:
            totals = np.bincount(index, part.weight, minlength=len(classes))
    else:
        with np.errstate(over="ignore"):
            totals = np.array([part.weights().sum()])
        classes, counts = None, [len(y)]
    return {
        "number": part.number,
        "n_rows": len(y),
        "n_features": X.shape[1],
        "dtype": X.dtype,
        "sparse": sp.issparse(X),
        "shape": y.shape[1:],
        "bytes": part.__sizeof__(),
        "stored": X.nnz if sp.issparse(X) else X.size,
        "classes": classes,
        "weights": totals,  # of each class, or of all rows,
        "counts": np.asarray(counts),  # and how many rows
        "moments": known,
    }


def bind(part, encode, factors, mean_weight):
    """The partition with its targets encoded, and weights of mean 1.

    `factors` are the classes and the weight of each, or None; `mean_weight` is that of
    all rows.
    """
    X, y, weight = part.X, part.y, part.weight
    if factors is not None:
        classes, by_class = factors
        weight = part.weights() * by_class[np.searchsorted(classes, y)]
        if not np.all(weight):
            kept = np.flatnonzero(weight)
            X, y, weight = X[kept], y[kept], weight[kept]
    if weight is not None:
        weight = weight / mean_weight
    y = np.ascontiguousarray(encode(y), dtype=np.float64)
    return Part(part.number, X, y, weight)


def compare(part, model, classify):
    """What `merged` makes the score of, for a fitted model; None without rows."""
    if not len(part.y):
        return None
    return _agreement(part.y, model.predict(part.X), part.weights(), classify)


def validate(part, coef, intercept, loss, factors, predict, classify):
    """The sum of weight times loss, and what `merged` makes the score of.

    `factors` are weights of the classes, or None; `predict` makes predictions of linear
    ones.
    """
    y, weight = part.y, part.weights()
    z = part.data.predictions(coef, np.array(intercept))
    agreement = _agreement(y, predict(z), weight, classify)
    if factors is not None:
        index = y[:, 0].astype(np.intp)
        weight = weight * factors[np.maximum(index, 0) if z.shape[1] == 1 else index]
    return loss_totals(loss, y, weight, z).sum(), agreement


def _agreement(y, predictions, weight, classify):
    y, predictions = (a.reshape(len(a), -1) for a in (y, predictions))
    if classify:
        return weight.sum(), weight @ np.all(y == predictions, axis=1)
    mean = np.average(y, axis=0, weights=weight)
    return weight.sum(), mean, weight @ (y - mean) ** 2, weight @ (y - predictions) ** 2


def merged(agreements, classify):
    """Accuracy, or the mean R^2 of the outputs, of all partitions."""
    if classify:
        total, right = map(sum, zip(*agreements, strict=True))
        return float(right / total)
    total = mean = squares = residual = 0.0
    for w, m, s, r in agreements:
        share = w / (total + w)
        squares = squares + s + total * share * (m - mean) ** 2
        mean = mean + share * (m - mean)
        residual = residual + r
        total += w
    constant = squares == 0.0
    # As scikit-learn has it: of constant targets, 1 if all were met, else 0.
    r2 = 1.0 - residual / np.where(constant, 1.0, squares)
    return float(np.mean(np.where(constant, residual == 0.0, r2)))


# What follows is called by `skgd.distributed.data` and `targets`. Coefficients may have
# come over a network: arrays that cannot be written to, in any order.


def totals(part, loss, intercept):
    return (part.data.totals(loss, intercept),)


def moments(part, classify):
    """Sum of squared weights, and those of `Data.moments`, with targets as features.

    The latter only of a regression.
    """
    weight, y = part.weight, part.y.reshape(len(part.y), -1)
    tables = [part.X]
    if not classify:
        tables.append(np.ascontiguousarray(y))
    found = [LocalData(table, y, weight).moments() for table in tables]
    total = found[0][0]
    with np.errstate(over="ignore"):  # of which the client complains
        squares = total if weight is None else weight @ weight
    return squares, total, *map(np.concatenate, list(zip(*found, strict=True))[1:])


def largest_row(part, fit_intercept):
    return part.data.largest_row(fit_intercept)


def loss_sum(part, loss, coef, intercept):
    coef = np.array(coef, order=part.data.order)
    return (part.data.loss(loss, coef, np.array(intercept)),)


def offsets(part, n_outputs):
    """Multipliers of zero, as an argument of other calls."""
    return (np.zeros((len(part.y), n_outputs)),)


def offset_columns(part, offset, kept):
    return (np.ascontiguousarray(offset[:, kept]),)


def gradient(part, *arguments):
    """`arguments`: the multipliers, if the loss has any, and those of `gradient`."""
    *offset, loss, coef, intercept, outputs, exact = arguments
    coef = np.array(coef, order=part.data.order)
    multipliers = Multipliers(part.data, np.array(offset[0])) if offset else None
    return part.data.gradient(
        loss, coef, np.array(intercept), outputs, multipliers, exact
    )


def move(part, offset, own, loss, target, widths, coef, intercept):
    """The multipliers after a move, and the sum of their squares."""
    multipliers = Multipliers(part.data, np.array(offset))
    multipliers.predict(own, coef, np.array(intercept))
    squares = multipliers.move(own, loss, target, widths, (coef, intercept))
    return multipliers.offset, squares


def moved(part, offset, squares):
    return (offset,)


def squares(part, offset, squares):
    return (squares,)


def rows_at(part, chosen):
    """Some rows, with targets and weights."""
    return part.X[chosen], part.y[chosen], part.weights()[chosen]


def target_sums(part, outputs, centre):
    """Sums of weighted targets, or of their distances from a centre."""
    y = _targets(part, outputs, centre)
    return (np.einsum("i,ik->k", part.weights(), y),)


def largest_target(part, outputs, centre):
    return np.max(_targets(part, outputs, centre))


def _targets(part, outputs, centre):
    y = part.y[:, outputs]
    return y if centre is None else np.abs(y - centre)


def target_bins(part, outputs, centre, column, low, high, n_bins):
    """The targets in (low, high], in at most `n_bins` bins of neighbours.

    Returns
    -------
    below : float
        The weight of targets up to `low`.
    ends, weights : ndarray
        The largest target of each bin, and what it weighs.
    exact : bool
        Whether no bin holds different targets.
    """
    y, weight = _targets(part, outputs, centre)[:, column], part.weights()
    below = weight[y <= low].sum()
    inside = (y > low) & (y <= high)
    values, index = np.unique(y[inside], return_inverse=True)
    sums = np.bincount(index, weight[inside], minlength=len(values))
    every = -(-len(values) // n_bins) or 1
    starts = np.arange(0, len(values), every)
    ends = np.minimum(starts + every, len(values)) - 1
    if every > 1:
        sums = np.add.reduceat(sums, starts)
    return below, values[ends], sums, every == 1
