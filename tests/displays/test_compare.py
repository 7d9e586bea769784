"""The table of compare_estimators."""

import builtins

import numpy as np
import pytest
from sklearn.datasets import (
    load_iris,
    make_classification,
)
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skgd import (
    GDClassifier,
    GDRegressor,
    compare_estimators,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_comparison(data):
    pd = pytest.importorskip("pandas")
    X, y = data
    same = dict(learning_rate="constant", eta0=0.01, max_iter=7, tol=None, alpha=0.1)
    table = compare_estimators(
        {
            "sgd": SGDRegressor(shuffle=False, **same),
            "ours": GDRegressor(solver="sgd", shuffle=False, **same),
            "piped": make_pipeline(StandardScaler(), GDRegressor(**same)),
            "ridge": Ridge(alpha=0.1 * len(y)),
            "mean": DummyRegressor(),
        },
        X, y, X_test=X[:20], y_test=y[:20], n_repeats=2,
    )  # fmt: skip
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == ["sgd", "ours", "piped", "ridge", "mean"]
    a, b = table.loc["sgd"], table.loc["ours"]
    np.testing.assert_allclose(
        a.drop("seconds").astype(float), b.drop("seconds").astype(float)
    )
    assert b["epochs"] == 7
    assert b["updates"] == 7 * 60
    assert table.loc["piped", "updates"] == 7 * 2
    model = GDRegressor(solver="sgd", shuffle=False, **same).fit(X, y)
    assert b["score"] == model.score(X[:20], y[:20])
    want = np.mean((y - model.predict(X)) ** 2) / 2 + 0.05 * model.coef_ @ model.coef_
    assert b["objective"] == pytest.approx(want, rel=1e-12)
    # Of this objective, ridge regression has the least value.
    assert table["objective"].idxmin() == "ridge"
    assert np.isnan(table.loc["mean", "objective"])
    assert table.loc["mean", ["epochs", "updates"]].isna().all()
    assert (table["seconds"] > 0).all()


def test_comparison_of_classifiers():
    X, y = load_iris(return_X_y=True)
    table = compare_estimators(
        [GDClassifier(random_state=0), LogisticRegression(max_iter=1000)], X, y
    )
    assert np.isfinite(np.asarray(table["objective"])).all()
    assert np.isnan(np.asarray(table["updates"])).tolist() == [False, True]


def test_comparison_with_coefficients_of_another_shape():
    X, y = make_classification(n_classes=4, n_informative=4, random_state=0)
    models = {"ours": GDClassifier(random_state=0), "pairs": SVC(kernel="linear")}
    table = compare_estimators(models, X, y)  # four classes make six pairs
    assert np.isnan(np.asarray(table["objective"])).tolist() == [False, True]


def test_comparison_of_other_estimators_only(data):
    table = compare_estimators([Ridge(), Ridge(alpha=2.0)], *data)
    assert list(table.index) == ["Ridge 0", "Ridge 1"]
    assert table["objective"].isna().all()


def test_comparison_without_pandas(data, monkeypatch):
    def without_pandas(name, *args):
        if name == "pandas":
            raise ImportError
        return importing(name, *args)

    importing = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_pandas)
    table = compare_estimators([GDRegressor(max_iter=2)], *data)
    assert list(table) == [
        "estimator", "score", "epochs", "updates", "seconds", "objective",
    ]  # fmt: skip
    assert {len(column) for column in table.values()} == {1}


def test_comparison_wants_both_of_the_test_data(data):
    X, y = data
    with pytest.raises(ValueError, match="together"):
        compare_estimators([Ridge()], X, y, X_test=X)
