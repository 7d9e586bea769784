"""Use as scikit-learn's: data of its kinds, its tools, probabilities."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_classification,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import SOLVERS, classification, regression
from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", SOLVERS)
def test_grid_search_over_learning_rates_in_a_pipeline(solver):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    pipeline = make_pipeline(
        StandardScaler(), GDRegressor(solver=solver, random_state=0)
    )
    search = GridSearchCV(
        pipeline,
        {"gdregressor__eta0": [1e-4, 1e-3, 1e-2, "auto"],
         "gdregressor__learning_rate": ["constant", "invscaling"]},
        n_jobs=2,
    ).fit(X, y)  # fmt: skip
    assert search.best_score_ > 0.45


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "load, cls, least",
    [
        (load_diabetes, GDRegressor, 0.5),
        (load_breast_cancer, GDClassifier, 0.97),
        (load_digits, GDClassifier, 0.94),
    ],
)
def test_defaults_on_real_data(solver, load, cls, least):
    X, y = load(return_X_y=True)
    model = cls(solver=solver, random_state=0)
    if load is not load_digits:
        model = make_pipeline(StandardScaler(), model)
    assert model.fit(X, y).score(X, y) > least


def test_pandas_input_and_history():
    pd = pytest.importorskip("pandas")
    X, y = regression()
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    model = GDRegressor(random_state=0).fit(frame, pd.Series(y))
    assert list(model.feature_names_in_) == list("uvwxyz")
    assert model.predict(frame).shape == y.shape
    table = pd.DataFrame(model.history_)
    assert len(table) == model.n_iter_
    assert list(table["n_updates"].diff()[1:]) == [4] + [1] * (model.n_iter_ - 2)
    assert table["seconds"].is_monotonic_increasing
    assert list(table["objective"]) == model.loss_curve_
    assert list(table) == [
        "objective", "method", "eta", "n_updates", "seconds", "gap", "gradient_norm",
    ]  # fmt: skip
    assert table["gap"].iloc[-1] == model.gap_ <= model.tol
    assert table["objective"].iloc[-1] == model.objective_


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(loss, n_classes):
    X, y = classification()
    y = y == "a" if n_classes == 2 else y
    model = GDClassifier(loss, random_state=0).fit(X, y)
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
    agree = model.classes_[p.argmax(axis=1)] == model.predict(X)
    assert agree.mean() > 0.9


@pytest.mark.parametrize(
    "loss", sorted(set(CLASSIFICATION_LOSSES) - {"log_loss", "modified_huber"})
)
def test_losses_without_probabilities(loss):
    assert not hasattr(GDClassifier(loss), "predict_proba")


def test_probabilities_where_all_classes_are_ruled_out():
    X, y = classification()
    model = GDClassifier("modified_huber", random_state=0).fit(X, y)
    model.coef_[:] = 0.0
    model.intercept_[:] = -5.0
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_many_classes(storage):
    X, y = make_classification(
        800, 30, n_informative=20, n_classes=20, n_clusters_per_class=1, random_state=0
    )
    model = GDClassifier(random_state=0).fit(storage(X), y)
    assert model.coef_.shape == (20, 30)
    assert model.score(X, y) > 0.5
