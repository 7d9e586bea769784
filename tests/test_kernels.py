"""Epochs against tests/reference.py, over every combination they are built from."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from skgd.kernels import (
    Epoch,
    MetricEpoch,
    Rows,
    feature_moments,
    loss_at,
    loss_gradient,
    loss_totals,
    predictions_at,
    row_products,
    second_moments,
)
from skgd.objective.classification import Multinomial, OneVsRest
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

PARAMETERS = {"epsilon": 0.3, "quantile": 0.7}
LOSSES = {
    name: cls(*(PARAMETERS[p] for p in parameters))
    for name, (cls, parameters) in (REGRESSION_LOSSES | CLASSIFICATION_LOSSES).items()
}
STORAGES = ["dense", "csr32", "csr64"]
PENALTIES = {
    "none": (0.0, 0.0),
    "l2": (0.0, 0.1),
    "l1": (0.05, 0.0),
    "both": (0.05, 0.3),
}


def make_data(n=13, p=7, n_outputs=1, loss="squared_error", seed=0, density=0.5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    Y = rng.normal(size=(n, n_outputs))
    if loss in CLASSIFICATION_LOSSES:
        Y = np.where(Y > 0, 1.0, -1.0)
    elif loss == "poisson":
        Y = np.abs(Y)
    W = rng.normal(size=(n_outputs, p)) * 0.3
    b = rng.normal(size=n_outputs) * 0.3
    return X, Y, W, b, rng


def stored(X, storage):
    if storage == "dense":
        return X
    csr = sp.csr_array(X)
    index = np.int32 if storage == "csr32" else np.int64
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    return csr


def run_epoch(
    rows, order, y, weight, batch_size, steps, l1, l2, loss, W, b, intercept=True, *,
    by_blocks=False, **arrays,
):  # fmt: skip
    """One epoch; arrays as of `Epoch.run`."""
    updates = Epoch(
        rows, loss, l1, l2, batch_size=batch_size, n_outputs=len(b),
        fit_intercept=intercept, by_blocks=by_blocks,
        averaging=arrays.get("coef_sum") is not None,
    )  # fmt: skip
    return updates.run((order, y, weight), steps, W, b, **arrays)


def run(
    X, Y, s, order, batch_size, steps, l1, l2, loss, W, b, intercept=True, **kwargs
):
    rows = Rows(X)
    W, b = np.array(W, order=rows.order), np.array(b)
    if kwargs.get("coef_sum") is not None:
        kwargs["coef_sum"] = np.array(kwargs["coef_sum"], order=rows.order)
    s = None if s is None else s[order]
    total = run_epoch(
        rows, order, Y[order], s, batch_size, steps, l1, l2, loss, W, b, intercept,
        **kwargs,
    )  # fmt: skip
    return W, b, total, kwargs.get("coef_sum"), kwargs.get("intercept_sum")


def batches(order, batch_size):
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def assert_close(actual, desired, tolerance=1e-12):
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_epoch_equals_reference(
    loss, penalty, storage, dtype, intercept, n_outputs, weighted
):
    """Invariant 2, over the full product; batch sizes and kernels are looped here."""
    X, Y, W, b, rng = make_data(n_outputs=n_outputs, loss=loss)
    X = X.astype(dtype)
    n = len(X)
    s = rng.random(n) + 0.5 if weighted else np.ones(n)
    order = rng.permutation(n)[: n - 2]
    l1, l2 = PENALTIES[penalty]
    function = LOSSES[loss]
    for batch_size in (1, 4, n):
        n_updates = -(-len(order) // batch_size)
        steps = 0.1 / np.arange(1, n_updates + 1) ** 0.5
        iterates, losses = reference.epoch(
            W,
            b,
            X,
            Y,
            s,
            order,
            batch_size,
            steps,
            function.value_and_slope,
            l1,
            l2,
            intercept,
        )
        average_from = n_updates // 3
        averages = reference.average(iterates[average_from:])
        for by_blocks in (False, True):
            for averaging in (False, True):
                sums = {}
                if averaging:
                    sums = dict(
                        coef_sum=np.zeros_like(W),
                        intercept_sum=np.zeros_like(b),
                        average_from=average_from,
                    )
                means = np.empty(n_updates)
                W1, b1, total1, W_sum, b_sum = run(
                    stored(X, storage),
                    Y,
                    s if weighted else None,
                    order,
                    batch_size,
                    steps,
                    l1,
                    l2,
                    function,
                    W,
                    b,
                    intercept,
                    by_blocks=by_blocks,
                    losses=means,
                    **sums,
                )
                assert_close(W1, iterates[-1][0])
                assert_close(b1, iterates[-1][1])
                assert_close(total1, losses.sum())
                sizes = [len(part) for part in batches(order, batch_size)]
                assert_close(means, losses / sizes)
                if averaging:
                    assert_close(W_sum / (n_updates - average_from), averages[0])
                    assert_close(b_sum / (n_updates - average_from), averages[1])


@pytest.mark.parametrize("loss", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("by_blocks", [False, True])
def test_one_vs_rest_equals_signs(loss, storage, by_blocks):
    X, _, W, b, rng = make_data(n_outputs=4)
    labels = rng.integers(4, size=len(X))
    signs = np.where(labels[:, None] == np.arange(4), 1.0, -1.0)
    args = (None, np.arange(len(X)), 3, np.full(5, 0.1), 0.01, 0.1)
    want = run(X, signs, *args, LOSSES[loss], W, b)
    got = run(
        stored(X, storage), labels[:, None].astype(float), *args,
        OneVsRest(LOSSES[loss], len(b)), W, b, by_blocks=by_blocks,
    )  # fmt: skip
    for a, d in zip(got[:3], want[:3], strict=True):
        assert_close(a, d)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_multinomial_epoch_equals_reference(storage, weighted, penalty):
    X, _, W, b, rng = make_data(n_outputs=4)
    labels = rng.integers(4, size=(len(X), 1)).astype(float)
    s = rng.random(len(X)) + 0.5 if weighted else np.ones(len(X))
    order = rng.permutation(len(X))
    for batch_size in (1, 4, len(X)):
        steps = 0.3 / np.arange(1, -(-len(X) // batch_size) + 1)
        args = order, batch_size, steps
        iterates, losses = reference.epoch(
            W, b, X, labels, s, *args, reference.multinomial, *PENALTIES[penalty]
        )
        for by_blocks in (False, True):
            W1, b1, total, *_ = run(
                stored(X, storage), labels, s if weighted else None, *args,
                *PENALTIES[penalty], Multinomial(), W, b, by_blocks=by_blocks,
            )  # fmt: skip
            assert_close(W1, iterates[-1][0])
            assert_close(b1, iterates[-1][1])
            assert_close(total, losses.sum())


shapes = st.tuples(st.integers(1, 20), st.integers(1, 90), st.integers(1, 4))


@settings(deadline=None, max_examples=200)
@given(
    shape=shapes,
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from([np.float32, np.float64]),
    layout=st.sampled_from(
        ["C", "F", "rows", "reversed", "columns", *STORAGES[1:], "unsorted"]
    ),
    batch_size=st.integers(1, 25),
    penalty=st.sampled_from(list(PENALTIES)),
    by_blocks=st.booleans(),
    eta=st.floats(1e-3, 0.5),
    density=st.floats(0.0, 1.0),
)
def test_any_layout_equals_reference(
    shape, seed, dtype, layout, batch_size, penalty, by_blocks, eta, density
):
    """Shapes, dtypes, memory orders and storages, with averages from the start."""
    n, p, n_outputs = shape
    X, Y, W, b, rng = make_data(n, p, n_outputs, seed=seed, density=density)
    X = X.astype(dtype)
    order = rng.permutation(n)
    steps = np.full(-(-n // batch_size), eta / p)
    l1, l2 = PENALTIES[penalty]
    loss = LOSSES["huber"]
    iterates, losses = reference.epoch(
        W, b, X, Y, np.ones(n), order, batch_size, steps, loss.value_and_slope, l1, l2
    )
    if layout == "F":
        held = np.asfortranarray(X)
    elif layout == "rows":
        held = np.repeat(X, 3, axis=0)[::3]
    elif layout == "reversed":
        held = X[::-1].copy()[::-1]
    elif layout == "columns":
        held = np.repeat(X, 2, axis=1)[:, ::2]
    elif layout == "unsorted":
        held = scrambled(X, rng)
    elif layout == "C":
        held = X
    else:
        held = stored(X, layout)
    W1, b1, total1, W_sum, b_sum = run(
        held, Y, None, order, batch_size, steps, l1, l2, loss, W, b,
        by_blocks=by_blocks, coef_sum=np.zeros_like(W), intercept_sum=np.zeros_like(b),
    )  # fmt: skip
    assert_close(W1, iterates[-1][0], 1e-11)
    assert_close(b1, iterates[-1][1], 1e-11)
    assert_close(total1, losses.sum(), 1e-11)
    averages = reference.average(iterates)
    assert_close(W_sum / len(steps), averages[0], 1e-11)
    assert_close(b_sum / len(steps), averages[1], 1e-11)


def scrambled(X, rng):
    """X as CSR with its entries out of order and each split into two duplicates."""
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    rows, columns = np.tile(rows, 2), np.tile(columns, 2)
    values = np.tile(values / 2, 2)  # exact
    shuffled = rng.permutation(len(rows))
    shuffled = shuffled[np.argsort(rows[shuffled], kind="stable")]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
    return sp.csr_array((values[shuffled], columns[shuffled], indptr), shape=X.shape)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("p", [3, 60])
def test_lazy_updates_over_a_long_epoch(penalty, p):
    """Rare features, strong penalties: many flushes, features zeroed while absent."""
    n = 3000
    X, Y, W, b, rng = make_data(n, p, 2, density=0.02)
    order = rng.permutation(n)
    steps = 0.5 / np.sqrt(np.arange(1, n + 1))
    l1, l2 = PENALTIES[penalty]
    loss = LOSSES["squared_error"]
    iterates, _ = reference.epoch(
        W, b, X, Y, np.ones(n), order, 1, steps, loss.value_and_slope, l1, l2
    )
    for storage in STORAGES:
        W1, b1, _, W_sum, b_sum = run(
            stored(X, storage), Y, None, order, 1, steps, l1, l2, loss, W, b,
            coef_sum=np.zeros_like(W), intercept_sum=np.zeros_like(b), average_from=100,
        )  # fmt: skip
        assert_close(W1, iterates[-1][0])
        assert_close(b1, iterates[-1][1])
        averages = reference.average(iterates[100:])
        assert_close(W_sum / (n - 100), averages[0])
        assert_close(b_sum / (n - 100), averages[1])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("by_blocks", [False, True])
def test_decay_of_one_and_more_sets_weights_to_zero(storage, by_blocks):
    X, Y, W, b, _ = make_data()
    loss = LOSSES["squared_error"]
    for l2 in (10.0, 25.0):
        args = (np.arange(len(X)), 2, np.full(7, 0.1))
        iterates, _ = reference.epoch(
            W, b, X, Y, np.ones(len(X)), *args, loss.value_and_slope, 0.02, l2
        )
        W1, b1, _, W_sum, _ = run(
            stored(X, storage), Y, None, *args, 0.02, l2, loss, W, b,
            by_blocks=by_blocks, coef_sum=np.zeros_like(W),
            intercept_sum=np.zeros_like(b),
        )  # fmt: skip
        assert_close(W1, iterates[-1][0])
        assert_close(b1, iterates[-1][1])
        assert_close(W_sum / 7, reference.average(iterates)[0])


@pytest.mark.parametrize("p", [9001, 20_000])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_more_features_than_one_product_holds(p, n_outputs, dtype):
    X, Y, W, b, _ = make_data(6, p, n_outputs)
    X = X.astype(dtype)
    loss = LOSSES["squared_error"]
    for batch_size in (1, 2):
        args = (np.arange(6), batch_size, np.full(6 // batch_size, 1e-5))
        iterates, _ = reference.epoch(
            W, b, X, Y, np.ones(6), *args, loss.value_and_slope, 0, 0.1
        )
        for by_blocks in (False, True):
            W1, b1, *_ = run(X, Y, None, *args, 0, 0.1, loss, W, b, by_blocks=by_blocks)
            assert_close(W1, iterates[-1][0], 1e-10)
            assert_close(b1, iterates[-1][1], 1e-10)


@pytest.mark.parametrize("p, n_outputs", [(300, 40), (1000, 3), (2, 2), (1, 1)])
def test_batches_of_several_blocks(p, n_outputs):
    n = 3000
    X, Y, W, b, rng = make_data(n, p, n_outputs)
    loss = LOSSES["squared_error"]
    args = (rng.permutation(n), 1700, np.full(2, 1e-3))
    iterates, losses = reference.epoch(
        W, b, X, Y, np.ones(n), *args, loss.value_and_slope, 0.01, 0.1
    )
    for storage in STORAGES:
        W1, b1, total1, *_ = run(
            stored(X, storage), Y, None, *args, 0.01, 0.1, loss, W, b, by_blocks=True
        )
        assert_close(W1, iterates[-1][0], 1e-10)
        assert_close(b1, iterates[-1][1], 1e-10)
        assert_close(total1, losses.sum(), 1e-10)


def test_nan_is_not_hidden_by_the_threshold():
    X, Y, W, b, _ = make_data()
    W[0, 0] = np.nan
    for storage in STORAGES:
        for by_blocks in (False, True):
            W1, *_ = run(
                stored(X, storage), Y, None, np.arange(13), 2, np.full(7, 0.1), 0.1,
                0.1, LOSSES["squared_error"], W, b, by_blocks=by_blocks,
            )  # fmt: skip
            assert np.isnan(W1[0, 0])


def test_loss_totals():
    X, Y, W, b, rng = make_data(n_outputs=2)
    s = rng.random(len(X))
    for loss in (LOSSES["squared_error"], LOSSES["huber"]):
        for Z in (X @ W.T + b, rng.normal(size=(1, 2))):
            values, _ = loss.value_and_slope(Y, np.broadcast_to(Z, Y.shape).copy())
            assert_close(loss_totals(loss, Y, s, Z), (s[:, None] * values).sum(axis=0))
            assert_close(loss_totals(loss, Y, None, Z), values.sum(axis=0))


@pytest.mark.parametrize("column", [-1, 7, 100])
def test_malformed_csr_is_turned_away(column):
    X = sp.csr_array(make_data()[0])
    X.indices[3] = column
    with pytest.raises(ValueError, match="column indices"):
        Rows(X)
    X = sp.csr_array(make_data()[0])
    X.indptr[2] = X.indptr[3] + 1
    with pytest.raises(ValueError, match="indptr is inconsistent"):
        Rows(X)


@pytest.mark.parametrize("by_blocks", [False, True])
def test_one_row_in_place_of_many(by_blocks):
    X, Y, W, b, _ = make_data()
    same = np.broadcast_to(X[0], X.shape)
    args = (np.arange(13), 13, np.full(1, 0.1), 0.0, 0.1, LOSSES["squared_error"], W, b)
    got = run(same, Y, None, *args, by_blocks=by_blocks)
    want = run(same.copy(), Y, None, *args, by_blocks=by_blocks)
    for a, d in zip(got[:3], want[:3], strict=True):
        assert_close(a, d)


def test_contiguous_rows_are_read_in_place():
    X = make_data(40, 7)[0]
    for held in (X, X[::2], X[5:], X.astype(np.float32)):
        assert Rows(held).shares_memory_with(held)
    csr = sp.csr_array(X)
    assert Rows(csr).shares_memory_with(csr.data)
    assert Rows(csr).shares_memory_with(csr.indices)
    assert not Rows(np.asfortranarray(X)).shares_memory_with(X)


# --------------------------------------------------------------- metric kernels


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_metric_epoch_equals_reference(loss, penalty, storage, n_outputs):
    X, Y, W, c, rng = make_data(n_outputs=n_outputs, loss=loss, density=0.4)
    n, p = X.shape
    function = LOSSES[loss]
    l1, l2 = PENALTIES[penalty]
    # The sparse loop keeps the scale and the path in single precision.
    scale = (rng.random(p) + 0.2).astype(np.float32).astype(np.float64)
    mean = rng.normal(size=p) if storage == "dense" else np.zeros(p)
    weights = rng.random(n) + 0.5
    for batch_size, by_blocks in ((1, False), (4, False), (4, True), (n, True)):
        for dtype, intercept, weighted, patience, every in (
            (np.float64, True, True, 0.0, 1),
            (np.float32, True, False, 0.0, 2),
            (np.float64, False, True, 0.3, 3),
            (np.float64, True, False, 0.3, 100),
        ):
            x = X.astype(dtype)
            s = weights if weighted else np.ones(n)
            order = rng.permutation(n)[: n - 1]
            n_updates = -(-len(order) // batch_size)
            steps = 0.2 / np.arange(1, n_updates + 1) ** 0.5
            lazy = storage != "dense" and not by_blocks
            *want, losses = reference.metric_epoch(
                W, c, x, Y, s, order, batch_size, steps, function.value_and_slope, l1,
                l2, mean, scale, intercept, patience, every, lazy,
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
                visits, steps, coef, centred, coef_sum, centred_sum, patience, every,
                means,
            )  # fmt: skip
            sizes = np.diff(np.arange(n_updates + 1) * len(order) // n_updates)
            got = coef, centred, coef_sum / weight_sum, centred_sum / weight_sum, means
            want.append(losses / sizes)
            # So does the norm that cuts a step.
            single = lazy and (l1 or l2 or dtype == np.float32)
            tolerance = 1e-6 if single else 1e-10
            assert_close(total, losses.sum(), tolerance)
            for a, b in zip(got, want, strict=True):
                assert_close(a, b, tolerance)


def test_row_products():
    X, _, _, _, rng = make_data()
    mean, scale = rng.normal(size=7), rng.random(7)
    want = np.column_stack([((X - mean) ** 2) @ scale, X @ (scale * mean)])
    for x in (X, np.hstack([X, X])[:, :7]):
        assert_close(row_products(Rows(x), mean, scale), want)
    single = row_products(Rows(X.astype(np.float32)), mean, scale)
    assert_close(single, want, 1e-5)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge"])
def test_loss_gradient(loss, storage, n_outputs):
    X, Y, W, b, rng = make_data(n_outputs=n_outputs, loss=loss)
    order, s = rng.permutation(len(X))[:-2], rng.random(len(X))
    rows = Rows(stored(X, storage))
    W = np.array(W, order=rows.order)
    arguments = rows, order, Y[order], s[order]
    for offset in (None, rng.normal(size=(len(order), n_outputs))):
        z = (X @ W.T + b)[order] + (0.0 if offset is None else offset)
        values, slopes = LOSSES[loss].value_and_slope(Y[order], z)
        slopes = s[order, None] * slopes
        room = np.empty_like(z)
        totals, gradient, slope, exact = loss_gradient(
            *arguments, LOSSES[loss], W, b, offset, room, LOSSES["squared_error"]
        )
        assert_close(totals, s[order] @ values)
        assert_close(gradient, slopes.T @ X[order])
        assert_close(slope, slopes.sum(axis=0))
        assert_close(room, z)
        errors = Y[order] - (X @ W.T + b)[order]
        assert_close(exact, s[order] @ errors**2 / 2)
        for a, other in zip(
            loss_gradient(*arguments, LOSSES[loss], W, b, offset),
            (totals, gradient, slope, totals),
            strict=True,
        ):
            assert_close(a, other)
    assert_close(predictions_at(rows, order, W, b), (X @ W.T + b)[order])


def test_loss_gradient_turns_other_shapes_away():
    X, Y, W, b, _ = make_data()
    order = np.arange(len(X))
    for name in ("offset", "z"):
        with pytest.raises(ValueError, match="a value for each visit and output"):
            loss_gradient(
                Rows(X), order, Y, None, LOSSES["squared_error"], W, b,
                **{name: np.zeros((len(X) - 1, 1))},
            )  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", STORAGES)
def test_feature_moments(storage, dtype, weighted):
    X, _, _, _, rng = make_data()
    X = X.astype(dtype)
    rows = rng.permutation(len(X))[:-3]
    weight = rng.random(len(rows)) if weighted else None
    w = np.ones(len(rows)) if weight is None else weight
    x = X[rows].astype(np.float64)
    mean = np.average(x, 0, w)
    share = np.ones(7) if storage == "dense" else np.average(x != 0, 0, w)
    want = w.sum(), mean, np.average((x - mean) ** 2, 0, w), share
    got = feature_moments(Rows(stored(X, storage)), rows, weight)
    for a, b in zip(got, want, strict=True):
        assert_close(a, b)


def test_moments_of_sparse_features_far_from_zero():
    rng = np.random.default_rng(0)
    X = 1e6 + rng.normal(size=(500, 1))
    _, mean, variance, _ = feature_moments(Rows(sp.csr_array(X)), np.arange(500), None)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(variance, X.var(axis=0), rtol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n, p", [(12, 1), (12, 7), (150, 30)])
def test_second_moments(n, p, storage, dtype, fit_intercept):
    X, _, _, _, rng = make_data(n, p)
    X = X.astype(dtype)
    rows, mean, root = rng.permutation(n)[:-3], rng.normal(size=p), rng.random(p)
    z = np.column_stack([(X[rows] - mean) * root, np.full(n - 3, fit_intercept)])
    for weight in (None, rng.normal(size=n - 3)):
        w = 1.0 if weight is None else weight[:, None]
        got = second_moments(
            Rows(stored(X, storage)), rows, weight, mean, root, fit_intercept
        )
        assert_close(got, z.T @ (w * z))
    with pytest.raises(ValueError, match="a mean and a root for each feature"):
        second_moments(Rows(X), rows, None, mean, root[:-1], True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 3, 4, 15, 16, 64, 255, 256, 290])
def test_rows_of_any_length(p, dtype):
    rng = np.random.default_rng(p)
    X = rng.normal(size=(30, p)).astype(dtype)
    Y, order = rng.normal(size=(30, 1)), rng.permutation(30)
    loss = LOSSES["squared_error"]
    W, b = np.zeros((1, p)), np.zeros(1)
    steps = np.full(30, 0.1 / p)
    iterates, _ = reference.epoch(
        W, b, X, Y, np.ones(30), order, 1, steps, loss.value_and_slope, 0.0, 0.1
    )
    one = steps[:1]
    run_epoch(Rows(X), order, Y[order], None, 1, one, 0.0, 0.1, loss, W, b, True)
    w, c = iterates[-1]
    np.testing.assert_allclose(W, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(b, c, rtol=0, atol=1e-12)
    arguments = Rows(X), order, Y[order], None, loss, W, b
    (total,), *_ = loss_gradient(*arguments)
    assert_close(loss_at(*arguments), total)
