"""What training says of its end is true."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from objectives import constant_objective, objective, suboptimality
from samples import SOLVERS, model_of, targets_of
from skgd import GDClassifier, GDRegressor

# ------------------------------------------------------------------------- what it says


def fit_and_warnings(**parameters):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GDRegressor(random_state=0, **parameters)
        model.fit(*load_diabetes(return_X_y=True))
    return model, [str(w.message) for w in caught]


@pytest.mark.parametrize(
    "parameters, reason, message",
    [
        ({}, "converged", None),
        ({"loss": "quantile", "max_iter": 5}, "max_iter", "increasing max_iter"),
        (
            {"loss": "poisson", "tol": 1e-300, "max_iter": 10_000},
            "stalled",
            None,  # what is left is not to be told from nothing
        ),
        ({"finish": False}, "no_progress", None),
        (
            {"loss": "huber", "early_stopping": True, "n_iter_no_change": 1},
            "early_stopping",
            None,
        ),
        ({"eta0": 1e3}, "diverged", "too large"),
        (
            {"eta0": 1e-6, "learning_rate": "constant", "max_iter": 50},
            "max_iter",
            "times smaller than a stable step",
        ),
        ({"eta0": 0.5, "max_iter": 5000, "batch_size": 442}, "no_progress", None),
        ({"max_iter": 3, "tol": None, "loss": "poisson"}, "max_iter", None),
    ],
)
def test_every_reason_to_stop(parameters, reason, message):
    model, messages = fit_and_warnings(**parameters)
    assert model.stop_reason_ == reason
    if message is None:
        assert messages == []
    else:
        assert message in messages[0]
    if reason == "stalled":
        assert model.gap_ < 1e-10
    if reason == "diverged":
        assert np.isnan(model.gap_)
    if parameters.get("loss") == "quantile":
        assert f"About {model.gap_:.1g} of the gain" in messages[0]


def test_early_stopping_warns_of_nothing():
    model, messages = fit_and_warnings(early_stopping=True)
    assert model.stop_reason_ in ("early_stopping", "converged") and not messages


def test_rounding_errors_of_data_are_a_reason_to_stop():
    X, y = load_diabetes(scaled=False, return_X_y=True)
    single = (X + 1e7).astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="no step lowers the objective"):
        model = GDRegressor(random_state=0).fit(single, y)
    assert model.stop_reason_ == "stalled" and model.gap_ > model.tol
    assert model.objective_ == pytest.approx(objective(model, single, y), rel=1e-6)


@pytest.mark.parametrize("factor", [1.01, 1.03, 1.5, 100.0])
def test_a_step_just_too_large_diverges(factor):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * [1.0, 1.0, 10.0]
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=200)
    Z = np.column_stack([X, np.ones(200)])
    eta0 = factor * 2.0 / np.linalg.eigvalsh(Z.T @ Z / 200)[-1]
    model = GDRegressor(
        solver="batch", penalty=None, eta0=eta0, learning_rate="constant"
    )
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y)
    assert model.stop_reason_ == "diverged"
    # The best epoch's coefficients are kept.
    assert objective(model, X, y) == pytest.approx(min(model.loss_curve_))


def test_a_curve_that_falls_again_has_not_diverged():
    # Steps of 'optimal' begin too long and fall.
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = GDClassifier(
        solver="sgd", learning_rate="optimal", alpha=1e-3, tol=None, max_iter=30,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.loss_curve_[0] > model.loss_curve_[-1]
    assert model.stop_reason_ == "max_iter"


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("eta0", [1e-7, 1e-5, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_textbook_fits_are_never_worse_than_a_constant_in_silence(solver, eta0, scaled):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X) if scaled else X
    model = GDClassifier(solver=solver, eta0=eta0, random_state=0, max_iter=100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert model.stop_reason_ != "converged"
    if objective(model, X, y) > constant_objective(model, X, y):
        assert caught


def test_advice_for_optimal_names_no_step():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    model = GDRegressor(learning_rate="optimal", random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    message = str(caught[0].message)
    assert "learning_rate='auto' with eta0='auto'" in message
    assert "set eta0=" not in message


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile"])
def test_a_penalty_that_takes_all_warns(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4))
    y = 3e5 + X @ [8e4, 4e4, -2e4, 1e4] + 2e4 * rng.standard_t(3, size=500)
    with pytest.warns(UserWarning, match="Scale y, or decrease alpha"):
        GDRegressor(loss, random_state=0).fit(X, y)
    # What the warning advises, and a loss that grows with the targets, give none.
    GDRegressor(loss, random_state=0, penalty=None).fit(X, y)
    GDRegressor(loss, random_state=0, alpha=1e-9).fit(X, y)
    GDRegressor(loss, random_state=0).fit(X, (y - y.mean()) / y.std())
    GDRegressor(random_state=0).fit(X, y)


def test_tol_is_what_is_left():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    least = GDRegressor("absolute_error", tol=1e-8, max_iter=20_000).fit(X, y)
    epochs = []
    for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        model = GDRegressor("absolute_error", tol=tol, random_state=0).fit(X, y)
        assert suboptimality(model, X, y, least.objective_) <= tol
        assert model.history_["gap"][-1] == model.gap_ <= tol
        epochs.append(model.n_iter_)
    assert epochs == sorted(epochs) and epochs[0] < epochs[-1]


LOSSES = (
    "squared_error", "huber", "absolute_error", "quantile", "epsilon_insensitive",
    "squared_epsilon_insensitive", "poisson", "log_loss", "hinge", "squared_hinge",
    "modified_huber",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:The penalty takes")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(LOSSES),
    st.sampled_from([None, "l2", "l1", "elasticnet"]),
    st.sampled_from(SOLVERS),
    st.integers(5, 120),
    st.integers(1, 12),
    st.integers(0, 10**6),
)
def test_converged_is_true(loss, penalty, solver, n, p, seed):
    """Against the best that many more epochs find, from elsewhere."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-2, 2, p) + rng.normal(size=p)
    z = X / X.std(axis=0) @ rng.normal(size=p) + rng.normal(size=n)
    y = targets_of(loss, z)
    model = model_of(loss, penalty=penalty, solver=solver, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        other = clone(model).set_params(solver="batch", tol=1e-7, max_iter=3000)
        other.fit(X, y, coef_init=0.1 * rng.normal(size=p) / X.std(axis=0))
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-8)
    if model.stop_reason_ == "converged":
        top = constant_objective(model, X, y)
        least = min(other.objective_, model.objective_)
        assert model.objective_ - least <= 10 * model.tol * (top - least) + 1e-9 * top
    else:
        assert model.stop_reason_ in ("max_iter", "stalled")
        assert model.gap_ > model.tol


# -------------------------------------------------------------- early stopping, scoring


@pytest.mark.parametrize("parameters", [{"solver": "batch"}, {"eta0": 0.1}])
def test_ties_of_the_score_are_broken_by_the_loss(parameters):
    # A rare class leaves the accuracy as it is from the start on.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 10))
    z = X @ rng.normal(size=10) * 0.5 - 6.5
    y = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(int)
    model = GDClassifier(early_stopping=True, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    scores, losses = (
        np.array(model.history_[f"validation_{name}"]) for name in ("score", "loss")
    )
    best = np.flatnonzero(scores == scores.max())
    kept = best[losses[best].argmin()]
    assert kept > 0
    assert losses[kept] < 0.9 * losses[0]
    assert model.history_["objective"][kept] == pytest.approx(
        model.objective_, rel=0.02
    )


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_scoring(storage):
    X, y = load_breast_cancer(return_X_y=True)
    X = storage(StandardScaler().fit_transform(X))
    model = GDClassifier(early_stopping=True, random_state=0, max_iter=8, tol=None)

    def brier(estimator, X, y, sample_weight=None):
        assert estimator.n_features_in_ == 30
        error = (estimator.predict_proba(X)[:, 1] - y) ** 2
        return -np.average(error, weights=sample_weight)

    fits = {
        scoring: clone(model).set_params(scoring=scoring).fit(X, y)
        for scoring in (None, "accuracy", "loss", "neg_brier_score", brier)
    }
    scores = {key: fit.history_["validation_score"] for key, fit in fits.items()}
    assert scores[None] == scores["accuracy"]
    losses = fits["loss"].history_["validation_loss"]
    assert scores["loss"] == [-loss for loss in losses]
    np.testing.assert_allclose(scores["neg_brier_score"], scores[brier], rtol=1e-6)
    weighted = (
        clone(model)
        .set_params(scoring=brier)
        .fit(X, y, sample_weight=np.where(y == 1, 1.0, 3.0))
    )
    assert not np.allclose(weighted.history_["validation_score"], scores[brier])


@pytest.mark.parametrize("scoring", ["no such score", 3])
def test_bad_scoring(scoring):
    model = GDRegressor(early_stopping=True, scoring=scoring)
    with pytest.raises(ValueError, match="The 'scoring' parameter"):
        model.fit(*load_diabetes(return_X_y=True))


def test_gap_of_early_stopping_is_that_of_the_model_kept():
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor("poisson", early_stopping=True, random_state=0).fit(X, y)
    history = model.history_
    best = int(np.argmax(history["validation_score"]))
    assert best >= 2
    np.testing.assert_equal(model.gap_, history["gap"][best])
