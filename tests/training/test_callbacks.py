"""What scikit-learn's callbacks are told, and that they may end training."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import SOLVERS, linear, same_model
from skgd import GDClassifier, GDRegressor
from skgd.training.callbacks import CallbackSupportMixin

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---------------------------------------------------------------------------- callbacks

needs_callbacks = pytest.mark.skipif(
    CallbackSupportMixin.__module__.startswith("skgd"), reason="scikit-learn before 1.9"
)


class Recorder:
    """Keeps what callbacks are told; ends the fit after epoch `stop_at`, or raises."""

    def __init__(self, stop_at=None, raise_at=None):
        self.stop_at = stop_at
        self.raise_at = raise_at
        self.calls = []
        self.estimators = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.calls.append(f"begin {context.task_name}")
        self.data = X, y

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        if context.task_name != "epoch":
            return False
        self.estimators.append(fitted_estimator)
        if context.task_id == self.raise_at:
            raise RuntimeError("no more")
        return context.task_id == self.stop_at


@needs_callbacks
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("eta0", [0.01, "auto"])
def test_callbacks_see_the_current_coefficients_and_may_stop(solver, eta0):
    X, y = load_iris(return_X_y=True, as_frame=True)
    parameters = dict(solver=solver, eta0=eta0, random_state=0, tol=None)
    recorder = Recorder(stop_at=3)
    model = GDClassifier(**parameters).set_callbacks(recorder)
    assert model.fit(X, y) is model
    epochs = ["begin epoch", "end epoch"] * 4
    assert recorder.calls == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert recorder.data[0] is X
    assert recorder.data[1] is y
    assert model.stop_reason_ == "callback"
    assert model.n_iter_ == 4
    for k, seen in enumerate(recorder.estimators, 1):
        assert seen.n_iter_ == len(seen.loss_curve_) == k
        assert seen.loss_curve_ == model.loss_curve_[:k]
        assert seen.predict(X).shape == y.shape
        assert seen.coef_.dtype == model.coef_.dtype
        if eta0 != "auto":
            assert same_model(seen, GDClassifier(**parameters, max_iter=k).fit(X, y))
    if eta0 != "auto":
        # Only the number of epochs tells this model from one that was not stopped.
        assert same_model(seen, model)


@needs_callbacks
def test_an_error_in_a_callback_leaves_the_estimator_as_it_was():
    X, y = linear()
    model = GDRegressor(random_state=0).fit(X, y)
    before = dict(vars(model))
    recorder = Recorder(raise_at=2)
    with pytest.raises(RuntimeError, match="no more"):
        model.set_callbacks(recorder).fit(X[:50], y[:50])
    assert recorder.calls[-1] == "teardown"
    assert {**vars(model)} == {**before, "_skl_callbacks": [recorder]}
    recorder = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        model.set_callbacks(recorder).fit(np.full_like(X, np.nan), y)
    assert recorder.calls == ["setup", "begin fit", "teardown"]
    assert model.coef_ is before["coef_"]


@needs_callbacks
def test_a_callback_is_not_shown_a_diverged_model():
    X, y = make_regression(50, 5, random_state=0)
    recorder = Recorder()
    model = GDRegressor(solver="sgd", eta0=1e10, random_state=0)
    model.set_callbacks(recorder).fit(1e20 * X, y)
    assert model.stop_reason_ == "diverged"
    assert recorder.estimators == [None]
    assert recorder.calls[-3:] == ["end epoch", "end fit", "teardown"]


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_scikit_learns_callbacks_in_a_grid_search(n_jobs, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = linear(60)
    monitor = ScoringMonitor(scoring="r2")
    model = GDRegressor(max_iter=5, tol=None, random_state=0).set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {"gdregressor__eta0": [0.01, "auto"]},
        cv=3,
        n_jobs=n_jobs,
    ).set_callbacks(ProgressBar(max_propagation_depth=None))
    search.fit(X, y)
    assert "GDRegressor" in capsys.readouterr().out
    rows = monitor.get_logs().data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    # Three folds of two candidates, and the best one on all data.
    assert len(epochs) == (3 * 2 + 1) * 5
    refit = [row for row in epochs if row["task_id_path"][0] == 0][-5:]
    assert all(np.isfinite(row["r2"]) for row in refit)
    assert search.best_estimator_[-1].n_iter_ == 5


@needs_callbacks
def test_scikit_learns_callbacks_alone(capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar, ScoringMonitor

    X, y = load_iris(return_X_y=True)
    monitor = ScoringMonitor(scoring="accuracy")
    model = GDClassifier(random_state=0).set_callbacks(monitor, ProgressBar())
    s = np.random.default_rng(0).random(150)
    model.fit(X, y, sample_weight=s)
    assert "GDClassifier - fit" in capsys.readouterr().out
    rows = monitor.get_logs().data
    assert len(rows) == model.n_iter_ + 1
    assert rows[0]["accuracy"] == pytest.approx(model.score(X, y, s))


def test_the_same_model_with_and_without_callbacks():
    if CallbackSupportMixin.__module__.startswith("skgd"):
        assert not hasattr(GDRegressor(), "set_callbacks")
        return
    X, y = linear()
    model = GDRegressor(random_state=0).fit(X, y)
    seen = GDRegressor(random_state=0).set_callbacks(Recorder()).fit(X, y)
    assert same_model(model, seen)
    assert clone(seen).fit(X, y).n_iter_ == model.n_iter_
