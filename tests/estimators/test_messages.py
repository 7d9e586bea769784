"""What users are told where they trip."""

import math

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier, SGDRegressor

from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
Y = X @ [1.0, 2.0, 3.0]
LABELS = np.where(Y > 0, 1, 0)
BOTH = pytest.mark.parametrize("cls, y", [(GDRegressor, Y), (GDClassifier, LABELS)])


@BOTH
def test_warm_start_with_other_features(cls, y):
    model = cls(warm_start=True, random_state=0).fit(X, y)
    coef = model.coef_.copy()
    message = f"X has 2 features, but {cls.__name__} is expecting 3 features as input"
    with pytest.raises(ValueError, match=message):
        model.fit(X[:, :2], y)
    assert model.n_features_in_ == 3
    np.testing.assert_array_equal(model.coef_, coef)


@pytest.mark.parametrize("labels", [LABELS + 1, np.arange(40) % 3])
def test_warm_start_with_other_classes(labels):
    model = GDClassifier(warm_start=True).fit(X, LABELS)
    with pytest.raises(ValueError, match=r"same classes .* Previously got \[0 1\]"):
        model.fit(X, labels)
    np.testing.assert_array_equal(model.classes_, [0, 1])


def test_warm_start_with_other_targets():
    model = GDRegressor(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="y has 2 targets, but warm_start=True"):
        model.fit(X, np.c_[Y, Y])


@pytest.mark.parametrize(
    "cls, y, n", [(GDRegressor, Y, 1), (GDClassifier, np.arange(40) % 2, 5)]
)
def test_too_few_rows_to_stop_early(cls, y, n):
    model = cls(early_stopping=True, validation_fraction=0.2)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.2 of .* X_val and"):
        model.fit(X[:n], y[:n])


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_probabilities_of_a_loss_that_has_none(method):
    model = GDClassifier(loss="hinge").fit(X, LABELS)
    with pytest.raises(AttributeError, match=method) as raised:
        getattr(model, method)
    cause = str(raised.value.__cause__)
    assert "loss='log_loss'" in cause
    assert "CalibratedClassifierCV" in cause


@pytest.mark.parametrize(
    "schedule",
    [
        lambda t, eta0: eta0 if t < 10 else eta0 / 10,
        lambda t, eta0: eta0 * math.exp(-t),
        lambda t, eta0: eta0 / max(t, 10),
    ],
)
def test_schedule_of_numbers(schedule):
    model = GDRegressor(solver="sgd", eta0=0.1, learning_rate=schedule)
    with pytest.raises(ValueError, match=r"array t .* np\.where\(t < 10, a, b\)"):
        model.fit(X, Y)


def test_errors_of_a_schedule_are_its_own():
    def one_argument(t):
        return t

    model = GDRegressor(eta0=0.1, learning_rate=one_argument)
    with pytest.raises(TypeError, match="positional argument"):
        model.fit(X, Y)
    model.set_params(learning_rate=lambda t, eta0: "large")
    with pytest.raises(ValueError, match="could not convert string"):
        model.fit(X, Y)


@BOTH
@pytest.mark.parametrize("method", ["predict", "score", "partial_fit", "fit"])
def test_a_part_of_a_model(cls, y, method):
    model = cls(warm_start=True)
    model.coef_ = np.ones((1, 3))
    arguments = (X,) if method == "predict" else (X, y)
    if method == "partial_fit" and cls is GDClassifier:
        arguments = X, y, [0, 1]
    with pytest.raises(NotFittedError, match=r"has coef_, but no .*intercept_"):
        getattr(model, method)(*arguments)
    model.intercept_ = np.zeros(1)
    if cls is GDClassifier:
        if method in ("predict", "score"):
            with pytest.raises(NotFittedError, match="has coef_, but no classes_"):
                getattr(model, method)(*arguments)
        model.classes_ = np.array([0, 1])
    getattr(model, method)(*arguments)


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_probabilities_of_a_part_of_a_model(method):
    model = GDClassifier()
    model.coef_, model.intercept_ = np.ones((1, 3)), np.zeros(1)
    with pytest.raises(NotFittedError, match="no classes_"):
        getattr(model, method)(X)


# ----------------------------------------- parameters of SGDClassifier and SGDRegressor


@pytest.mark.parametrize(
    "theirs, ours", [(SGDClassifier, GDClassifier), (SGDRegressor, GDRegressor)]
)
def test_parameters_of_sgd(theirs, ours):
    y = LABELS if ours is GDClassifier else Y
    given = theirs(random_state=0, max_iter=5, tol=None, shuffle=False)
    model = ours(**given.get_params(), solver="sgd")
    np.testing.assert_allclose(model.fit(X, y).coef_, given.fit(X, y).coef_, rtol=1e-10)


def test_n_jobs_changes_nothing():
    a, b = (GDClassifier(n_jobs=n, random_state=0).fit(X, LABELS) for n in (None, 2))
    np.testing.assert_array_equal(a.coef_, b.coef_)
    with pytest.raises(ValueError, match="'n_jobs' parameter of GDClassifier must be"):
        GDClassifier(n_jobs="all").fit(X, LABELS)


@BOTH
def test_eta0_of_zero(cls, y):
    with pytest.raises(ValueError, match=r"eta0 must be > 0, unless .* 'optimal'"):
        cls(eta0=0.0).fit(X, y)
    zero, auto = (
        cls(eta0=eta0, learning_rate="optimal", alpha=0.1, random_state=0).fit(X, y)
        for eta0 in (0.0, "auto")
    )
    np.testing.assert_array_equal(zero.coef_, auto.coef_)


@BOTH
def test_learning_rate_of_a_number(cls, y):
    with pytest.raises(ValueError, match=r"'learning_rate' .*number goes to eta0"):
        cls(learning_rate=0.1).fit(X, y)


@BOTH
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("solver", ["sgd", "batch"])
def test_batch_size_of_a_solver_that_has_its_own(cls, y, method, solver):
    arguments = (X, y)
    if method == "partial_fit" and cls is GDClassifier:
        arguments = X, y, [0, 1]
    model = cls(solver=solver, batch_size=16)
    with pytest.warns(UserWarning, match="batch_size=16 is ignored") as warned:
        getattr(model, method)(*arguments)
    assert [w.filename for w in warned] == [__file__]
    getattr(cls(solver=solver), method)(*arguments)  # no warning
