"""Rows, losses and gradients over all of them, and moments of features."""

import numpy as np
import pytest
import scipy.sparse as sp

from cases import LOSSES, STORAGES, assert_close, make_data, stored
from skgd.kernels import (
    Rows,
    feature_moments,
    loss_gradient,
    loss_totals,
    predictions_at,
    second_moments,
)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_loss_totals(loss, constant):
    X, Y, W, b, rng = make_data(n_outputs=2)
    loss, s = LOSSES[loss], rng.random(len(X))
    Z = rng.normal(size=(1, 2)) if constant else X @ W.T + b
    values, _ = loss.value_and_slope(Y, np.broadcast_to(Z, Y.shape).copy())
    assert_close(loss_totals(loss, Y, s, Z), (s[:, None] * values).sum(axis=0))
    assert_close(loss_totals(loss, Y, None, Z), values.sum(axis=0))


@pytest.mark.parametrize("column", [-1, 7, 100])
def test_columns_beyond_the_features_are_turned_away(column):
    X = sp.csr_array(make_data()[0])
    X.indices[3] = column
    with pytest.raises(ValueError, match="column indices"):
        Rows(X)


def test_rows_that_end_before_they_begin_are_turned_away():
    X = sp.csr_array(make_data()[0])
    X.indptr[2] = X.indptr[3] + 1
    with pytest.raises(ValueError, match="indptr is inconsistent"):
        Rows(X)


@pytest.mark.parametrize("n_targets, n_weights", [(12, 13), (13, 12), (13, 14)])
def test_there_is_a_target_and_a_weight_for_each_visit(n_targets, n_weights):
    X, Y, W, b, _ = make_data()
    arguments = np.arange(13), Y[:n_targets], np.ones(n_weights), LOSSES["huber"], W, b
    with pytest.raises(ValueError, match="a target and a weight for each visit"):
        loss_gradient(Rows(X), *arguments)


@pytest.mark.parametrize("name", ["data", "indices"])
def test_rows_that_end_beyond_their_values_are_turned_away(name):
    X = sp.csr_array(np.eye(5))
    setattr(X, name, getattr(X, name)[:-1])
    with pytest.raises(ValueError, match="indptr is inconsistent"):
        Rows(X)


@pytest.mark.parametrize("rows", [slice(None), slice(None, None, 2), slice(5, None)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_contiguous_rows_are_read_in_place(rows, dtype):
    held = make_data(40, 7)[0].astype(dtype)[rows]
    assert Rows(held).shares_memory_with(held)


def test_csr_is_read_in_place_and_columns_are_not():
    X = make_data(40, 7)[0]
    csr = sp.csr_array(X)
    assert Rows(csr).shares_memory_with(csr.data)
    assert Rows(csr).shares_memory_with(csr.indices)
    assert not Rows(np.asfortranarray(X)).shares_memory_with(X)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge"])
def test_loss_gradient(loss, storage, n_outputs, shifted):
    X, Y, W, b, rng = make_data(n_outputs=n_outputs, loss=loss)
    order, s = rng.permutation(len(X))[:-2], rng.random(len(X))
    rows = Rows(stored(X, storage))
    W = np.array(W, order=rows.order)
    arguments = rows, order, Y[order], s[order]
    offset = rng.normal(size=(len(order), n_outputs)) if shifted else None
    z = (X @ W.T + b)[order] + (offset if shifted else 0.0)
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


@pytest.mark.parametrize("storage", STORAGES)
def test_each_block_has_its_offsets(storage):
    X, Y, W, b, rng = make_data(3000)
    rows = Rows(stored(X, storage))
    W, order = np.array(W, order=rows.order), np.arange(len(X))
    offset, room = rng.normal(size=(len(X), len(b))), np.empty((len(X), len(b)))
    loss_gradient(rows, order, Y, None, LOSSES["log_loss"], W, b, offset, room)
    assert_close(room, X @ W.T + b + offset)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("storage", STORAGES)
def test_predictions_at(storage, n_outputs):
    X, _, W, b, rng = make_data(n_outputs=n_outputs)
    order, rows = rng.permutation(len(X))[:-2], Rows(stored(X, storage))
    W = np.array(W, order=rows.order)
    assert_close(predictions_at(rows, order, W, b), (X @ W.T + b)[order])


@pytest.mark.parametrize("name", ["offset", "z"])
def test_loss_gradient_turns_other_shapes_away(name):
    X, Y, W, b, _ = make_data()
    order = np.arange(len(X))
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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n, p", [(12, 1), (12, 7), (150, 30)])
def test_second_moments(n, p, storage, dtype, fit_intercept, weighted):
    X, _, _, _, rng = make_data(n, p)
    X = X.astype(dtype)
    rows, mean, root = rng.permutation(n)[:-3], rng.normal(size=p), rng.random(p)
    z = np.column_stack([(X[rows] - mean) * root, np.full(n - 3, fit_intercept)])
    weight = rng.normal(size=n - 3) if weighted else None
    w = weight[:, None] if weighted else 1.0
    rows_held = Rows(stored(X, storage))
    got = second_moments(rows_held, rows, weight, mean, root, fit_intercept)
    assert_close(got, z.T @ (w * z))


def test_second_moments_want_a_mean_and_a_root_for_each_feature():
    X = make_data()[0]
    with pytest.raises(ValueError, match="a mean and a root for each feature"):
        second_moments(Rows(X), np.arange(9), None, np.zeros(7), np.ones(6), True)
