"""Searches that the tests of them have in common."""

import re

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn import model_selection
from sklearn.base import clone

from samples import linear
from skgd import GDClassifier, GDRegressor, GridSearchCV

RATES = {"eta0": [0.001, 0.01, 0.03, 0.1]}
REGRESSOR = GDRegressor(max_iter=5, tol=None, random_state=0, batch_size=8)
CLASSIFIER = GDClassifier(max_iter=5, tol=None, random_state=0, batch_size=8)


def two_classes(n=90):
    X, y = linear(n)
    return X, np.where(y > 0.3, "yes", "no")


def prefixed(grid, name):
    return {f"{name}__{key}": values for key, values in grid.items()}


def compare(estimator, grid, X, y, fit=None, tolerance=1e-10, **kwargs):
    """Search with both; returns the one of this package."""
    plain = model_selection.GridSearchCV(clone(estimator), grid, **kwargs)
    ours = GridSearchCV(clone(estimator), grid, **kwargs)
    for search in (plain, ours):
        search.fit(X, y, **(fit or {}))
    assert ours.cv_results_.keys() == plain.cv_results_.keys()
    assert ours.cv_results_["params"] == plain.cv_results_["params"]
    n = 0
    for key, values in plain.cv_results_.items():
        if re.match(r"(split\d+|mean|std|rank)_(test|train)_", key):
            n += 1
            np.testing.assert_allclose(
                ours.cv_results_[key], values, rtol=tolerance, atol=tolerance
            )
    assert n >= 4 and ours.scorer_.__class__ is plain.scorer_.__class__
    if plain.refit:
        assert ours.best_params_ == plain.best_params_
        Z = X[:5] if sp.issparse(X) else pd.DataFrame(X).to_numpy()[:5]
        if isinstance(X, pd.DataFrame):
            Z = X.iloc[:5]
        assert np.array_equal(ours.predict(Z), plain.predict(Z))
    return ours
