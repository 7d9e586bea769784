"""What is kept of training: history_, and the record of updates."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_iris

from samples import SOLVERS, STORED, linear, regression, same_model
from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.training.record import UpdateRecord

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ----------------------------------------------------------------------------- history_


@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("eta0", [0.05, "auto"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss"])
def test_gradient_norm_of_batch(loss, storage, eta0, penalty):
    X, y = linear()
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


@pytest.mark.parametrize("eta0", [0.1, "auto"])
def test_gradient_norm_falls_to_zero(eta0):
    X, y = linear()
    model = GDRegressor(solver="batch", eta0=eta0, tol=0.0).fit(X, y)
    norms = model.history_["gradient_norm"]
    assert norms[-1] < 1e-6 * norms[0]


def test_single_rows_have_no_gradient_norm():
    X, y = linear()
    model = GDRegressor(eta0=0.01, max_iter=2, solver="sgd").fit(X, y)
    assert np.isnan(model.history_["gradient_norm"]).all()


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_validation_loss(storage, dtype):
    X, y = linear()
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


@pytest.mark.parametrize("how", STORED)
def test_stored_estimators_keep_their_history(how):
    X, y = linear()
    model = GDRegressor(record="update", random_state=0).fit(X, y)
    again = STORED[how](model)
    assert again.history_.keys() == model.history_.keys()
    for key, values in model.history_.items():
        np.testing.assert_array_equal(again.history_[key], values)
    for key, values in model.update_history_.items():
        np.testing.assert_array_equal(again.update_history_[key], values)
    again.partial_fit(X, y)
    assert len(again.history_["objective"]) == model.n_iter_ + 1


def test_clones_have_no_history():
    X, y = linear()
    model = GDRegressor(record="update", random_state=0).fit(X, y)
    assert not hasattr(clone(model), "history_")
    assert clone(model).record == "update"


def test_history_has_equal_lengths_after_early_stopping_and_partial_fit():
    X, y = regression()
    model = GDRegressor(early_stopping=True, random_state=0, max_iter=4).fit(X, y)
    model.set_params(early_stopping=False).partial_fit(X, y)
    assert {len(column) for column in model.history_.values()} == {5}
    assert np.isnan(model.history_["validation_score"][-1])


def test_verbose_prints_a_line_an_epoch(capsys):
    X, y = regression()
    GDRegressor(verbose=1, max_iter=3, tol=None, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == "ended after 3 epochs: max_iter"
    assert len(lines) == 3
    assert lines[2].startswith("epoch    3  objective")
    assert "validation score" in lines[2]


# ---------------------------------------------------------------------- record="update"


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("settings", [{"eta0": 0.01}, {"finish": False}])
def test_record_of_updates(solver, storage, settings):
    X, y = linear(83)
    y = np.digitize(y, [-1.0, 1.0])
    parameters = dict(
        solver=solver, batch_size=10 if solver == "minibatch" else "auto", max_iter=3,
        random_state=0, penalty="l1", alpha=0.01, **settings,
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
    X, y = linear()
    model = GDRegressor(record="update", random_state=0).fit(X, y)
    history, updates = model.history_, model.update_history_
    assert history["method"] == ["minibatch"] * 2 + ["quasi-newton"] * (
        model.n_iter_ - 2
    )
    np.testing.assert_array_equal(updates["update"], np.arange(1, model.t_))
    n_finish = model.n_iter_ - 2
    assert list(updates["objective"][-n_finish:]) == history["objective"][2:]


def test_record_has_the_objective_of_each_batch():
    X, y = linear(12)
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
    X, y = linear()
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
