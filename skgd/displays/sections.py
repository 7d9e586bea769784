"""Two coefficients of a model: which ones, and what part of their plane to draw."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array

from skgd.training.state import State

FAR = 10.0  # times the objective at the start: where a path that diverged is cut off


def state_at(point, problem):
    coef = np.array(point[None, :-1], order=problem.data.order)
    return State(coef, point[-1:].copy())


def features_of(estimators, X, y):
    """X as the last steps get it, and its names if pipelines give it some."""
    transformed, names = None, None
    for estimator in estimators:
        own, pipeline = X, clone(estimator)
        while isinstance(pipeline, Pipeline):
            if len(pipeline) > 1:
                before = pipeline[:-1]
                own = before.fit_transform(own, y)
                if hasattr(before, "feature_names_in_"):
                    names = before.get_feature_names_out()
            pipeline = pipeline.steps[-1][1]
        if transformed is None:
            transformed = own
        elif own is not transformed and not _are_equal(own, transformed):
            raise ValueError(
                "The estimators must minimise the same objective: pipelines must hand "
                "the same features to their last steps."
            )
    return transformed, names


def _are_equal(X, other):
    X, other = (check_array(array, accept_sparse="csr") for array in (X, other))
    if X.shape != other.shape or issparse(X) != issparse(other):
        return False
    return abs(X - other).sum() == 0


def columns_of(model, coefficients, names):
    """Places of two coefficients in a point, and their names."""
    n_features = model.n_features_in_
    names = [] if names is None else list(names)
    if coefficients is None:
        if n_features == 1 and not model.fit_intercept:
            raise ValueError(
                "There is one coefficient, of one feature without an intercept, and "
                "contours are of two."
            )
        coefficients = (0, "intercept_" if n_features == 1 else 1)
    columns, labels = [], []
    for coefficient in coefficients:
        if isinstance(coefficient, str) and coefficient in names:
            coefficient = names.index(coefficient)
        if coefficient in ("intercept", "intercept_"):
            coefficient = n_features
            if not model.fit_intercept:
                raise ValueError("There is no intercept with fit_intercept=False.")
        elif isinstance(coefficient, str) or not 0 <= coefficient < n_features:
            raise ValueError(
                f"{coefficient!r} is no feature of X; coefficients must be two numbers "
                f"(from 0 to {n_features - 1}) or names of features, or 'intercept_'."
            )
        columns.append(int(coefficient))
        known = [*(names or (f"coef_[{j}]" for j in range(n_features))), "intercept_"]
        labels.append(str(known[coefficient]))
    if len(columns) != 2 or columns[0] == columns[1]:
        raise ValueError("coefficients must be two different ones.")
    return columns, tuple(labels)


def beginning_of(points, problem):
    """The points of a path that diverged, until it is far off."""
    with np.errstate(all="ignore"):
        highest = FAR * problem.objective(state_at(points[0], problem))
        for n, point in enumerate(points):
            if not problem.objective(state_at(point, problem)) <= highest:
                return points[:n]
    return points


def limits_of(points):
    """What holds all finite points, and a margin."""
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    return tuple(zip(low - margin, high + margin, strict=True))
