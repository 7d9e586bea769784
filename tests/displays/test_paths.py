"""DescentPathDisplay."""

import sys

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import (
    DescentPathDisplay,
    GDClassifier,
    GDRegressor,
    LossCurveDisplay,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("average", [False, True])
def test_path_has_the_coefficients_after_each_update(plt, data, average):
    X, y = data
    settings = dict(
        batch_size=25, max_iter=2, tol=None, random_state=0, average=average,
        learning_rate="invscaling", eta0=0.1, alpha=0.1,
    )  # fmt: skip
    display = DescentPathDisplay.from_estimators(
        {
            "a": GDRegressor(**settings),
            "b": GDRegressor(**{**settings, "solver": "batch", "batch_size": "auto"}),
        },
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


def test_a_path_that_diverged_does_not_set_the_limits(plt, data):
    X, y = data
    settings = dict(
        solver="batch", learning_rate="constant", max_iter=40, tol=None, penalty=None
    )
    names = {"good": 0.1, "bad": 3.0}
    models = {name: GDRegressor(eta0=eta0, **settings) for name, eta0 in names.items()}
    display = DescentPathDisplay.from_estimators(models, X, y)
    alone = DescentPathDisplay.from_estimator(models["good"], X, y)
    assert np.abs(display.paths[1]).max() > 1e6
    for low, high, path in zip(
        *(np.array([display.ax_.get_xlim(), display.ax_.get_ylim()]).T),
        display.paths[0].T, strict=True,
    ):  # fmt: skip
        assert low < path.min()
        assert path.max() < high
        assert high - low < 10 * np.ptp(path)
    assert alone.ax_.get_xlim()[0] >= display.ax_.get_xlim()[0]
    # What is marked is the model returned, which is not the end of the path.
    bad = models["bad"].fit(X, y)
    assert bad.stop_reason_ == "diverged"
    np.testing.assert_array_equal(display.returned[1], bad.coef_[:2])
    squares = [
        line.get_xydata()[0] for line in display.ax_.get_lines()
        if line.get_marker() == "s"
    ]  # fmt: skip
    np.testing.assert_array_equal(squares, display.returned)


def test_contours_are_the_objective(plt):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X[["mean radius", "mean texture", "mean area"]] / 10
    s = np.random.default_rng(0).random(len(y))
    model = GDClassifier(penalty="elasticnet", alpha=0.1, max_iter=30, random_state=0)
    display = DescentPathDisplay.from_estimator(
        model, X, y, coefficients=("mean texture", "intercept"), sample_weight=s,
        grid_resolution=7, limits=((-2.0, 2.0), (-3.0, 3.0)),
    )  # fmt: skip
    fitted = model.fit(X, y, sample_weight=s)
    assert display.paths[0][0, 1] == pytest.approx(
        np.log(s[y == 1].sum() / s[y == 0].sum())  # the best constant model
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
    with pytest.raises(ValueError, match="one target, or two classes"):
        draw(GDRegressor(), X, np.c_[y, y])
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
