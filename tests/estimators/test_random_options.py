"""fit at random options: next to NumPy, and of rows of weight 0."""

import warnings

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import reference
from samples import LOSSES_OF_CLASSES, targets_of
from skgd import GDClassifier, GDRegressor
from skgd.objective import penalties
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

options = st.fixed_dictionaries(
    {
        "loss": st.sampled_from(sorted({*REGRESSION_LOSSES, *CLASSIFICATION_LOSSES})),
        "solver": st.sampled_from(["batch", "minibatch", "sgd"]),
        "batch_size": st.integers(1, 40),
        "penalty": st.sampled_from([None, "l2", "l1", "elasticnet"]),
        "alpha": st.sampled_from([0.0, 1e-4, 0.01, 0.3]),
        "l1_ratio": st.floats(0.0, 1.0),
        "fit_intercept": st.booleans(),
        "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
        "eta0": st.sampled_from([1e-3, 0.02, 0.05]),
        "power_t": st.sampled_from([0.25, 0.5]),
        "average": st.sampled_from([False, True, 7]),
        "max_iter": st.integers(1, 4),
    }
)
shapes = st.tuples(st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**20))


def model_and_data(parameters, shape, weighted, several):
    n, p, seed = shape
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.7)
    loss = parameters["loss"]
    classes = loss in LOSSES_OF_CLASSES
    y = rng.normal(size=(n, 3) if several and not classes else n)
    y = targets_of(loss, y)
    if classes:
        y = np.arange(n) % (3 if several and n > 2 else 2)
    model = (GDClassifier if classes else GDRegressor)(
        **parameters, tol=None, shuffle=False, n_iter_no_change=10**6
    )
    weight = rng.integers(0, 3, size=n).astype(float) if weighted else np.ones(n)
    weight[:3] = 1.0  # of each class
    return model, X, y, weight


def fitted(model, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.filterwarnings("ignore", "batch_size=")  # of solvers without one
        return model.fit(*arguments)


def expected(model, X, y, weight):
    """Coefficients and intercepts by plain NumPy, of rows in their order."""
    kept = weight > 0
    X, y, s = X[kept], y[kept], weight[kept]
    s = s / s.mean()
    if hasattr(model, "classes_"):
        index = np.searchsorted(model.classes_, y)[:, None]
        K = model._n_outputs
        if K > 1 and model.loss == "log_loss":
            Y, loss = index, reference.multinomial
        else:
            Y = np.where(index == (np.arange(K) if K > 1 else 1), 1.0, -1.0)
            loss = model._one_loss().value_and_slope
    else:
        Y, loss = y.reshape(len(y), -1), model._one_loss().value_and_slope
        K = Y.shape[1]
    l1, l2 = penalties.strengths(model.penalty, model.alpha, model.l1_ratio)
    n, p = X.shape
    W, b, t, eta0, iterates = np.zeros((K, p)), np.zeros(K), 1, model.eta0, []
    batch = {"batch": n, "sgd": 1, "minibatch": min(model.batch_size, n)}[model.solver]
    for _ in range(model.max_iter):
        times = t + np.arange(-(-n // batch))
        steps = np.full(len(times), eta0)
        if model.learning_rate == "invscaling":
            steps = eta0 / times**model.power_t
        new, _ = reference.epoch(
            W, b, X, Y, s, np.arange(n), batch, steps, loss, l1, l2,
            model.fit_intercept,
        )  # fmt: skip
        (W, b), t = new[-1], t + len(times)
        iterates += new
    first = int(model.average)
    if first and len(iterates) >= first:
        return reference.average(iterates[first - 1 :])
    return W, b


@given(options, shapes, st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_fit_is_that_of_plain_numpy(parameters, shape, weighted, several, sparse):
    model, X, y, weight = model_and_data(parameters, shape, weighted, several)
    fitted(model, sp.csr_array(X) if sparse else X, y, weight if weighted else None)
    if model.stop_reason_ == "diverged":
        return  # another state is given out
    coef, intercept = expected(model, X, y, weight)
    np.testing.assert_allclose(np.atleast_2d(model.coef_), coef, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-9, atol=1e-11)


@given(
    options, shapes, st.booleans(), st.booleans(),
    st.sampled_from(["auto", 0.02]), st.booleans(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_rows_of_weight_zero_are_rows_deleted(
    parameters, shape, several, sparse, eta0, shuffle
):
    parameters = parameters | {"eta0": eta0, "learning_rate": "auto"}
    model, X, y, weight = model_and_data(parameters, shape, True, several)
    model.set_params(shuffle=shuffle, random_state=shape[2], max_iter=3)
    kept = weight > 0
    X = sp.csr_array(X) if sparse else X
    some = fitted(clone(model), X[kept], y[kept], weight[kept])
    all_rows = fitted(model, X, y, weight)
    assert all_rows.stop_reason_ == some.stop_reason_
    scale = max(np.abs(some.coef_).max(), 1e-3)
    np.testing.assert_allclose(all_rows.coef_, some.coef_, rtol=0, atol=1e-7 * scale)
    np.testing.assert_allclose(
        all_rows.intercept_, some.intercept_, rtol=1e-7, atol=1e-7 * scale
    )
