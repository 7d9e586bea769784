"""dask collections in fit, predict and score.

dask is imported by functions only, which are called once X is a collection.
"""

import warnings
from copy import copy
from functools import partial, wraps

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skgd.distributed import is_collection, parts
from skgd.estimators import early_stopping
from skgd.estimators.inputs import NO_WEIGHT
from skgd.objective import penalties
from skgd.objective.targets import Targets
from skgd.training.problem import Problem

WITHOUT_OFFSET = (
    "The model was fitted with an offset, and is scored without it. Pass offset to "
    "score; in searches, with sklearn.set_config(enable_metadata_routing=True), "
    "set_fit_request(offset=True) and set_score_request(offset=True) do."
)
NOT_SENT = ("history_", "loss_curve_", "update_history_", "_memory", "_skl_callbacks")


def by_partition(method):
    """Let a method of X return a lazy array where X is a dask collection."""

    @wraps(method)
    def of_any(self, X, offset=None):
        if is_collection(X):
            refuse_offset(offset)
            return _lazily(self, method.__name__, X)
        return method(self, X, offset)

    return of_any


def by_sums(score):
    """Let `score` take dask collections."""

    @wraps(score)
    def of_any(self, X, y, sample_weight=None, offset=None):
        if is_collection(X):
            refuse_offset(offset)
            return _score(self, X, y, sample_weight)
        if offset is None and self._took_offset:
            warnings.warn(WITHOUT_OFFSET, stacklevel=2)
        return score(self, X, y, sample_weight, offset)

    return of_any


def refuse_offset(*offsets):
    if any(offset is not None for offset in offsets):
        raise ValueError("offset is not supported for dask collections.")


def prepare(estimator, X, y, sample_weight, validation):
    """The problem of dask collections, and what judges a state; as `_prepare`."""
    _check_method(estimator)
    engines = []  # all that are to be closed
    try:
        return _prepare(estimator, X, y, sample_weight, validation, engines)
    except BaseException:
        for engine in engines:
            engine.close()
        raise


def _prepare(estimator, X, y, sample_weight, validation, engines):
    from skgd.distributed.data import PartitionedData

    classify = not isinstance(estimator, RegressorMixin)
    # Weights by class change them; textbook steps do not ask.
    with_moments = (
        estimator._automatic(estimator._one_loss())
        and getattr(estimator, "class_weight", None) is None
    )
    engine, described = _described(
        estimator, X, y, sample_weight, True, engines, with_moments
    )
    if classify:
        classes = np.concatenate([part["classes"] for part in described])
        estimator._learn_targets(classes)
    else:
        estimator._learn_targets(np.zeros((1, *described[0]["shape"])))
    weights, counts = _by_class(estimator, described)
    factors = _class_factors(estimator, weights)
    if factors is not None:
        kept = factors > 0.0
        weights = weights * factors
        for part, count in zip(described, counts, strict=True):
            part["n_rows"] = int(count[kept].sum())
        counts = counts[:, kept]
        if not counts.sum():
            raise ValueError(NO_WEIGHT)
        described = [part for part in described if part["n_rows"]]
        factors = estimator.classes_, factors
    mean_weight = 1.0
    if factors is not None or sample_weight is not None:
        mean_weight = weights.sum() / counts.sum()
        if not np.isfinite(mean_weight):
            raise ValueError(
                "The sum of sample_weight is too large for double precision. Divide "
                "the weights by their maximum: only their ratios matter."
            )
    targets = None
    if classify:
        targets = estimator._encode(estimator.classes_).astype(float)
        targets = Targets(targets, weights / mean_weight)
    engine = _bound(engine, estimator, described, factors, mean_weight, engines)
    score = _validation(estimator, *validation, engines)
    l1, l2 = penalties.strengths(estimator.penalty, estimator.alpha, estimator.l1_ratio)
    problem = Problem(
        data=PartitionedData(engine, described, targets, engines, mean_weight),
        loss=estimator._loss(),
        n_outputs=estimator._n_outputs,
        l1=l1,
        l2=l2,
        fit_intercept=estimator.fit_intercept,
    )
    return problem, score


def _check_method(estimator):
    if not isinstance(estimator.loss, str):
        raise ValueError("A loss of your own is not supported for dask collections.")
    automatic = estimator._automatic(estimator._one_loss())
    if automatic and not estimator.finish:
        raise ValueError(
            "finish=False leaves all epochs to rows in random order, which dask "
            "collections do not have. Set finish=True."
        )
    if not automatic and estimator.solver != "batch":
        raise ValueError(
            f"solver={estimator.solver!r} with steps of your own takes rows in random "
            "order, which dask collections do not have. Set eta0='auto' and "
            "learning_rate='auto', or solver='batch'."
        )


def _check_columns(estimator, X, reset):
    """Their number and names, as `validate_data` does."""
    rows = X._meta if hasattr(X, "columns") else X
    validate_data(estimator, rows, reset=reset, skip_check_array=True)


def _no_rows(estimator, sample_weight):
    """The error where no row is left."""
    if sample_weight is not None:
        return ValueError(NO_WEIGHT)
    return ValueError(
        f"Found array with 0 sample(s) while a minimum of 1 is required by "
        f"{type(estimator).__name__}."
    )


def _check_alike(described):
    for key, what in (
        ("n_features", "number of features"),
        ("sparse", "storage (dense or sparse)"),
        ("shape", "number of outputs"),
    ):
        if len({part[key] for part in described}) > 1:
            found = {part["number"]: part[key] for part in described}
            raise ValueError(f"Partitions differ in {what}: {found}")


def _by_class(estimator, described):
    """Sum of weights by class, and number of rows by partition and class."""
    if described[0]["classes"] is None:
        return sum(p["weights"] for p in described), np.array(
            [p["counts"] for p in described]
        )
    weights = np.zeros(len(estimator.classes_))
    counts = np.zeros((len(described), len(weights)), dtype=np.intp)
    for part, count in zip(described, counts, strict=True):
        index = np.searchsorted(estimator.classes_, part["classes"])
        weights[index] += part["weights"]
        count[index] = part["counts"]
    return weights, counts


def _class_factors(estimator, weights):
    """The weight of each class, or None."""
    if getattr(estimator, "class_weight", None) is None:
        return None
    return estimator._class_weights(estimator.classes_, weights, balance=True)


def _described(
    estimator, X, y, sample_weight, reset, engines, with_moments=False
):  # fmt: skip
    """The engine of checked partitions, and what those that have rows are."""
    from skgd.distributed.collections import engine_of_parts

    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but "
            "the target y is None."
        )
    classify = not isinstance(estimator, RegressorMixin)
    engine = engine_of_parts(X, y, sample_weight, classify)
    engines.append(engine)
    _check_columns(estimator, X, reset)
    described = engine.each(parts.describe, classify, with_moments)
    if not (described := [part for part in described if part["n_rows"]]):
        raise _no_rows(estimator, sample_weight)
    _check_alike(described)
    return engine, described


def _bound(engine, estimator, described, factors, mean_weight, engines):
    """The engine of partitions with targets as losses take them."""
    how = _bare(estimator)._encode, factors, mean_weight
    kept = [part["number"] for part in described]
    n_bytes = sum(part["bytes"] for part in described)
    engines.append(engine.bound(parts.bind, how, kept, n_bytes))
    return engines[-1]


def _bare(estimator):
    """A copy to send, without what prediction does not need."""
    bare = copy(estimator)
    for name in NOT_SENT:
        vars(bare).pop(name, None)
    return bare


def _validation(estimator, X, y, sample_weight, engines):
    """What judges a state by validation data, in memory or in partitions; or None."""
    if X is None and estimator.early_stopping:
        raise ValueError(
            "early_stopping of dask collections needs validation data: pass X_val and "
            "y_val."
        )
    if not (is_collection(X) and estimator.early_stopping):
        arguments = X, y, sample_weight, None
        return early_stopping.validation(estimator, *[None] * 5, *arguments)[1]
    if estimator.scoring not in (None, "loss"):
        raise ValueError(
            "Validation data in dask collections are scored by scoring=None or 'loss'."
        )
    classify = not isinstance(estimator, RegressorMixin)
    engine, described = _described(estimator, X, y, sample_weight, False, engines)
    if classify:
        found = np.concatenate([part["classes"] for part in described])
        estimator._encode(np.unique(found))
    weights, _ = _by_class(estimator, described)
    factors = _class_factors(estimator, weights)
    total = weights.sum() if factors is None else (weights * factors).sum()
    engine = _bound(engine, estimator, described, None, 1.0, engines)
    loss, predict = estimator._loss(), _bare(estimator)._predictions

    def score(state):
        results = engine.each(
            parts.validate, *state.result(), loss, factors, predict, classify
        )
        mean_loss = float(sum(loss_sum for loss_sum, _ in results)) / total
        value = parts.merged([sums for _, sums in results], classify)
        if estimator.scoring == "loss":
            value = -mean_loss
        return {"validation_score": float(value), "validation_loss": mean_loss}

    return score


def _lazily(estimator, name, X):
    """The result of a method, as a lazy array with the partitions of X."""
    from skgd.distributed.collections import check_table, map_rows

    check_is_fitted(estimator)
    check_table(X)
    _check_columns(estimator, X, reset=False)
    dtype, width = estimator.coef_.dtype, None
    if getattr(X, "dtype", None) != np.float32:
        dtype = np.dtype(np.float64)
    if hasattr(estimator, "classes_"):
        n_classes = len(estimator.classes_)
        if name == "predict":
            dtype = estimator.classes_.dtype
        elif name != "decision_function" or n_classes > 2:
            width = n_classes
    elif estimator.coef_.ndim > 1:
        width = len(estimator.coef_)
    bare = _bare(estimator)
    if not hasattr(X, "columns"):
        vars(bare).pop("feature_names_in_", None)  # or each partition would warn
    return map_rows(partial(_called, bare, name, width, dtype), X, width, dtype)


def _called(estimator, name, width, dtype, X):
    if not X.shape[0]:
        return np.empty((0,) if width is None else (0, width), dtype=dtype)
    return getattr(estimator, name)(X).astype(dtype, copy=False)


def _score(estimator, X, y, sample_weight):
    """R^2 or accuracy, by sums over partitions."""
    from skgd.distributed.collections import delayed_parts
    from skgd.distributed.engines import Graph

    check_is_fitted(estimator)
    classify = not isinstance(estimator, RegressorMixin)
    delayed = delayed_parts(X, y, sample_weight, classify)
    _check_columns(estimator, X, reset=False)
    bare = _bare(estimator)
    vars(bare).pop("feature_names_in_", None)  # which were checked
    results = Graph(delayed).each(parts.compare, bare, classify)
    if not (results := [sums for sums in results if sums is not None]):
        raise _no_rows(estimator, sample_weight)
    return parts.merged(results, classify)
