"""eta0="auto" of partial_fit: rows learnt one by one, without end.

What a call goes on from is a dict of arrays: sums over the rows so far, the model and
its average (see `Stream` in kernels/stream.pxd). It is the same whether rows came in
one call or in several. All rows count alike, unless they are to be forgotten.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from skgd.kernels import (
    AVERAGE_VALUES,
    DUE,
    FIRST_SPARSE,
    LARGEST,
    N_ROWS,
    N_SCALARS,
    NOW,
    PAST,
    PENDING,
    POWER,
    WEIGHT,
    Rows,
    run_stream,
    stream_result,
)
from skgd.optim.sums import times

# Sparse rows of at most so many features are learnt as dense ones: only these are
# centred, without which columns far from zero are hardly learnt.
DENSE_FEATURES = 100
OF_FEATURES = {
    "square", "stored", "ratio", "birth", "coef", "coef_mean", "sign_mean", "seen"
}  # fmt: skip
SAMPLE = 1000  # rows that the sums over gradients are taken from at the end of a fit


def is_sparse(X):
    """Whether a stream that begins with these rows is one of sparse rows."""
    return sp.issparse(X) and X.shape[1] > DENSE_FEATURES


def stored_as(sparse, X):
    """The rows in the storage of a stream."""
    if sparse == sp.issparse(X):
        return X
    return sp.csr_array(X) if sparse else X.toarray()


def start(problem, dtype, sparse=None):
    """The state before the first row."""
    K, p = problem.n_outputs, problem.data.n_features
    sparse = problem.data.sparse if sparse is None else sparse
    order = "F" if sparse else "C"
    penalised = sparse and (problem.l1 or problem.l2)
    state = {
        "dtype": np.dtype(dtype),
        "sparse": sparse,
        "scalars": np.zeros(N_SCALARS),
        "mean": np.zeros(0 if sparse else p),
        "square": np.zeros(p),
        "stored": np.zeros(p if sparse else 0),
        "ratio": np.zeros(p if sparse else 0),
        "coef": np.zeros((K, p), order=order),
        "intercept": np.zeros(K),
        "distance": np.zeros(K),
        "squares": np.zeros(K),
        "losses": np.zeros(K),
        "slopes": np.zeros(K),
        "coef_mean": np.zeros((K, p), order=order),
        "intercept_mean": np.zeros(K),
        "mean_then": np.zeros(0 if sparse else p),
        "birth": np.zeros(p),
        "sign_mean": np.zeros((K, p if problem.l1 else 0), order=order),
        "path": np.zeros(K),
        "seen": np.zeros((K, p if penalised else 0), order=order),
        "norms": np.zeros(K),
    }
    state["scalars"][NOW] = 1.0
    if problem.fit_intercept and problem.loss.starts_at_first_row:
        row = problem.data.take(np.arange(1)).targets()
        first = problem.loss.constant(row, K)
        # Of a count of zero, the logarithm is -inf.
        if not problem.loss.residual:
            first = np.maximum(first, -2.0 - row.offset)
        state["intercept"][:] = state["intercept_mean"][:] = first
    return state


def after_fit(problem, measured, coef, intercept, rng):
    """The state of a stream whose first rows were those of a fit, of the problem."""
    with np.errstate(all="ignore"):
        return _after_fit(problem, measured, coef, intercept, rng)


def _after_fit(problem, measured, coef, intercept, rng):
    n, weight = problem.n_rows, measured.weight
    sample = problem.data.sample(SAMPLE, rng)
    sparse = is_sparse(sample.array)
    problem = replace(problem, data=sample)
    state = start(problem, sample.dtype, sparse)
    state["scalars"][[WEIGHT, N_ROWS, PAST]] = weight, n, POWER * n
    centred = problem.fit_intercept and not sparse
    if centred:
        state["mean"][:] = measured.mean
    _, second = measured.about(centred)
    state["square"][:] = second * weight
    if sparse:
        state["stored"][:] = np.minimum(measured.stored, 1.0) * weight
        roots, squares = np.sqrt(state["stored"]), state["square"]
        known = (squares > 0.0) & (squares < 1e300)
        np.divide(roots, squares, out=state["ratio"], where=known)
    go_on_from(problem, state, coef, intercept)
    if problem.l1:
        state["sign_mean"][:] = np.sign(coef)
    # A look at some rows, without learning.
    rows, y, weights = sample.visits()
    data = sample.X
    if sparse != data.sparse:
        data = Rows(stored_as(sparse, sample.array[rows]))
        rows = np.arange(len(rows))
    probe = going_on(problem, state)
    run_stream(
        data, rows, y, weights, problem.l1, problem.l2,
        problem.loss, problem.fit_intercept, probe, frozen=True,
    )  # fmt: skip
    for name in ("squares", "slopes", "losses"):
        state[name][:] = probe[name] * max(n / SAMPLE, 1.0)
    return state


def touched(state, X, half_life):
    """Features whose arrays a call with these rows may change; None for all."""
    if not state["sparse"] or X.nnz >= X.shape[1]:
        return None
    past, due, now = state["scalars"][[PAST, DUE, NOW]]
    doubled = np.log2(now) + (0.0 if half_life is None else X.shape[0] / half_life)
    if (
        doubled >= np.log2(LARGEST)
        or past < FIRST_SPARSE * 2.0**doubled
        or due + X.nnz >= AVERAGE_VALUES * X.shape[1]
    ):
        return None  # all are scaled, or averaged
    return X.indices[: X.nnz].astype(np.intp)


def undoing(state, features):
    """What gives a state, of which these features may change, its values back.

    Features may be None: of a state that is thrown away.
    """
    before = {}
    for name, array in state.items() if features is not None else ():
        if name in OF_FEATURES and array.size:
            # Indices are in range; to find out takes longer than to take.
            before[name] = array.T.take(features, axis=0, mode="clip")
        elif isinstance(array, np.ndarray):
            before[name] = array.copy()

    def undo():
        for name, values in before.items():
            if name in OF_FEATURES and values.size:
                state[name].T[features] = values
            else:
                state[name][...] = values

    return undo


def scale_of(state):
    """The scale of each feature in the metric."""
    weight, square = state["scalars"][WEIGHT], state["square"]
    if state["sparse"]:
        return np.sqrt(weight) * state["ratio"]
    scale = np.zeros_like(square)
    with np.errstate(all="ignore"):
        np.divide(weight, square, out=scale, where=square > 0.0)
    scale[~np.isfinite(scale)] = 0.0
    return scale


def serves(problem, state):
    """Whether a state has what the present penalties need."""
    penalised = state["sparse"] and (problem.l1 or problem.l2)
    return bool(state["sign_mean"].size) == bool(problem.l1) and bool(
        state["seen"].size
    ) == bool(penalised)


def going_on(problem, state):
    """A copy of a state, with what the present penalties need."""
    new = copied(state)
    coef = new["coef"]
    penalised = state["sparse"] and (problem.l1 or problem.l2)
    if bool(new["sign_mean"].size) != bool(problem.l1):
        new["sign_mean"] = np.sign(coef) if problem.l1 else coef[:, :0].copy()
    if bool(new["seen"].size) != bool(penalised):
        new["seen"] = np.empty_like(coef if penalised else coef[:, :0])
        new["seen"][:] = new["path"][:, None]
    return new


def copied(state):
    return {
        name: value.copy(order="A") if isinstance(value, np.ndarray) else value
        for name, value in state.items()
    }


def go_on_from(problem, state, coef, intercept, rows=0.0):
    """Put another model in place of the present one; what was seen still counts.

    `rows` is how many rows of a stream that has not begun the model comes from.
    """
    if rows:
        state["scalars"][PAST] = POWER * rows
    state["coef"][:] = state["coef_mean"][:] = coef
    if not state["sparse"]:
        intercept = intercept + times(coef, state["mean"])
    state["intercept"][:] = state["intercept_mean"][:] = intercept
    state["scalars"][PENDING] = 0.0
    if not state["sparse"]:
        state["mean_then"][:] = state["mean"]
    if state["seen"].size:
        state["seen"][:] = state["path"][:, None]
    scale = scale_of(state)
    with np.errstate(all="ignore"):
        inverse = np.where(scale > 0.0, 1.0 / scale, 0.0)
        norms = np.nan_to_num(times(coef**2, inverse), posinf=0.0)
    if problem.loss.coupled:
        norms[0] = norms.sum()  # coupled outputs have their sums in the first place
    state["norms"][:] = norms
    state["distance"][:] = np.maximum(state["distance"], np.sqrt(norms))


def growth(half_life):
    """By which a row weighs more than the one before it."""
    return 1.0 if half_life is None else 2.0 ** (1.0 / half_life)


def learn(problem, state, visits, half_life=None, losses=None):
    """Go over the rows; `state` is changed in place. Returns the sum of losses."""
    return run_stream(
        problem.data.X, *visits, problem.l1, problem.l2, problem.loss,
        problem.fit_intercept, state, growth=growth(half_life), losses=losses,
    )  # fmt: skip


def result(problem, state):
    """Coefficients and intercepts to predict with: the average; `state` stays."""
    curvature = problem.loss.max_curvature
    if problem.l1 and not np.isfinite(curvature):
        curvature = state["slopes"].sum() / max(2.0 * state["losses"].sum(), 1e-300)
    return stream_result(state, problem.l1, problem.l2, curvature or 1.0)
