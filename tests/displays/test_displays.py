"""Displays and the table of compare_estimators."""

import builtins
import sys

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    make_classification,
    make_regression,
)
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skgd import (
    DescentPathDisplay,
    GDClassifier,
    GDRegressor,
    LossCurveDisplay,
    compare_estimators,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return make_regression(60, 3, noise=10.0, random_state=0)


@pytest.fixture(scope="module")
def models(data):
    X, y = data
    return {
        "plain": GDRegressor(random_state=0).fit(X, y),
        "stopped": GDRegressor(early_stopping=True, random_state=0).fit(X, y),
        "updates": GDRegressor(eta0=0.1, record="update", random_state=0).fit(X, y),
    }


# ------------------------------------------------------------ LossCurveDisplay


@pytest.mark.parametrize("x", ["epoch", "update", "second"])
def test_loss_curves(plt, models, x):
    display = LossCurveDisplay.from_estimators(models, x=x, optimum=1.0)
    assert display.ax_.get_yscale() == "log"
    assert display.figure_ is display.ax_.figure
    column = {"update": "n_updates", "second": "seconds"}.get(x)
    for line, model in zip(display.lines_, models.values(), strict=True):
        history = model.history_
        at = history[column] if column else np.arange(1, model.n_iter_ + 1)
        np.testing.assert_allclose(line.get_xdata(), at)
        np.testing.assert_allclose(
            line.get_ydata(), np.array(history["objective"]) - 1.0
        )
    assert [line is None for line in display.validation_lines_] == [True, False, True]
    np.testing.assert_allclose(
        display.validation_lines_[1].get_ydata(),
        np.array(models["stopped"].history_["validation_loss"]) - 1.0,
    )
    drawn = [line is not None for line in display.update_lines_]
    assert drawn == [False, False, x == "update"]
    if x == "update":
        np.testing.assert_allclose(
            display.update_lines_[2].get_ydata(),
            models["updates"].update_history_["objective"] - 1.0,
        )
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["plain", "stopped", "stopped, validation loss", "updates"]
    styles = {(line.get_color(), line.get_linestyle()) for line in display.lines_}
    assert len(styles) == 3


def test_best_epochs_are_marked(plt, models):
    display = LossCurveDisplay.from_estimators(models)
    plain, stopped, _ = (model.history_ for model in models.values())
    at = [mark.get_xdata()[0] for mark in display.best_]
    assert at[0] == 1 + np.argmin(plain["objective"])
    assert at[1] == 1 + np.argmax(stopped["validation_score"])
    assert LossCurveDisplay.from_estimators(models, mark_best=False).best_ == [None] * 3


def test_curve_of_a_pipeline_on_given_axes(plt, data):
    pipeline = make_pipeline(StandardScaler(), GDRegressor(max_iter=5)).fit(*data)
    _, ax = plt.subplots()
    display = LossCurveDisplay.from_estimator(
        pipeline, ax=ax, yscale="linear", line_kw={"color": "red"}
    )
    assert display.ax_ is ax
    assert display.names == ["GDRegressor"]
    assert ax.get_yscale() == "linear"
    assert display.lines_[0].get_color() == "red"
    assert LossCurveDisplay.from_estimator(pipeline, name="mine").names == ["mine"]


def test_curves_that_cannot_be_drawn(plt, models, data):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(GDRegressor())
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(GridSearchCV(GDRegressor(), {}))
    with pytest.raises(TypeError, match="Ridge has no history_"):
        LossCurveDisplay.from_estimator(Ridge().fit(*data))
    search = GridSearchCV(GDRegressor(), {"alpha": [0.1]}, refit=False).fit(*data)
    with pytest.raises(TypeError, match="searches with refit=True"):
        LossCurveDisplay.from_estimator(search)
    mlp = MLPRegressor(max_iter=2).fit(*data)
    with pytest.raises(ValueError, match="'MLPRegressor' has no seconds"):
        LossCurveDisplay.from_estimator(mlp, x="second")
    with pytest.raises(ValueError, match="x must be one of"):
        LossCurveDisplay.from_estimators(models, x="epochs")
    with pytest.raises(ValueError, match="2 names are given for 3 estimators"):
        LossCurveDisplay.from_estimators(list(models.values()), names=["a", "b"])
    with pytest.raises(ValueError, match="keys of estimators"):
        LossCurveDisplay.from_estimators(models, names=["a", "b", "c"])


def test_curves_of_others(plt, data):
    X, y = data
    search = GridSearchCV(
        make_pipeline(StandardScaler(), GDRegressor(eta0=0.1, random_state=0)),
        {"gdregressor__alpha": [0.1, 0.01]},
    )
    piped = make_pipeline(StandardScaler(), search)
    mlp = MLPRegressor(max_iter=7, early_stopping=True, random_state=0)
    display = LossCurveDisplay.from_estimators([piped.fit(X, y), mlp.fit(X, y)])
    assert display.names == ["GridSearchCV", "MLPRegressor"]
    best = search.best_estimator_[-1]
    for line, model in zip(display.lines_, (best, mlp), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), model.loss_curve_)


def test_curve_of_training_that_diverged_at_once(plt, data):
    X, y = data
    model = GDRegressor(eta0=1e300, max_iter=3).fit(X, y)
    display = LossCurveDisplay.from_estimator(model)
    assert not np.isfinite(model.loss_curve_).any()
    assert display.best_ == [None]
    display.figure_.canvas.draw()


# ---------------------------------------------------------- DescentPathDisplay


@pytest.mark.parametrize("average", [False, True])
def test_path_has_the_coefficients_after_each_update(plt, data, average):
    X, y = data
    settings = dict(
        batch_size=25, max_iter=2, tol=None, random_state=0, average=average,
        learning_rate="invscaling", eta0=0.1, alpha=0.1,
    )  # fmt: skip
    display = DescentPathDisplay.from_estimators(
        {"a": GDRegressor(**settings), "b": GDRegressor(solver="batch", **settings)},
        X, y, coefficients=(2, "intercept"), coef_init=[1.0, 2.0, 3.0],
        intercept_init=[4.0],
    )  # fmt: skip
    assert [len(path) for path in display.paths] == [1 + 2 * 3, 1 + 2]
    for path in display.paths:
        np.testing.assert_array_equal(path[0], [3.0, 4.0])
    ours = GDRegressor(**settings).fit(
        X, y, coef_init=[1.0, 2.0, 3.0], intercept_init=[4.0]
    )
    np.testing.assert_allclose(
        display.paths[0][-1], [ours.coef_[2], ours.intercept_[0]], rtol=1e-12
    )
    W, b = np.array([1.0, 2.0, 3.0]), 4.0
    first = np.random.default_rng([0, 1]).permutation(60)[:25]
    r = X[first] @ W + b - y[first]
    W = (1 - 0.1 * 0.1) * W - 0.1 * X[first].T @ r / 25
    np.testing.assert_allclose(display.paths[0][1], [W[2], b - 0.1 * r.mean()])


def test_path_of_the_autopilot_has_a_point_an_epoch(plt, data):
    X, y = data
    model = GDRegressor(max_iter=4, tol=None, random_state=0)
    display = DescentPathDisplay.from_estimator(model, X, y, name="auto")
    assert display.paths[0].shape == (5, 2)
    assert display.names == ["auto"]
    assert not hasattr(model, "coef_")


def test_path_of_training_that_diverged(plt, data):
    with pytest.warns(ConvergenceWarning, match="diverged"):
        display = DescentPathDisplay.from_estimator(
            GDRegressor(eta0=1e3, random_state=0), *data
        )
    assert np.isfinite(display.objective).all()
    display.figure_.canvas.draw()


def test_contours_are_the_objective(plt):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X[["mean radius", "mean texture", "mean area"]] / 10
    s = np.random.default_rng(0).random(len(y))
    model = GDClassifier(penalty="elasticnet", alpha=0.1, max_iter=30, random_state=0)
    display = DescentPathDisplay.from_estimator(
        model, X, y, coefficients=("mean texture", "intercept"), sample_weight=s,
        grid_resolution=7, limits=((-2.0, 2.0), (-3.0, 3.0)),
    )  # fmt: skip
    fitted = model.fit(
        X, y, sample_weight=s, coef_init=np.zeros(3), intercept_init=np.zeros(1)
    )
    w = fitted.coef_[0].copy()
    w[1], b = display.x[5], display.y[2]
    margin = np.where(y == 1, 1, -1) * (X.to_numpy() @ w + b)
    want = np.average(np.logaddexp(0.0, -margin), weights=s) + 0.1 * (
        0.85 / 2 * w @ w + 0.15 * np.abs(w).sum()
    )
    assert display.objective[2, 5] == pytest.approx(want)
    assert display.labels == ("mean texture", "intercept_")
    assert display.ax_.get_xlim() == (-2.0, 2.0)


def test_path_of_one_feature(plt, data):
    X, y = data
    model = GDRegressor(eta0=0.1, random_state=0)
    display = DescentPathDisplay.from_estimator(model, X[:, :1], y)
    assert display.labels == ("coef_[0]", "intercept_")
    same = DescentPathDisplay.from_estimator(
        model, X[:, :1], y, coefficients=(0, "intercept_")
    )
    np.testing.assert_array_equal(display.paths[0], same.paths[0])
    with pytest.raises(ValueError, match="There is one coefficient"):
        DescentPathDisplay.from_estimator(GDRegressor(fit_intercept=False), X[:, :1], y)


def test_path_of_a_pipeline(plt):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    settings = dict(eta0=0.1, max_iter=3, tol=None, random_state=0)
    coefficients = ("mean texture", "intercept_")
    display = DescentPathDisplay.from_estimators(
        [
            make_pipeline(StandardScaler(), GDClassifier(**settings)),
            make_pipeline(make_pipeline(StandardScaler()), GDClassifier(**settings)),
        ],
        X, y, coefficients=coefficients, grid_resolution=5,
    )  # fmt: skip
    assert display.labels == coefficients
    plain = DescentPathDisplay.from_estimator(
        GDClassifier(**settings), StandardScaler().fit_transform(X), y,
        coefficients=(1, "intercept"), grid_resolution=5,
    )  # fmt: skip
    for path in display.paths:
        np.testing.assert_allclose(path, plain.paths[0])
    np.testing.assert_allclose(display.objective, plain.objective)
    with pytest.raises(ValueError, match="hand the same features"):
        DescentPathDisplay.from_estimators(
            [
                make_pipeline(StandardScaler(), GDClassifier(**settings)),
                make_pipeline("passthrough", GDClassifier(**settings)),
            ],
            X, y,
        )  # fmt: skip


@pytest.mark.parametrize(
    "coefficients, message",
    [
        ((0, 3), "no feature of X"),
        ((-1, 0), "no feature of X"),
        ((0, "a"), "no feature of X"),
        ((1, 1), "two different ones"),
        ((0,), "two different ones"),
        ((0, 1, 2), "two different ones"),
    ],
)
def test_coefficients_that_cannot_be_drawn(plt, data, coefficients, message):
    with pytest.raises(ValueError, match=message):
        DescentPathDisplay.from_estimator(
            GDRegressor(), *data, coefficients=coefficients
        )


def test_paths_that_cannot_be_drawn(plt, data):
    X, y = data
    draw = DescentPathDisplay.from_estimator
    with pytest.raises(ValueError, match="one target, or two classes"):
        draw(GDClassifier(), *load_iris(return_X_y=True))
    with pytest.raises(ValueError, match="minimise the same objective"):
        DescentPathDisplay.from_estimators(
            [GDRegressor(), GDRegressor(alpha=1.0)], X, y
        )
    with pytest.raises(TypeError, match="Got Ridge"):
        draw(Ridge(), X, y)
    with pytest.raises(ValueError, match="no intercept"):
        draw(GDRegressor(fit_intercept=False), X, y, coefficients=(0, "intercept"))
    with pytest.raises(ValueError, match="coef_init does not match"):
        draw(GDRegressor(), X, y, coef_init=[1.0])


@pytest.mark.parametrize("missing", [LossCurveDisplay, DescentPathDisplay])
def test_without_matplotlib(missing, models, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=f"{missing.__name__}.* requires matplotlib"):
        missing.from_estimators(
            models, *(data if missing is DescentPathDisplay else ())
        )


# ---------------------------------------------------------- compare_estimators


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
