"""What is fitted alone, what fails, and what a search warns of."""

import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import model_selection
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import classification, linear
from searches import CLASSIFIER, RATES, REGRESSOR, compare, prefixed
from skgd import GDRegressor, GridSearchCV
from skgd.search import fold

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Fails(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        raise KeyError("no such column")

    def transform(self, X):
        return X


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
    elif name == "several labels":
        return CLASSIFIER, RATES, X, np.column_stack([y > 0, y > 1]).astype(int)
    elif name == "classes":
        return (CLASSIFIER, RATES, *classification())
    elif name == "another estimator":
        return Ridge(), {"alpha": [0.1, 1.0]}, X, y
    return REGRESSOR, grid, X, y


@pytest.mark.parametrize(
    "name",
    [
        "csr", "lists", "sgd", "targets", "classes", "several labels",
        "another estimator",
    ],
)  # fmt: skip
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


def test_offsets_are_fitted_alone(fits):
    X, y = linear()
    search = GridSearchCV(REGRESSOR, RATES, cv=2, refit=False)
    with pytest.warns(UserWarning, match="scored without it"):
        search.fit(X, y, offset=np.ones(len(y)))
    assert fits() == [(0, 8)]


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
