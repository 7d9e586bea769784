"""Searches against those of scikit-learn, and how many fits were trained together."""

import logging
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.model_selection import GroupKFold, cross_validate, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import classification, linear
from skgd import GDClassifier, GDRegressor, GridSearchCV, RandomizedSearchCV
from skgd.search import fold

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RATES = {"eta0": [0.001, 0.01, 0.03, 0.1]}
REGRESSOR = GDRegressor(max_iter=5, tol=None, random_state=0, batch_size=8)
CLASSIFIER = GDClassifier(max_iter=5, tol=None, random_state=0, batch_size=8)


def two_classes(n=90):
    X, y = linear(n)
    return X, np.where(y > 0.3, "yes", "no")


def prefixed(grid, name):
    return {f"{name}__{key}": values for key, values in grid.items()}


@pytest.fixture
def fits(caplog):
    """How many fits were trained together, and how many there were, of each search."""
    caplog.set_level(logging.INFO, "skgd.search")

    def found():
        texts = [re.match(r"(\d+) of (\d+) fits", m) for m in caplog.messages]
        caplog.clear()
        return [(int(text[1]), int(text[2])) for text in texts]

    return found


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


class Fails(Counting):
    def fit(self, X, y=None):
        raise KeyError("no such column")


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


def alone(name):
    X, y = linear()
    grid = RATES
    if name == "csr":
        X = sp.csr_array(X)
    elif name == "lists":
        X = X.tolist()
    elif name == "sgd":
        grid = RATES | {"solver": ["sgd"], "batch_size": ["auto"]}
    elif name == "targets":
        y = np.column_stack([y, -y])
    elif name == "classes":
        return (CLASSIFIER, RATES, *classification())
    elif name == "another estimator":
        return Ridge(), {"alpha": [0.1, 1.0]}, X, y
    return REGRESSOR, grid, X, y


@pytest.mark.parametrize(
    "name", ["csr", "lists", "sgd", "targets", "classes", "another estimator"]
)
def test_what_is_fitted_alone(fits, name):
    model, grid, X, y = alone(name)
    plain, ours = (
        cls(model, grid, cv=2).fit(X, y)
        for cls in (model_selection.GridSearchCV, GridSearchCV)
    )
    n = 2 * len(ours.cv_results_["params"])
    assert fits() == [(0, n)]
    for key in ("split0_test_score", "split1_test_score"):
        assert np.array_equal(plain.cv_results_[key], ours.cv_results_[key])


def test_auto_beside_numbers(fits):
    X, y = linear()
    compare(REGRESSOR, {"eta0": [0.01, "auto", 0.1]}, X, y, cv=2)
    assert fits() == [(4, 6)]


def test_an_unknown_version_of_scikit_learn_is_slower_only(fits, monkeypatch):
    monkeypatch.setattr(fold, "IS_KNOWN", False)
    compare(REGRESSOR, RATES, *linear(), cv=2)
    assert fits() == [(0, 8)]


def test_this_version_of_scikit_learn_is_known():
    assert fold.IS_KNOWN


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("score", [np.nan, -7.0])
def test_settings_that_fail(fits, score):
    X, y = linear()
    grid = {"eta0": [0.01, -1.0, 0.1]}
    kwargs = dict(cv=2, error_score=score, refit=False)
    with pytest.warns(model_selection._validation.FitFailedWarning, match="2 fits"):
        ours = GridSearchCV(REGRESSOR, grid, **kwargs).fit(X, y)
    scores = ours.cv_results_["mean_test_score"]
    assert np.array_equal(scores[1], score, equal_nan=True)
    assert scores[0] > 0.0 and fits() == [(4, 6)]
    with pytest.raises(ValueError, match="eta0"):
        GridSearchCV(REGRESSOR, grid, cv=2, error_score="raise").fit(X, y)


def test_data_and_transformers_that_fail(fits):
    X, y = linear()
    Z = X.copy()
    Z[3, 1] = np.nan
    for model, X_, grid, error in (
        (REGRESSOR, Z, RATES, "NaN"),
        (
            make_pipeline(Fails(), REGRESSOR),
            X,
            prefixed(RATES, "gdregressor"),
            "column",
        ),
    ):
        messages = []
        for cls in (model_selection.GridSearchCV, GridSearchCV):
            with pytest.raises((ValueError, KeyError), match=error) as caught:
                cls(model, grid, cv=2, error_score="raise").fit(X_, y)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_scorers_that_fail(fits):
    def scorer(model, X, y):
        raise ZeroDivisionError("a scorer")

    X, y = linear()
    search = GridSearchCV(REGRESSOR, RATES, scoring=scorer, cv=2, refit=False)
    with pytest.warns(UserWarning, match="Scoring failed"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).all()
    assert fits() == [(8, 8)]


def test_one_warning_for_all_fits():
    X, y = linear()
    grid = [
        {"eta0": [1e-5, 2e-5, 1e3], "max_iter": [3]},
        {"eta0": [0.1], "max_iter": [200], "tol": [0.01]},
    ]
    search = GridSearchCV(GDRegressor(random_state=0), grid, cv=3, refit=False)
    with pytest.warns(ConvergenceWarning) as caught:
        search.fit(X, y)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("Of 12 fits that were trained together, ")
    assert "3 diverged (eta0 1e+03)" in text
    assert "6 ended at max_iter, still gaining (eta0 from 1e-05 to 2e-05)" in text


def test_nothing_to_warn_of():
    X, y = linear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GridSearchCV(REGRESSOR, {"eta0": [0.03, 0.1]}, cv=3).fit(X, y)


def test_times_are_shared():
    X, y = linear()
    search = GridSearchCV(REGRESSOR, RATES, cv=3).fit(X, y)
    assert len(set(search.cv_results_["mean_fit_time"])) == 1
    assert (search.cv_results_["mean_fit_time"] > 0).all()


def test_several_classes_of_wine_are_searched_as_before():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), CLASSIFIER)
    compare(pipeline, prefixed(RATES, "gdclassifier"), X, y, cv=3, tolerance=0.0)


def test_other_work_of_the_backend():
    with joblib.parallel_config("skgd", n_jobs=2):
        parallel = joblib.Parallel()
        assert parallel(joblib.delayed(pow)(k, 2) for k in range(7)) == [
            k**2 for k in range(7)
        ]
        assert joblib.Parallel(batch_size=3)(
            joblib.delayed(abs)(-k) for k in range(7)
        ) == list(range(7))
        with pytest.raises(ZeroDivisionError):
            parallel(joblib.delayed(divmod)(1, k) for k in range(2))
        assert joblib.effective_n_jobs(2) in (1, 2)
