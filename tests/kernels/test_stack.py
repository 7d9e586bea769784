"""Epochs of many models at once against tests/reference.py, one model at a time."""

import numpy as np
import pytest

import reference
from cases import LOSSES, assert_close, make_data
from skgd.kernels import Rows
from skgd.kernels.stack import run_stack


def models_of(n_models, p, rng):
    """W (p, K), intercepts and L2 penalties of some models, zeros for the others."""
    K = -(-n_models // 8) * 8
    W, b, l2 = np.zeros((p, K)), np.zeros(K), np.zeros(K)
    W[:, :n_models] = rng.normal(size=(p, n_models)) * 0.3
    b[:n_models] = rng.normal(size=n_models) * 0.3
    l2[:n_models] = 0.3 * np.arange(n_models) / n_models
    return W, b, l2


def check(loss, n, p, n_models, batch_size, dtype, weighted, intercept, each):
    X, Y, _, _, rng = make_data(n, p, loss=loss)
    X, loss = X.astype(dtype), LOSSES[loss]
    W, b, l2 = models_of(n_models, p, rng)
    s = rng.random(n) + 0.5 if weighted else np.ones(n)
    order = rng.permutation(n)[: n - 2]
    n_updates = -(-len(order) // batch_size)
    decay = np.arange(1, n_updates + 1)[:, None] ** 0.5 if each else 1.0
    steps = np.atleast_2d(np.linspace(0.01, 0.2, len(b)) / decay)
    W1, b1 = W.copy(), b.copy()
    visits = order, Y[order], s[order] if weighted else None
    before = run_stack(Rows(X), visits, loss, batch_size, W1, b1)
    assert np.array_equal(W1, W) and np.array_equal(b1, b)
    totals = run_stack(
        Rows(X), visits, loss, batch_size, W1, b1, steps, l2, intercept
    )  # fmt: skip
    for k in range(n_models):
        values, _ = loss.value_and_slope(
            Y[order], X[order].astype(float) @ W[:, k : k + 1] + b[k]
        )
        assert_close(before[k], (s[order, None] * values).sum())
        iterates, losses = reference.epoch(
            W[:, k : k + 1].T, b[k : k + 1], X, Y, s, order, batch_size,
            np.broadcast_to(steps, (n_updates, len(b)))[:, k], loss.value_and_slope,
            0.0, l2[k], intercept,
        )  # fmt: skip
        assert_close(W1[:, k : k + 1].T, iterates[-1][0])
        assert_close(b1[k], iterates[-1][1][0])
        assert_close(totals[k], losses.sum())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize("loss", LOSSES)
def test_stack_equals_reference(loss, batch_size, weighted, dtype):
    intercept, each = weighted != (batch_size == 4), batch_size < 11
    check(loss, 13, 7, 5, batch_size, dtype, weighted, intercept, each)


@pytest.mark.parametrize("n_models", [8, 16, 17, 32, 40, 64])
@pytest.mark.parametrize("p", [1, 3, 4, 12, 300])
def test_tiles_of_all_sizes(n_models, p):
    """Groups of 1, 2 and 4 vectors; features beyond what is cached; blocks of rows."""
    check("squared_error", 100, p, n_models, 70, np.float64, True, True, True)
    check("log_loss", 40, p, n_models, 9, np.float32, False, True, False)


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_error", "huber"])
def test_extreme_predictions(loss):
    """As `point`, which calls the functions of the C library."""
    exponents = np.concatenate([np.linspace(-300, 3, 305), np.linspace(-3, 3, 200)])
    z = np.concatenate([-(10.0**exponents), [0.0], 10.0**exponents])
    z = np.concatenate([z, np.linspace(-40, 40, 1001)])
    loss = LOSSES[loss]
    for y in (-1.0, 1.0):
        # One row x = 1, and a step of 1: W becomes z - slope, of which z is known.
        K = -(-len(z) // 8) * 8
        W, b = np.zeros((1, K)), np.zeros(K)
        b[: len(z)] = z
        visits = np.zeros(1, dtype=np.intp), np.full((1, 1), y), None
        totals = run_stack(
            Rows(np.ones((1, 1))), visits, loss, 1, W, b, np.ones((1, K)), np.zeros(K)
        )
        values, slopes = loss.value_and_slope(np.full((len(z), 1), y), z[:, None])
        # Smaller than 1e-307, log_loss does not say more than that.
        close = dict(rtol=5e-15, atol=1e-307)
        np.testing.assert_allclose(totals[: len(z)], values[:, 0], **close)
        np.testing.assert_allclose(-W[0, : len(z)], slopes[:, 0], **close)


@pytest.mark.parametrize(
    "shapes",
    [
        {"coef": (3, 7)},
        {"coef": (2, 8)},
        {"intercept": 16},
        {"intercept": 7, "coef": (3, 7), "steps": (1, 7), "l2": 7},
        {"steps": (2, 8)},
        {"steps": (1, 16)},
        {"l2": 16},
        {"y": (5, 2)},
        {"y": (4, 1)},
    ],
    ids=str,
)
def test_shapes_are_checked(shapes):
    sizes = {"coef": (3, 8), "intercept": 8, "steps": (1, 8), "l2": 8, "y": (5, 1)}
    arrays = {name: np.ones(shape) for name, shape in (sizes | shapes).items()}
    visits = np.arange(5), arrays.pop("y"), None
    with pytest.raises(ValueError):
        run_stack(Rows(np.ones((5, 3))), visits, LOSSES["hinge"], 2, **arrays)
