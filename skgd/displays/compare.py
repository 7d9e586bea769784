"""Estimators side by side on the same data."""

from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.pipeline import Pipeline

from skgd.displays.common import last_step, named
from skgd.estimators.base import BaseGD
from skgd.estimators.inputs import dense
from skgd.training.state import State


def compare_estimators(
    estimators: Any,
    X: Any,
    y: Any,
    *,
    X_test: Any = None,
    y_test: Any = None,
    names: list[str] | None = None,
    n_repeats: int = 1,
) -> Any:
    """Fit estimators on the same data and tabulate how they did.

    Parameters
    ----------
    estimators : list or dict of estimators
        Estimators of scikit-learn's interface, or pipelines of them. Clones are
        fitted. Keys of a dict are names.
    X, y : array-like
        Training data.
    X_test, y_test : array-like, default=None
        Data for the score; the training data if None.
    names : list of str, default=None
        Names of the estimators; those of their classes if None.
    n_repeats : int, default=1
        Fits of each estimator, in turns. The time is their median; all other columns
        are of the last fit.

    Returns
    -------
    table : pandas.DataFrame, or dict of list if pandas is not installed
        A row for each estimator (with a dict, 'estimator' holds its name), with

        - 'score': by its `score` method, on the test data;
        - 'epochs': passes over the data, `n_iter_`;
        - 'updates': of the coefficients, of skgd's estimators, `SGDRegressor` and
          `SGDClassifier`;
        - 'seconds': the time of `fit`;
        - 'objective': the objective of the first of skgd's estimators, on the training
          data, at the coefficients of this estimator if it is linear.

        NaN where there is no such number.

    Raises
    ------
    ValueError
        If only one of `X_test` and `y_test` is given.

    See Also
    --------
    LossCurveDisplay : Curves of the objective.

    Notes
    -----
    The objective is of features as the last step of a pipeline gets them.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import SGDRegressor
    >>> from skgd import GDRegressor, compare_estimators
    >>> X, y = load_diabetes(return_X_y=True)
    >>> table = compare_estimators(
    ...     [GDRegressor(random_state=0), SGDRegressor(max_iter=20, tol=None)], X, y
    ... )
    >>> list(table)
    ['score', 'epochs', 'updates', 'seconds', 'objective']
    """
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test must be given together.")
    if X_test is None:
        X_test, y_test = X, y
    estimators, names = named(estimators, names)
    seconds = [[] for _ in estimators]
    for _ in range(n_repeats):
        fitted = []
        for estimator, times in zip(estimators, seconds, strict=True):
            model = clone(estimator)
            start = perf_counter()
            fitted.append(model.fit(X, y))
            times.append(perf_counter() - start)
    objective = _Objective(fitted, y)
    table = {
        "estimator": names,
        "score": [float(model.score(X_test, y_test)) for model in fitted],
        "epochs": [_number(last_step(model), "n_iter_") for model in fitted],
        "updates": [_updates(last_step(model)) for model in fitted],
        "seconds": [float(np.median(times)) for times in seconds],
        "objective": [objective(model, X) for model in fitted],
    }
    try:
        import pandas
    except ImportError:
        return table
    return pandas.DataFrame(table).set_index("estimator")


def _number(model, name):
    """An attribute that is a number or the largest of an array of them; else NaN."""
    value = getattr(model, name, None)
    return np.nan if value is None else float(np.max(value))


def _updates(model):
    if isinstance(model, BaseGD | SGDClassifier | SGDRegressor):
        return _number(model, "t_") - 1.0
    return np.nan


class _Objective:
    """The objective of the first of skgd's estimators, at others' coefficients."""

    def __init__(self, fitted, y):
        ours = [m for m in map(last_step, fitted) if isinstance(m, BaseGD)]
        self.model = clone(ours[0]).set_params(early_stopping=False) if ours else None
        self.y = y

    def __call__(self, fitted, X):
        model = last_step(fitted)
        coef = getattr(model, "coef_", None)
        if self.model is None or coef is None:
            return np.nan
        while isinstance(fitted, Pipeline):
            X, fitted = fitted[:-1].transform(X), fitted.steps[-1][1]
        problem, *_ = self.model._prepare(X, self.y)
        coef = np.atleast_2d(dense(coef)).astype(np.float64)
        if coef.shape != (problem.n_outputs, problem.data.n_features):
            return np.nan
        intercept = np.broadcast_to(model.intercept_, len(coef)).astype(np.float64)
        return problem.objective(
            State(np.array(coef, order=problem.data.order), intercept)
        )
