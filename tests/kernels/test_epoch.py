"""Epochs against tests/reference.py, over every combination they are built from."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from cases import (
    LOSSES,
    PENALTIES,
    STORAGES,
    SWITCHES,
    assert_close,
    make_data,
    stored,
)
from skgd.kernels import Epoch, Rows, loss_at, loss_gradient
from skgd.objective.classification import Multinomial, OneVsRest
from skgd.objective.table import CLASSIFICATION_LOSSES


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


@pytest.mark.parametrize("averaging", [False, True])
@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 13])
@pytest.mark.parametrize("dtype, intercept, n_outputs, weighted", SWITCHES)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_epoch_equals_reference(
    loss, penalty, storage, dtype, intercept, n_outputs, weighted, batch_size,
    by_blocks, averaging,
):  # fmt: skip
    """Invariant 2."""
    X, Y, W, b, rng = make_data(n_outputs=n_outputs, loss=loss)
    X = X.astype(dtype)
    n = len(X)
    s = rng.random(n) + 0.5 if weighted else np.ones(n)
    order = rng.permutation(n)[: n - 2]
    l1, l2 = PENALTIES[penalty]
    function = LOSSES[loss]
    n_updates = -(-len(order) // batch_size)
    steps = 0.1 / np.arange(1, n_updates + 1) ** 0.5
    iterates, losses = reference.epoch(
        W, b, X, Y, s, order, batch_size, steps, function.value_and_slope, l1, l2,
        intercept,
    )  # fmt: skip
    average_from = n_updates // 3
    sums = {}
    if averaging:
        sums = dict(
            coef_sum=np.zeros_like(W),
            intercept_sum=np.zeros_like(b),
            average_from=average_from,
        )
    means = np.empty(n_updates)
    W1, b1, total, W_sum, b_sum = run(
        stored(X, storage), Y, s if weighted else None, order, batch_size, steps, l1,
        l2, function, W, b, intercept, by_blocks=by_blocks, losses=means, **sums,
    )  # fmt: skip
    assert_close(W1, iterates[-1][0])
    assert_close(b1, iterates[-1][1])
    assert_close(total, losses.sum())
    sizes = [len(part) for part in batches(order, batch_size)]
    assert_close(means, losses / sizes)
    if averaging:
        averages = reference.average(iterates[average_from:])
        assert_close(W_sum / (n_updates - average_from), averages[0])
        assert_close(b_sum / (n_updates - average_from), averages[1])


@pytest.mark.parametrize("averaging", [False, True])
@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("storage", STORAGES)
def test_epochs_share_memory_but_nothing_else(storage, penalty, by_blocks, averaging):
    """The second epoch of one object is that of another object."""
    X, Y, W, b, rng = make_data(n_outputs=2)
    rows, l1, l2 = Rows(stored(X, storage)), *PENALTIES[penalty]
    options = dict(
        batch_size=4, n_outputs=2, fit_intercept=True, by_blocks=by_blocks,
        averaging=averaging,
    )  # fmt: skip
    one, results = Epoch(rows, LOSSES["huber"], l1, l2, **options), []
    for objects in ((one, one), (one, Epoch(rows, LOSSES["huber"], l1, l2, **options))):
        coef, intercept = np.array(W, order=rows.order), b.copy()
        sums = [np.zeros_like(coef), np.zeros_like(b)] if averaging else [None, None]
        for seed, updates in enumerate(objects):
            order = np.random.default_rng(seed).permutation(len(X))[: 9 + 4 * seed]
            visits = order, Y[order], None
            updates.run(visits, np.full(1, 0.1), coef, intercept, *sums)
        results.append((coef, intercept, *sums))
    for a, c in zip(*results, strict=True):
        np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize(
    "message, changed",
    [
        ("a step for each update", {"steps": np.ones(3)}),
        ("room for the loss", {"losses": np.ones(3)}),
        ("an intercept for each output", {"W": np.zeros((2, 7)), "b": np.ones(2)}),
        ("W must be C-ordered", {"W": np.zeros((1, 6))}),
        ("a target and a weight", {"order": np.arange(12)}),
        (
            "if, and only if",
            {"coef_sum": np.zeros((1, 7)), "intercept_sum": np.zeros(1)},
        ),
    ],
)
def test_arrays_of_an_epoch_must_fit_its_options(message, changed):
    X, Y, W, b, _ = make_data()
    updates = Epoch(
        Rows(X), LOSSES["huber"], 0.0, 0.0, batch_size=4, n_outputs=1,
        fit_intercept=True,
    )  # fmt: skip
    arrays = {"order": np.arange(13), "steps": np.full(1, 0.1), "W": W, "b": b}
    arrays |= changed
    visits = arrays.pop("order"), Y, None
    first = (arrays.pop(name) for name in ("steps", "W", "b"))
    with pytest.raises(ValueError, match=message):
        updates.run(visits, *first, **arrays)


def test_an_epoch_without_visits_changes_nothing():
    X, Y, W, b, _ = make_data()
    before = W.copy(), b.copy()
    options = dict(batch_size=4, n_outputs=1, fit_intercept=True)
    updates = Epoch(Rows(X), LOSSES["huber"], 0.1, 0.1, **options)
    assert updates.run((np.arange(0), Y[:0], None), np.full(1, 0.1), W, b) == 0.0
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(b, before[1])


shapes = st.tuples(st.integers(1, 20), st.integers(1, 90), st.integers(1, 4))


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


@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 13])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_multinomial_epoch_equals_reference(
    storage, weighted, penalty, batch_size, by_blocks
):
    X, _, W, b, rng = make_data(n_outputs=4)
    labels = rng.integers(4, size=(len(X), 1)).astype(float)
    s = rng.random(len(X)) + 0.5 if weighted else np.ones(len(X))
    order = rng.permutation(len(X))
    steps = 0.3 / np.arange(1, -(-len(X) // batch_size) + 1)
    args = order, batch_size, steps
    iterates, losses = reference.epoch(
        W, b, X, labels, s, *args, reference.multinomial, *PENALTIES[penalty]
    )
    W1, b1, total, *_ = run(
        stored(X, storage), labels, s if weighted else None, *args,
        *PENALTIES[penalty], Multinomial(), W, b, by_blocks=by_blocks,
    )  # fmt: skip
    assert_close(W1, iterates[-1][0])
    assert_close(b1, iterates[-1][1])
    assert_close(total, losses.sum())


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


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("p", [3, 60])
def test_lazy_updates_over_a_long_epoch(penalty, p, storage):
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
@pytest.mark.parametrize("l2", [10.0, 25.0])
def test_decay_of_one_and_more_sets_weights_to_zero(l2, storage, by_blocks):
    X, Y, W, b, _ = make_data()
    loss = LOSSES["squared_error"]
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


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("l2", [10.0, 25.0])
def test_decay_of_one_and_more_in_plain_descent(l2, storage):
    X, Y, W, b, _ = make_data()
    loss = LOSSES["squared_error"]
    args = (np.arange(len(X)), 1, np.full(len(X), 0.1))
    iterates, _ = reference.epoch(
        W, b, X, Y, np.ones(len(X)), *args, loss.value_and_slope, 0.0, l2
    )
    W1, b1, *_ = run(stored(X, storage), Y, None, *args, 0.0, l2, loss, W, b)
    assert_close(W1, iterates[-1][0])
    assert_close(b1, iterates[-1][1])


@pytest.mark.parametrize("p", [9001, 20_000])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_more_features_than_one_product_holds(
    batch_size, by_blocks, p, n_outputs, dtype
):
    X, Y, W, b, _ = make_data(6, p, n_outputs)
    X = X.astype(dtype)
    loss = LOSSES["squared_error"]
    args = (np.arange(6), batch_size, np.full(6 // batch_size, 1e-5))
    iterates, _ = reference.epoch(
        W, b, X, Y, np.ones(6), *args, loss.value_and_slope, 0, 0.1
    )
    W1, b1, *_ = run(X, Y, None, *args, 0, 0.1, loss, W, b, by_blocks=by_blocks)
    assert_close(W1, iterates[-1][0], 1e-10)
    assert_close(b1, iterates[-1][1], 1e-10)


@pytest.mark.parametrize("p, n_outputs", [(300, 40), (1000, 3), (2, 2), (1, 1)])
@pytest.mark.parametrize("storage", STORAGES)
def test_batches_of_several_blocks(storage, p, n_outputs):
    n = 3000
    X, Y, W, b, rng = make_data(n, p, n_outputs)
    loss = LOSSES["squared_error"]
    args = (rng.permutation(n), 1700, np.full(2, 1e-3))
    iterates, losses = reference.epoch(
        W, b, X, Y, np.ones(n), *args, loss.value_and_slope, 0.01, 0.1
    )
    W1, b1, total1, *_ = run(
        stored(X, storage), Y, None, *args, 0.01, 0.1, loss, W, b, by_blocks=True
    )
    assert_close(W1, iterates[-1][0], 1e-10)
    assert_close(b1, iterates[-1][1], 1e-10)
    assert_close(total1, losses.sum(), 1e-10)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("by_blocks", [False, True])
def test_nan_is_not_hidden_by_the_threshold(storage, by_blocks):
    X, Y, W, b, _ = make_data()
    W[0, 0] = np.nan
    W1, *_ = run(
        stored(X, storage), Y, None, np.arange(13), 2, np.full(7, 0.1), 0.1, 0.1,
        LOSSES["squared_error"], W, b, by_blocks=by_blocks,
    )  # fmt: skip
    assert np.isnan(W1[0, 0])


@pytest.mark.parametrize("by_blocks", [False, True])
def test_one_row_in_place_of_many(by_blocks):
    X, Y, W, b, _ = make_data()
    same = np.broadcast_to(X[0], X.shape)
    args = (np.arange(13), 13, np.full(1, 0.1), 0.0, 0.1, LOSSES["squared_error"], W, b)
    got = run(same, Y, None, *args, by_blocks=by_blocks)
    want = run(same.copy(), Y, None, *args, by_blocks=by_blocks)
    for a, d in zip(got[:3], want[:3], strict=True):
        assert_close(a, d)


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
