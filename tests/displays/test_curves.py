"""LossCurveDisplay."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import (
    GDRegressor,
    LossCurveDisplay,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
    each = ["updates, each update"] if x == "update" else []
    want = ["plain", "stopped", "validation loss", *each, "updates"]
    assert labels == want
    assert display.ax_.get_xscale() == ("log" if x == "update" else "linear")
    styles = {(line.get_color(), line.get_linestyle()) for line in display.lines_}
    assert len(styles) == 3


def test_the_star_is_the_model_returned(plt, models):
    display = LossCurveDisplay.from_estimators(models, optimum=1.0)
    for mark, model in zip(display.best_, models.values(), strict=True):
        assert mark.get_ydata()[0] == model.objective_ - 1.0
    at = [mark.get_xdata()[0] for mark in display.best_]
    plain, stopped, updates = models.values()
    assert at[0] == plain.n_iter_
    assert at[1] == 1 + np.argmax(stopped.history_["validation_score"])
    assert at[2] == updates.n_iter_
    assert LossCurveDisplay.from_estimators(models, mark_best=False).best_ == [None] * 3


@pytest.mark.parametrize("x, start", [("epoch", 0), ("second", 0), ("update", 2)])
def test_the_star_of_a_start_that_nothing_was_better_than(plt, data, x, start):
    X, y = data
    best = Ridge(alpha=1e-10).fit(X, y)
    model = GDRegressor(eta0=100.0, penalty=None).fit(
        X, y, coef_init=best.coef_, intercept_init=[best.intercept_]
    )
    assert model.t_ == 1
    display = LossCurveDisplay.from_estimator(model, x=x)
    star = display.best_[0].get_xdata()[0], display.best_[0].get_ydata()[0]
    assert star == (start, model.objective_)


@pytest.mark.parametrize("yscale", ["log", "linear"])
@pytest.mark.parametrize("eta0", [10.0, 1e160, 1e300])
def test_a_curve_that_diverged_does_not_stretch_the_axis(plt, data, yscale, eta0):
    X, y = data
    good = GDRegressor(eta0=0.1, random_state=0).fit(X, y)
    bad = GDRegressor(eta0=eta0, max_iter=40, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimators([good, bad], yscale=yscale)
    low, high = display.ax_.get_ylim()
    start = good.loss_curve_[0]
    assert start < high < 1e4 * start
    assert low < good.objective_
    if yscale == "log":
        assert low > 0.5 * good.objective_
    assert display.clipped_[0] is None
    place, height = display.clipped_[1].get_xydata()[0]
    assert height == high
    curve = np.array(bad.loss_curve_)
    assert place == 1 + np.flatnonzero(~(curve <= high))[0]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), curve)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    shown = ["GDRegressor 1"] if curve[0] <= high else []
    assert labels == ["GDRegressor 0", *shown, "GDRegressor 1, diverged"]
    display.figure_.canvas.draw()


def test_a_curve_that_rises_a_little_is_drawn_in_full(plt, data):
    X, y = data
    inputs = np.c_[X, np.ones(60)]
    limit = 2 / np.linalg.eigvalsh(inputs.T @ inputs / 60)[-1]
    model = GDRegressor(solver="batch", eta0=1.1 * limit, max_iter=12, tol=None)
    model.set_params(learning_rate="constant").fit(X, y)
    assert model.stop_reason_ == "diverged"
    display = LossCurveDisplay.from_estimator(model)
    assert display.clipped_ == [None]
    assert display.ax_.get_ylim()[1] > max(model.loss_curve_)


@pytest.mark.parametrize(
    "objective, label",
    [
        ([1.0, np.inf, 0.5], "a, off the axes"),
        ([1.0, 1e9, 1e19], "a, diverged"),
        ([1.0, 0.5, np.nan], "a, diverged"),
    ],
)
def test_a_curve_off_the_axes_is_said_to_have_diverged_if_it_did(plt, objective, label):
    display = LossCurveDisplay(histories=[{"objective": objective}], names=["a"])
    display.plot()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["a", label]
    assert display.ax_.get_ylim()[1] == 1e3


def test_curves_of_nothing(plt):
    assert LossCurveDisplay.from_estimators([]).lines_ == []


def test_legend_is_beside_new_axes(plt, models):
    display = LossCurveDisplay.from_estimators(models)
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert legend.x1 <= display.figure_.bbox.x1


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
    star = display.best_[0]
    assert star.get_xydata().tolist() == [[0, model.objective_]]
    assert display.clipped_[0].get_xdata() == [1]
    display.figure_.canvas.draw()
