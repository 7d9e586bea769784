"""scikit-learn's searches, whose fits share their passes over the rows."""

import warnings
from typing import Any, Self

import joblib
from joblib.parallel import get_active_backend
from sklearn import model_selection

from skgd.search import backend  # noqa: F401, which registers "skgd"


class FitsTogether:
    """A search over the backend of this package."""

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Run fit with all sets of parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        **params : dict
            Passed to the `fit` of the estimator, the splitter and the scorer.

        Returns
        -------
        self : object
        """
        with_offset = any(name.split("__")[-1] == "offset" for name in params)
        if with_offset and self.scoring is not None:
            warnings.warn(
                "Scorers predict without an offset: use scoring=None.", stacklevel=2
            )
        # With the number of jobs that is configured.
        with joblib.parallel_config("skgd", n_jobs=get_active_backend()[1]):
            return super().fit(X, y, **params)


class GridSearchCV(FitsTogether, model_selection.GridSearchCV):
    """scikit-learn's `GridSearchCV`, whose fits on the same rows are trained together.

    Parameters, attributes and results are those of
    :class:`sklearn.model_selection.GridSearchCV`. Fits of a `GDRegressor` or
    `GDClassifier`, alone or as the last step of a `Pipeline`, that differ in `eta0`,
    `learning_rate`, `power_t`, `penalty`, `alpha`, `max_iter`, `tol` and
    `n_iter_no_change` only are made in one pass over the rows of a fold, and the
    transformers before them once for all; folds are on `n_jobs` threads. Each model
    gets the updates that it would get by itself: the scores are equal up to rounding,
    wherever training is stable.

    All other fits run as in scikit-learn: those of the solver 'sgd', of CSR data, with
    eta0='auto', an L1 penalty, averages, early stopping or callbacks, and of several
    classes or targets. The logger ``skgd.search`` says at level INFO how many were
    trained together, and why the others were not.

    Parameters
    ----------
    estimator, param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch, \
error_score, return_train_score
        As of :class:`sklearn.model_selection.GridSearchCV`.

    Warns
    -----
    ConvergenceWarning
        Once for all fits that were trained together: how many diverged, ran out of
        epochs or ended above the best constant model, and at which rates.

    See Also
    --------
    RandomizedSearchCV : The same for settings drawn at random.

    Notes
    -----
    `fit_time` in `cv_results_` is that of fits together, divided by their number. With
    random_state=None, they draw one seed: all settings see the rows in the same order.
    Other searches, and validation curves, do the same within
    ``joblib.parallel_config("skgd")``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skgd import GDRegressor, GridSearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GDRegressor(max_iter=50, tol=None, random_state=0)
    >>> search = GridSearchCV(model, {"eta0": [0.01, 0.03, 0.1]}).fit(X, y)
    >>> search.best_params_
    {'eta0': 0.1}
    """


class RandomizedSearchCV(FitsTogether, model_selection.RandomizedSearchCV):
    """scikit-learn's `RandomizedSearchCV`, whose fits are trained together.

    Which fits, and how, is said of :class:`GridSearchCV`.

    Parameters
    ----------
    estimator, param_distributions, n_iter, scoring, n_jobs, refit, cv, verbose, \
pre_dispatch, random_state, error_score, return_train_score
        As of :class:`sklearn.model_selection.RandomizedSearchCV`.

    Warns
    -----
    ConvergenceWarning
        As of :class:`GridSearchCV`.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skgd import GDClassifier, RandomizedSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> search = RandomizedSearchCV(
    ...     make_pipeline(StandardScaler(), GDClassifier(tol=None, max_iter=20)),
    ...     {"gdclassifier__eta0": loguniform(1e-3, 1.0)},
    ...     n_iter=20,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> print(search.best_score_ > 0.95)
    True
    """
