"""Estimators fitted together, which differ in steps, penalty and stopping only."""

from copy import copy

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import accuracy_score, r2_score

from skgd.estimators import advice, fitted
from skgd.estimators.inputs import check_data, make_problem
from skgd.objective import penalties
from skgd.optim import choose
from skgd.optim.stack import Stack
from skgd.training.state import Memory
from skgd.training.together import Member, train_together

# Parameters that may differ within a stack.
OWN = {
    "eta0", "learning_rate", "power_t", "penalty", "alpha", "l1_ratio", "max_iter",
    "tol", "n_iter_no_change",
}  # fmt: skip
MOST_MODELS = 64  # with more, W leaves the cache and nothing is gained
MOST_BYTES = 1 << 28  # of a stack
COPIES = 6  # of W: those in training, the best, the first, the gradient and spare ones


class AloneError(Exception):
    """Why a fit cannot be trained together with others."""


def why_alone(estimator):
    """Why an estimator of valid parameters is fitted alone; None if it need not be."""
    e = estimator
    if e.eta0 == "auto" and e.learning_rate != "optimal":
        return "eta0='auto'"
    if e.solver == "sgd" or (e.solver == "minibatch" and e.batch_size == 1):
        return "single rows"
    if penalties.strengths(e.penalty, e.alpha, e.l1_ratio)[0]:
        return "an L1 penalty"
    if not isinstance(e.loss, str):
        return "a loss of the user"
    if e._losses[e.loss][0].degenerate:
        return "a loss that guides nothing"
    if callable(e.learning_rate):
        return "a callable learning_rate"
    if e.average or e.momentum or e.early_stopping or e.warm_start:
        return "average, momentum, early_stopping or warm_start"
    if e.record != "epoch":
        return "record"
    if e.verbose or getattr(e, "_skl_callbacks", None):
        return "verbose or callbacks"
    if not (e.random_state is None or isinstance(e.random_state, int | np.integer)):
        return "a RandomState"
    return None


def shared(estimator):
    """A key that is equal for estimators that may be trained together."""
    values = estimator.get_params(deep=False).items()
    return type(estimator), *((k, repr(v)) for k, v in values if k not in OWN)


def prepare(estimators, X, y, sample_weight, rows):
    """The problem of rows of X, for `train`; raises if `fit` would, or AloneError.

    The estimators learn what `fit` learns of the data.
    """
    first = copy(estimators[0])
    parameters = set(vars(first))
    X, y, sample_weight = check_data(first, X, y, sample_weight)
    if not isinstance(X, np.ndarray):
        raise AloneError("sparse data")
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    if len(rows) < 2:
        raise AloneError("fewer than two rows")
    first._learn_targets(y[rows])
    first._took_offset = False
    problem = make_problem(first, X, y, sample_weight, rows, normalize=True)
    if problem.n_outputs != 1 or problem.data.y.shape[1] != 1:
        raise AloneError("several classes or targets")
    # The rows of a fold are a copy in `fit`, not the map that they come from.
    problem.data.blocks = None
    learnt = {k: v for k, v in vars(first).items() if k not in parameters}
    for estimator in estimators:
        vars(estimator).update(learnt)
    return problem


def models_at_once(n_features, n_test):
    """How many models of a stack there is memory for."""
    most = MOST_BYTES // (8 * (COPIES * n_features + n_test))
    return max(1, min(most, MOST_MODELS))


def train(estimators, problem, random_state):
    """Fit estimators of equal `shared`; returns how each ended badly, or None."""
    data = problem.data
    rng = np.random.default_rng([random_state, 1])  # as of `fit`
    # What all take from the problem of the first is worked out once.
    _ = problem.constant_objective, problem.zero_objective
    members, firsts = [], []
    for e in estimators:
        strengths = penalties.strengths(e.penalty, e.alpha, e.l1_ratio)
        one = problem.with_penalty(*strengths)
        state = e._start(one)
        batch_size = choose.rows_per_update(e.solver, e.batch_size, one, False)
        method, eta0 = choose.textbook_method(one, state, batch_size, rng, vars(e))
        members.append(Member(state, method, e.max_iter, e.tol, e.n_iter_no_change))
        firsts.append(eta0)
    endings = train_together(
        Stack(problem, members),
        members,
        shuffle=rng if estimators[0].shuffle else None,
        largest=float(np.finfo(data.dtype).max),
    )
    outcomes = []
    for e, member, ending, eta0 in zip(
        estimators, members, endings, firsts, strict=True
    ):
        one = member.method.problem
        if data.dtype != np.float64:
            fitted.round_ending(ending, one, data.dtype, e.tol)
        fitted.keep(e, ending, member.history, data.dtype, Memory())
        e.eta0_, e.batch_size_ = eta0, batch_size
        outcomes.append(advice.in_a_word(ending, member.history, one, e.tol))
    return outcomes


def default_scores(estimators, X, y):
    """What `score` is for each of estimators of one output, by one product."""
    model = copy(estimators[0])
    model.coef_ = np.concatenate([np.atleast_2d(e.coef_) for e in estimators])
    model.intercept_ = np.concatenate([e.intercept_ for e in estimators])
    z, _ = model._linear_predictions(X, None)
    if isinstance(model, RegressorMixin):
        predicted = model._predictions(z)
        y = np.broadcast_to(y.reshape(-1, 1), predicted.shape)
        return r2_score(y, predicted, multioutput="raw_values").tolist()
    classes, second = model.classes_, z > 0
    accuracy_score(y, classes[second[:, 0].astype(int)])  # raises where y is no labels
    right = np.isin(y, classes)[:, None] & (second == (y == classes[1])[:, None])
    return right.mean(axis=0).tolist()
