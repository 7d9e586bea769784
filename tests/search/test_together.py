"""Estimators that are trained together against each of them fitted by itself."""

import itertools
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from samples import linear, model_of, targets_of
from skgd import GDClassifier, GDRegressor
from skgd.estimators.inputs import seed
from skgd.search import together
from skgd.search.together import AloneError

# Some of all settings that may differ, each with all values of two others.
SETTINGS = [
    dict(eta0=eta0, learning_rate=rate, alpha=alpha, penalty=penalty, **stopping)
    for k, (eta0, rate, (penalty, alpha), stopping) in enumerate(
        itertools.product(
            (0.003, 0.02, 0.1),
            ("constant", "invscaling", "adaptive", "auto", "optimal"),
            (("l2", 1e-4), ("l2", 0.3), (None, 1e-4), ("elasticnet", 0.01)),
            (
                dict(max_iter=7, tol=None),
                dict(max_iter=60, tol=1e-3, n_iter_no_change=2),
                dict(max_iter=40, tol=0.03, n_iter_no_change=4),
            ),
        )
    )
    if k % 7 < 3
]
NAMES = ["n_iter_", "stop_reason_", "t_", "eta0_", "batch_size_", "n_features_in_"]


class Own:
    def value_and_slope(self, y, z):
        return (z - y) ** 2 / 2, z - y


def fit_together(models, X, y, weight=None, rows=None):
    rows = np.arange(len(y)) if rows is None else rows
    problem = together.prepare(models, X, y, weight, rows)
    return together.train(models, problem, seed(models[0].random_state))


def fit_alone(models, X, y, weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [clone(model).fit(X, y, weight) for model in models]


def assert_equal_fits(models, others, tolerance=1e-10):
    for model, other in zip(models, others, strict=True):
        assert vars(model).keys() == vars(other).keys()
        for name in NAMES:
            assert getattr(model, name) == getattr(other, name), (name, other)
            assert type(getattr(model, name)) is type(getattr(other, name))
        for name in ("coef_", "intercept_", "objective_", "gap_", "loss_curve_"):
            a, b = np.asarray(getattr(model, name)), np.asarray(getattr(other, name))
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        assert model.history_.keys() == other.history_.keys()
        assert model.history_["method"] == other.history_["method"]
        for name in ("objective", "eta", "n_updates", "gap", "gradient_norm"):
            np.testing.assert_allclose(
                model.history_[name], other.history_[name], rtol=tolerance, atol=1e-9
            )
        if isinstance(other, GDClassifier):
            assert np.array_equal(model.classes_, other.classes_)


def models_of(loss, settings, **common):
    models = [model_of(loss, **setting, **common) for setting in settings]
    # Without L1, an elastic net is the L2 penalty that may be in a stack.
    return [model.set_params(l1_ratio=0.0) for model in models]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("solver, weighted", [("batch", True), ("minibatch", False),
                                              ("minibatch", True)])  # fmt: skip
@pytest.mark.parametrize(
    "loss", ["squared_error", "huber", "log_loss", "hinge", "squared_hinge", "poisson"]
)
def test_each_is_as_if_fitted_alone(loss, solver, weighted, single):
    X, y = linear(90, 5)
    y = targets_of(loss, y)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(y))[:70])
    # Of the weight 0, rows are none.
    weight = rng.integers(0, 4, len(y)).astype(float) if weighted else None
    X = X.astype(np.float32) if single else X
    settings = SETTINGS[:: 2 if loss in ("squared_error", "log_loss") else 7]
    models = models_of(
        loss, settings, solver=solver, batch_size=8, fit_intercept=not single
    )
    others = fit_alone(models, X[rows], y[rows], weight[rows] if weighted else None)
    fit_together(models, X, y, weight, rows)
    assert_equal_fits(models, others, 1e-5 if single else 1e-10)
    assert len({model.n_iter_ for model in models}) > 3
    if loss not in ("hinge", "poisson"):
        assert len({model.stop_reason_ for model in models}) > 1


def test_without_shuffling_and_of_all_rows():
    X, y = linear(50, 3)
    models = models_of("squared_error", SETTINGS[::5], shuffle=False, batch_size=500)
    others = fit_alone(models, X, y)
    fit_together(models, X, y)
    assert_equal_fits(models, others)


def test_class_weights_and_labels():
    X, y = linear(60, 4)
    y = np.where(y > np.quantile(y, 0.7), "yes", "no")
    models = models_of("log_loss", SETTINGS[::5], class_weight="balanced")
    others = fit_alone(models, X, y)
    fit_together(models, X, y)
    assert_equal_fits(models, others)


@pytest.mark.parametrize("solver", ["batch", "minibatch"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_who_diverges_leaves_the_others_alone(loss, solver):
    X, y = linear(60, 4)
    X, y = 3.0 * X, targets_of(loss, y)
    rates = [1e-3, 1e4, 0.01, 1e200, 1e8, 0.002]
    settings = [dict(eta0=rate, max_iter=12, tol=1e-4) for rate in rates]
    models = models_of(loss, settings, solver=solver)
    others = fit_alone(models, X, y)
    outcomes = fit_together(models, X, y)
    reasons = [model.stop_reason_ for model in models]
    assert reasons == [other.stop_reason_ for other in others]
    stable = [k for k, reason in enumerate(reasons) if reason != "diverged"]
    assert {0, 2, 5} <= set(stable) and len(stable) < 6
    assert_equal_fits(*([each[k] for k in stable] for each in (models, others)))
    for k in set(range(6)) - set(stable):
        assert outcomes[k] == "diverged"
        assert np.isfinite(models[k].coef_).all() and models[k].objective_ < 10.0


def test_how_fits_ended():
    X, y = linear(200, 3)
    settings = [
        dict(eta0=0.05, max_iter=300, tol=1e-3),
        dict(eta0=1e-4, max_iter=3, tol=1e-3),
        dict(eta0=1e-4, max_iter=3, tol=None),
        dict(eta0=50.0, max_iter=3, tol=1e-3),
    ]
    models = models_of("squared_error", settings, batch_size=20)
    assert fit_together(models, X, y + 3.0) == [
        None,
        "ended at max_iter, still gaining",
        "ended above the best constant model",
        "diverged",
    ]


def test_partial_fit_goes_on():
    X, y = linear(60, 4)
    models = models_of("squared_error", SETTINGS[:3])
    others = fit_alone(models, X, y)
    fit_together(models, X, y)
    for model, other in zip(models, others, strict=True):
        model.partial_fit(X, y)
        other.partial_fit(X, y)
    for model, other in zip(models, others, strict=True):
        np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-10)


@pytest.mark.parametrize(
    "cls, parameters, reason",
    [
        (GDRegressor, {"eta0": "auto"}, "eta0='auto'"),
        (GDRegressor, {"solver": "sgd"}, "single rows"),
        (GDRegressor, {"batch_size": 1}, "single rows"),
        (GDRegressor, {"penalty": "l1"}, "L1"),
        (GDRegressor, {"penalty": "elasticnet"}, "L1"),
        (GDClassifier, {"loss": "perceptron"}, "guides nothing"),
        (GDRegressor, {"learning_rate": lambda t, eta0: eta0 + 0 * t}, "callable"),
        (GDRegressor, {"average": True}, "average"),
        (GDRegressor, {"momentum": 0.9}, "momentum"),
        (GDRegressor, {"loss": Own()}, "a loss of the user"),
        (GDRegressor, {"early_stopping": True}, "early_stopping"),
        (GDRegressor, {"warm_start": True}, "warm_start"),
        (GDRegressor, {"record": "update"}, "record"),
        (GDRegressor, {"verbose": 1}, "verbose"),
        (GDRegressor, {"random_state": np.random.RandomState(0)}, "RandomState"),
    ],
    ids=str,
)
def test_who_is_fitted_alone(cls, parameters, reason):
    assert reason in together.why_alone(cls(**{"eta0": 0.1, **parameters}))


@pytest.mark.parametrize(
    "cls, parameters",
    [
        (GDRegressor, {}),
        (GDRegressor, {"penalty": "l1", "alpha": 0.0}),
        (GDRegressor, {"random_state": 3, "solver": "batch"}),
        (GDClassifier, {"eta0": "auto", "learning_rate": "optimal"}),
        (GDClassifier, {"average": False}),
    ],
    ids=str,
)
def test_who_is_not(cls, parameters):
    assert together.why_alone(cls(**{"eta0": 0.1, **parameters})) is None


def test_several_classes_and_targets_are_fitted_alone():
    X, y = linear(60, 4)
    models = models_of("log_loss", SETTINGS[:3])
    with pytest.raises(AloneError, match="several classes"):
        fit_together(models, X, np.digitize(y, [-1, 1]))
    models = models_of("squared_error", SETTINGS[:3])
    with pytest.raises(AloneError, match="targets"):
        fit_together(models, X, np.column_stack([y, y]))
    assert not any(hasattr(model, "n_features_in_") for model in models)


def test_a_stack_fits_into_memory():
    assert together.models_at_once(20, 1000) == together.MOST_MODELS
    n = together.models_at_once(1_000_000, 1000)
    assert 1 <= n < 10
    assert 8 * together.COPIES * 1_000_000 * n <= together.MOST_BYTES
    assert together.models_at_once(10**9, 10) == 1
