"""What is kept of training, and what may end it: history, Ctrl-C, callbacks."""

import io
import pickle
import signal
import threading

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.training.callbacks import CallbackSupportMixin
from skgd.training.record import UpdateRecord

SOLVERS = ("batch", "minibatch", "sgd")
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = quiet


def regression(n=80, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + 0.5 + 0.3 * rng.normal(size=n)


def same_model(a, b):
    return np.array_equal(a.coef_, b.coef_) and np.array_equal(
        a.intercept_, b.intercept_
    )


# ------------------------------------------------------------------- history_


@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("eta0", [0.05, "auto"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss"])
def test_gradient_norm_of_batch(loss, storage, eta0, penalty):
    X, y = regression()
    coef, intercept = np.array([0.05, -0.02, 0.0, 0.1]), np.array([0.4])
    alpha, s = 0.3, np.random.default_rng(1).random(len(y)) + 0.1
    cls = GDRegressor
    losses = {**CLASSIFICATION_LOSSES, **REGRESSION_LOSSES}
    if loss == "log_loss":
        cls, y = GDClassifier, np.sign(y)
    model = cls(
        loss, solver="batch", penalty=penalty, alpha=alpha, eta0=eta0, max_iter=1
    ).fit(storage(X), y, sample_weight=s, coef_init=coef, intercept_init=intercept)
    if eta0 == "auto":
        # The norm is that at the model, which this is.
        np.testing.assert_array_equal(np.ravel(model.coef_), coef)

    function, names = losses[loss]
    function = function(*(getattr(model, name) for name in names))
    _, slopes = function.value_and_slope(y[:, None], (X @ coef + intercept)[:, None])
    slopes = s / s.mean() * slopes[:, 0]
    l1, l2 = {
        None: (0.0, 0.0),
        "l2": (0.0, alpha),
        "l1": (alpha, 0.0),
        "elasticnet": (0.15 * alpha, 0.85 * alpha),
    }[penalty]
    g = X.T @ slopes / len(y) + l2 * coef
    if l1 and eta0 == "auto":
        # The subgradient of least norm.
        small = np.sign(g) * np.maximum(np.abs(g) - l1, 0.0)
        g = np.where(coef == 0.0, small, g + l1 * np.sign(coef))
    elif l1:
        eta = model.history_["eta"][0]
        # The decay by L2 multiplies, as if its gradient were taken first.
        w = (1 - eta * l2) * coef - eta * (g - l2 * coef)
        g = (coef - np.sign(w) * np.maximum(np.abs(w) - eta * l1, 0.0)) / eta
    want = np.sqrt(g @ g + slopes.mean() ** 2)
    if eta0 == "auto" and loss == "huber":
        # Trained by its envelopes, of which this is none.
        assert np.isnan(model.history_["gradient_norm"]).all()
        return
    assert model.history_["gradient_norm"] == [pytest.approx(want, rel=1e-8)]


def test_gradient_norm_falls_to_zero():
    X, y = regression()
    for eta0 in (0.1, "auto"):
        model = GDRegressor(solver="batch", eta0=eta0, tol=0.0).fit(X, y)
        norms = model.history_["gradient_norm"]
        assert norms[-1] < 1e-6 * norms[0]
    model = GDRegressor(eta0=0.01, max_iter=2, solver="sgd").fit(X, y)
    assert np.isnan(model.history_["gradient_norm"]).all()


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_validation_loss(storage, dtype):
    X, y = regression()
    X = X.astype(dtype)
    s = np.random.default_rng(1).random(40) + 0.1
    model = GDRegressor("huber", early_stopping=True, max_iter=1, random_state=0)
    model.fit(
        storage(X[:40]), y[:40], X_val=storage(X[40:]), y_val=y[40:],
        sample_weight_val=s,
    )  # fmt: skip
    values, _ = model._loss().value_and_slope(
        y[40:, None], model.predict(X[40:])[:, None]
    )
    want = np.average(values[:, 0], weights=s)
    assert model.history_["validation_loss"] == [pytest.approx(want, rel=1e-5)]


def test_validation_loss_of_classes_has_their_weights():
    X, y = load_iris(return_X_y=True)
    weights = {0: 1.0, 1: 5.0, 2: 0.5}
    model = GDClassifier(
        early_stopping=True, class_weight=weights, max_iter=1, random_state=0
    ).fit(X, y, X_val=X[::2], y_val=y[::2])
    values = -model.predict_log_proba(X[::2])[np.arange(75), y[::2]]
    want = np.average(values, weights=[weights[label] for label in y[::2]])
    assert model.history_["validation_loss"] == [pytest.approx(want)]


def test_stored_estimators_keep_their_history():
    X, y = regression()
    model = GDRegressor(record="update", random_state=0).fit(X, y)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(file)):
        assert again.history_.keys() == model.history_.keys()
        for key, values in model.history_.items():
            np.testing.assert_array_equal(again.history_[key], values)
        for key, values in model.update_history_.items():
            np.testing.assert_array_equal(again.update_history_[key], values)
        again.partial_fit(X, y)
        assert len(again.history_["objective"]) == model.n_iter_ + 1
    assert not hasattr(clone(model), "history_")
    assert clone(model).record == "update"


# ------------------------------------------------------------- record="update"


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("settings", [{"eta0": 0.01}, {"finish": False}])
def test_record_of_updates(solver, storage, settings):
    X, y = regression(83)
    y = np.digitize(y, [-1.0, 1.0])
    parameters = dict(
        solver=solver, batch_size=10, max_iter=3, random_state=0, penalty="l1",
        alpha=0.01, **settings,
    )  # fmt: skip
    model = GDClassifier(**parameters, record="update").fit(storage(X), y)
    plain = GDClassifier(**parameters).fit(storage(X), y)
    assert same_model(model, plain)
    assert model.history_["objective"] == plain.history_["objective"]
    assert set(model.history_["method"]) == {solver}
    assert not hasattr(plain, "update_history_")

    update, objective = (model.update_history_[key] for key in ("update", "objective"))
    np.testing.assert_array_equal(update, np.arange(1, model.t_))
    n_updates = model.history_["n_updates"][0]
    if settings == {"eta0": 0.01}:
        sizes = [min(10, 83 - start) for start in range(0, 83, 10)]
    else:
        sizes = np.diff(np.arange(n_updates + 1) * 83 // n_updates)
    weights = {"batch": [83], "minibatch": sizes, "sgd": np.ones(83)}[solver]
    # The penalty of an epoch is a mean over updates, not rows.
    np.testing.assert_allclose(
        np.average(objective.reshape(3, -1), axis=1, weights=weights),
        model.history_["objective"],
        rtol=1e-4 if np.ptp(weights) else 1e-12,
    )


def test_record_of_a_fit_with_its_finish():
    X, y = regression()
    model = GDRegressor(record="update", random_state=0).fit(X, y)
    history, updates = model.history_, model.update_history_
    assert history["method"] == ["minibatch"] * 2 + ["quasi-newton"] * (
        model.n_iter_ - 2
    )
    np.testing.assert_array_equal(updates["update"], np.arange(1, model.t_))
    n_finish = model.n_iter_ - 2
    assert list(updates["objective"][-n_finish:]) == history["objective"][2:]


def test_record_has_the_objective_of_each_batch():
    X, y = regression(12)
    model = GDRegressor(
        batch_size=5, eta0=0.1, max_iter=1, shuffle=False, record="update", penalty=None
    ).fit(X, y)
    stops = (0, 5, 10)
    w, b, want = np.zeros(4), 0.0, []
    for start in stops:
        x, t = X[start : start + 5], y[start : start + 5]
        r = x @ w + b - t
        want.append(np.mean(r**2) / 2)
        w, b = w - 0.1 * x.T @ r / len(t), b - 0.1 * r.mean()
    np.testing.assert_allclose(model.update_history_["objective"], want)
    np.testing.assert_allclose(model.coef_, w)


def test_record_goes_on_with_partial_fit_and_starts_anew_with_fit():
    X, y = regression()
    model = GDRegressor(solver="sgd", eta0=0.01, record="update")
    model.partial_fit(X, y).partial_fit(X[:7], y[:7])
    np.testing.assert_array_equal(model.update_history_["update"], np.arange(1, 88))
    model.set_params(max_iter=1).fit(X, y)
    np.testing.assert_array_equal(model.update_history_["update"], np.arange(1, 81))
    model.set_params(record="epoch").fit(X, y)
    assert not hasattr(model, "update_history_")


@pytest.mark.parametrize("per_epoch", [1, 3, 10, 64, 1000])
def test_record_is_bounded(per_epoch):
    record, first = UpdateRecord(size=64), 1
    for _ in range(40):
        record.add(first, np.arange(first, first + per_epoch) / 2)
        first += per_epoch
        if first % 3 == 0:
            record = UpdateRecord(**record.columns(), size=64)  # another call
        assert len(record.columns()["update"]) <= 64
    last = first - 1
    update, objective = record.columns().values()
    every = update[1] - update[0]
    assert every & (every - 1) == 0  # a power of two
    np.testing.assert_array_equal(update, np.arange(every, last + 1, every))
    np.testing.assert_array_equal(objective, update / 2)
    assert len(update) > (31 if last > 64 else last - 1)


# --------------------------------------------------------------------- Ctrl-C


class Interrupts:
    """A constant schedule that sends SIGINT before the epochs listed, once each."""

    def __init__(self, *epochs):
        self.epochs = epochs
        self.calls = 0

    def __call__(self, t, eta0):
        self.calls += 1
        for _ in range(self.epochs.count(self.calls)):
            signal.raise_signal(signal.SIGINT)
        return np.full(np.shape(t), eta0)


def interruptible(*epochs, **parameters):
    return GDRegressor(
        learning_rate=Interrupts(*epochs), eta0=0.01, random_state=0, tol=None,
        **{"max_iter": 20, **parameters},
    )  # fmt: skip


@pytest.fixture
def ctrl_c():
    """Python's own handler, which background jobs of a shell start without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_ends_training_after_the_epoch(ctrl_c, solver):
    X, y = regression()
    model = interruptible(3, solver=solver)
    with pytest.warns(ConvergenceWarning, match="interrupted by user after 3 epochs"):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert model.stop_reason_ == "interrupted"
    assert same_model(model, interruptible(solver=solver, max_iter=3).fit(X, y))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("epochs, max_iter", [((3, 3), 20), ((1,), 1)])
def test_a_second_ctrl_c_and_that_of_a_single_epoch_are_raised(
    ctrl_c, epochs, max_iter
):
    X, y = regression()
    model = interruptible(max_iter=5).fit(X, y)
    before = dict(vars(model))
    model.set_params(learning_rate=Interrupts(*epochs), max_iter=max_iter)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.coef_ is before["coef_"]
    assert model.history_ is before["history_"]
    with pytest.raises(KeyboardInterrupt):
        model.set_params(learning_rate=Interrupts(1)).partial_fit(X, y)
    assert model.coef_ is before["coef_"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_are_left_alone():
    X, y = regression()
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        model = interruptible(2, max_iter=4).fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]
    assert model.n_iter_ == 4


def test_fit_in_a_thread():
    X, y = regression()
    model = interruptible(max_iter=4)
    thread = threading.Thread(target=model.fit, args=(X, y))
    thread.start()
    thread.join()
    assert same_model(model, interruptible(max_iter=4).fit(X, y))


# ------------------------------------------------------------------- callbacks

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
    X, y = regression()
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

    X, y = regression(60)
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
    X, y = regression()
    model = GDRegressor(random_state=0).fit(X, y)
    seen = GDRegressor(random_state=0).set_callbacks(Recorder()).fit(X, y)
    assert same_model(model, seen)
    assert clone(seen).fit(X, y).n_iter_ == model.n_iter_
