"""Epochs in a metric against tests/reference.py."""

import numpy as np
import pytest

import reference
from cases import LOSSES, PENALTIES, STORAGES, assert_close, make_data, stored
from skgd.kernels import MetricEpoch, Rows, row_products


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    "dtype, intercept, weighted, lazy_budget, every",
    [
        (np.float64, True, True, 0.0, 1),
        (np.float32, True, False, 0.0, 2),
        (np.float64, False, True, 0.3, 3),
        (np.float64, True, False, 0.3, 100),
    ],
)
@pytest.mark.parametrize(
    "batch_size, by_blocks", [(1, False), (4, False), (4, True), (13, True)]
)
def test_metric_epoch_equals_reference(
    loss, penalty, storage, n_outputs, batch_size, by_blocks, dtype, intercept,
    weighted, lazy_budget, every,
):  # fmt: skip
    X, Y, W, c, rng = make_data(n_outputs=n_outputs, loss=loss, density=0.4)
    n, p = X.shape
    function = LOSSES[loss]
    l1, l2 = PENALTIES[penalty]
    # The sparse loop keeps the root of the scale and the path in single precision.
    scale = (rng.random(p) + 0.4).astype(np.float32).astype(np.float64) ** 2
    mean = rng.normal(size=p) if storage == "dense" else np.zeros(p)
    weights = rng.random(n) + 0.5
    x = X.astype(dtype)
    s = weights if weighted else np.ones(n)
    order = rng.permutation(n)[: n - 1]
    n_updates = -(-len(order) // batch_size)
    steps = 0.2 / np.arange(1, n_updates + 1) ** 0.5
    lazy = storage != "dense" and not by_blocks
    *want, losses = reference.metric_epoch(
        W, c, x, Y, s, order, batch_size, steps, function.value_and_slope, l1,
        l2, mean, scale, intercept, lazy_budget, every, lazy,
    )  # fmt: skip
    rows = Rows(stored(x, storage))
    coef, centred = np.array(W, order=rows.order), c.copy()
    coef_sum, centred_sum = np.zeros_like(coef), np.zeros_like(c)
    products = None
    if storage == "dense":
        products = row_products(rows, mean, scale)
    means = np.empty(n_updates)
    updates = MetricEpoch(
        rows, function, l1, l2, mean, scale, products, batch_size=batch_size,
        n_outputs=len(c), fit_intercept=intercept, by_blocks=by_blocks,
    )  # fmt: skip
    visits = order, Y[order], s[order] if weighted else None
    total, weight_sum = updates.run(
        visits, steps, coef, centred, coef_sum, centred_sum, lazy_budget, every,
        means,
    )  # fmt: skip
    sizes = np.diff(np.arange(n_updates + 1) * len(order) // n_updates)
    got = coef, centred, coef_sum / weight_sum, centred_sum / weight_sum, means
    want.append(losses / sizes)
    # So does the norm that truncates a step.
    single = lazy and (l1 or l2 or dtype == np.float32)
    tolerance = 1e-6 if single else 1e-10
    assert_close(total, losses.sum(), tolerance)
    for a, b in zip(got, want, strict=True):
        assert_close(a, b, tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("padded", [False, True])
def test_row_products(padded, dtype, tolerance):
    X, _, _, _, rng = make_data()
    mean, scale = rng.normal(size=7), rng.random(7)
    want = np.column_stack([((X - mean) ** 2) @ scale, X @ (scale * mean)])
    held = (np.hstack([X, X])[:, :7] if padded else X).astype(dtype, copy=False)
    assert_close(row_products(Rows(held), mean, scale), want, tolerance)


@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("storage", STORAGES)
def test_epochs_share_memory_but_nothing_else(storage, batch_size, by_blocks):
    """The second epoch of one object is that of another object."""
    X, Y, W, c, _ = make_data(n_outputs=2)
    rows, scale = Rows(stored(X, storage)), np.full(7, 0.7)

    def updates():
        return MetricEpoch(
            rows, LOSSES["huber"], 0.01, 0.1, np.zeros(7), scale,
            batch_size=batch_size, n_outputs=2, fit_intercept=True,
            by_blocks=by_blocks,
        )  # fmt: skip

    one, results = updates(), []
    for objects in ((one, one), (one, updates())):
        coef, centred = np.array(W, order=rows.order), c.copy()
        for seed, epoch in enumerate(objects):
            order = np.random.default_rng(seed).permutation(len(X))[: 9 + 4 * seed]
            sums = np.zeros_like(coef), np.zeros_like(c)
            visits = order, Y[order], None
            epoch.run(visits, np.full(1, 0.1), coef, centred, *sums, 0.2, 3)
        results.append((coef, centred, *sums))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "p, message",
    [(6, "a mean and a scale for each feature"), (7, "products for each row")],
)
def test_a_metric_needs_a_mean_and_a_scale_and_products(p, message):
    X = Rows(make_data()[0])
    options = dict(batch_size=1, n_outputs=1, fit_intercept=True)
    with pytest.raises(ValueError, match=message):
        MetricEpoch(X, LOSSES["huber"], 0.0, 0.0, np.zeros(p), np.ones(7), **options)
