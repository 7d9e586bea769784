"""Searches against those of scikit-learn, and how many fits were trained together."""

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.model_selection import GroupKFold, cross_validate, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import linear
from searches import CLASSIFIER, RATES, REGRESSOR, compare, prefixed, two_classes
from skgd import GDClassifier, GDRegressor, GridSearchCV, RandomizedSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error"])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_regression(fits, dtype, train, scoring):
    X, y = linear()
    grid = RATES | {"alpha": [0.0, 0.1], "learning_rate": ["invscaling", "adaptive"]}
    tolerance = 1e-10 if dtype is np.float64 else 1e-5
    compare(
        REGRESSOR, grid, X.astype(dtype), y, scoring=scoring, cv=3,
        return_train_score=train, tolerance=tolerance,
    )  # fmt: skip
    assert fits() == [(48, 48)]


@pytest.mark.parametrize("scoring", [None, "roc_auc", ["accuracy", "neg_log_loss"]])
@pytest.mark.parametrize("train", [False, True])
def test_classification(fits, train, scoring):
    X, y = two_classes()
    refit = scoring if isinstance(scoring, str) else scoring is None
    compare(
        CLASSIFIER, RATES, X, y, scoring=scoring, refit=refit, return_train_score=train
    )
    assert fits() == [(20, 20)]


@pytest.mark.parametrize("loss", ["huber", "hinge", "log_loss", "squared_error"])
def test_bundled_data(fits, loss):
    """The best of 16 rates, up to those that diverge, is that of separate fits."""
    if loss in ("hinge", "log_loss"):
        X, y = load_breast_cancer(return_X_y=True)
        model = GDClassifier(loss, max_iter=20, random_state=0)
    else:
        X, y = load_diabetes(return_X_y=True)
        model = GDRegressor(loss, max_iter=20, random_state=0)
    rates = {"eta0": np.logspace(-4, 1, 16)}
    pipeline = make_pipeline(StandardScaler(), model)
    grid = prefixed(rates, type(model).__name__.lower())
    # Chaos makes of rounding what it likes where steps are too large.
    compare(pipeline, grid, X, y, cv=3, tolerance=1e300)
    few = {name: values[:8] for name, values in grid.items()}
    compare(pipeline, few, X, y, cv=3)
    assert fits() == [(48, 48), (24, 24)]


class Counting(TransformerMixin, BaseEstimator):
    """Centres, and counts its fits."""

    fitted = 0

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None):
        type(self).fitted += 1
        self.mean_ = np.asarray(X).mean(axis=0)
        return self

    def transform(self, X):
        return np.asarray(X) - self.mean_ + self.shift


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_transformers_are_fitted_once_per_fold(fits, scoring):
    X, y = linear()
    grid = prefixed(RATES, "gdregressor") | {"counting__shift": [0.0, 0.5, 1.0]}
    pipeline = make_pipeline(Counting(), REGRESSOR)
    compare(pipeline, grid, X, y, cv=3, scoring=scoring, return_train_score=True)
    assert fits() == [(36, 36)]
    Counting.fitted = 0
    GridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, y)
    assert Counting.fitted == 9


def test_a_searched_step_and_memory(fits, tmp_path):
    X, y = linear(p=8)
    steps = [SelectKBest(f_regression, k=3), "passthrough"]
    pipeline = make_pipeline(
        StandardScaler(),
        SelectKBest(f_regression, k=2),
        REGRESSOR,
        memory=str(tmp_path),
    )
    grid = prefixed(RATES, "gdregressor") | {"selectkbest": steps}
    ours = compare(pipeline, grid, X, y, cv=3)
    assert fits() == [(24, 24)]
    assert ours.best_estimator_[:-1].transform(X).shape[1] in (3, 8)
    grid = {"gdregressor": [clone(REGRESSOR).set_params(eta0=eta0) for eta0 in (1, 2)]}
    plain, ours = (
        cls(pipeline, grid, cv=2, refit=False).fit(X, y)
        for cls in (model_selection.GridSearchCV, GridSearchCV)
    )
    assert fits() == [(4, 4)]
    np.testing.assert_allclose(
        *(search.cv_results_["mean_test_score"] for search in (plain, ours))
    )


def test_weights_groups_and_pandas(fits):
    X, y = linear()
    X = pd.DataFrame(X, columns=list("abcd"))
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    groups = np.arange(len(y)) % 7
    fit = {"sample_weight": weight, "groups": groups}
    ours = compare(REGRESSOR, RATES, X, pd.Series(y), fit, cv=GroupKFold(3))
    assert list(ours.best_estimator_.feature_names_in_) == list("abcd")
    pipeline = make_pipeline(StandardScaler(), REGRESSOR)
    fit = {"gdregressor__sample_weight": pd.Series(weight)}
    compare(pipeline, prefixed(RATES, "gdregressor"), X, pd.Series(y), fit)
    assert fits() == [(12, 12), (20, 20)]


def test_scorers_of_the_user_get_rows_as_they_are(fits):
    X, y = linear()
    X = pd.DataFrame(X, columns=list("abcd"))

    def scorer(model, X, y):
        return float(X["a"].mean() - mean_squared_error(y, model.predict(X)))

    pipeline, grid = make_pipeline(StandardScaler(), REGRESSOR), RATES
    grid = prefixed(RATES, "gdregressor")
    compare(pipeline, grid, X, y, scoring=scorer, return_train_score=True)
    weighted = make_scorer(mean_squared_error, greater_is_better=False)
    compare(pipeline, grid, X, y, scoring={"a": weighted, "b": scorer}, refit="b")
    assert fits() == [(20, 20), (20, 20)]


def test_estimators_of_folds_are_fitted(fits):
    """Of a single model, nothing is trained together; of curves, all is."""
    X, y = linear()
    pipeline = make_pipeline(StandardScaler(), clone(REGRESSOR).set_params(eta0=0.01))
    with joblib.parallel_config("skgd"):
        result = cross_validate(pipeline, X, y, cv=3, return_estimator=True)
        curve = validation_curve(
            pipeline, X, y, param_name="gdregressor__eta0", param_range=RATES["eta0"]
        )
    assert fits() == [(0, 3), (20, 20)]
    expected = cross_validate(pipeline, X, y, cv=3)
    assert np.array_equal(result["test_score"], expected["test_score"])
    expected = validation_curve(
        pipeline, X, y, param_name="gdregressor__eta0", param_range=RATES["eta0"]
    )
    for a, b in zip(curve, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_halving(fits):
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401

    X, y = linear()
    arguments = dict(resource="max_iter", max_resources=20, cv=3, random_state=0)
    searches = [
        model_selection.HalvingGridSearchCV(clone(REGRESSOR), RATES, **arguments)
        for _ in range(2)
    ]
    searches[0].fit(X, y)
    with joblib.parallel_config("skgd"):
        searches[1].fit(X, y)
    assert fits() == [(12, 12), (6, 6)]
    np.testing.assert_allclose(
        *(search.cv_results_["mean_test_score"] for search in searches), rtol=1e-10
    )


def test_randomized(fits):
    X, y = two_classes()
    distributions = {"eta0": loguniform(1e-3, 0.1), "alpha": loguniform(1e-4, 1.0)}
    arguments = dict(n_iter=12, random_state=3, cv=3)
    plain, ours = (
        cls(CLASSIFIER, distributions, **arguments).fit(X, y)
        for cls in (model_selection.RandomizedSearchCV, RandomizedSearchCV)
    )
    assert fits() == [(36, 36)]
    assert plain.best_params_ == ours.best_params_
    assert plain.best_score_ == ours.best_score_


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_jobs(fits, n_jobs):
    X, y = linear()
    grid = [
        RATES | {"shuffle": [True, False]},
        {"solver": ["sgd"], "batch_size": ["auto"]},
    ]
    compare(REGRESSOR, grid, X, y, n_jobs=n_jobs, cv=3)
    assert fits() == [(24, 27)]
    with joblib.parallel_config(n_jobs=2):
        compare(REGRESSOR, grid, X, y, cv=3)
    with pytest.raises(ValueError, match="n_jobs"):
        GridSearchCV(REGRESSOR, RATES, n_jobs=0).fit(X, y)


def test_a_stack_draws_one_seed(fits):
    """Equal settings get equal models, which separate seeds would not give."""
    X, y = linear()
    model = clone(REGRESSOR).set_params(random_state=None)
    scores = []
    for _ in range(2):
        search = GridSearchCV(model, {"eta0": [0.05, 0.05, 0.05]}, cv=2).fit(X, y)
        scores.append(search.cv_results_["split0_test_score"])
        assert len(set(scores[-1])) == 1
    assert scores[0][0] != scores[1][0]
    assert fits() == [(6, 6), (6, 6)]


def test_stacks_of_limited_memory(fits, monkeypatch):
    X, y = linear()
    monkeypatch.setattr("skgd.search.together.MOST_MODELS", 3)
    compare(REGRESSOR, {"eta0": np.linspace(0.001, 0.1, 10)}, X, y, cv=2)
    assert fits() == [(20, 20)]


def test_a_class_of_rows_that_weigh_nothing(fits):
    X, y = linear()
    labels = np.where(y > 0, "b", "a")
    labels[::4] = "c"
    weight = np.where(labels == "c", 0.0, 1.0)
    compare(CLASSIFIER, RATES, X, labels, cv=3, fit={"sample_weight": weight})
    assert fits() == [(12, 12)]


def test_a_label_of_test_rows_only(fits):
    # A row of it is never right, whichever of the two classes is predicted.
    X, y = linear()
    labels = np.where(y > 0, "b", "a")
    labels[60:] = "c"
    split = [(np.arange(60), np.arange(40, 80))]
    compare(CLASSIFIER, RATES, X, labels, cv=split)
    assert fits() == [(4, 4)]
