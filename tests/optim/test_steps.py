"""Step sizes, and what they are made of, by their formulas."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import reference
from cases import LOSSES
from skgd.kernels import PAST, POWER, Rows, by_blocks
from skgd.objective.classification import Multinomial
from skgd.objective.regression import AbsoluteError
from skgd.objective.targets import Targets
from skgd.optim import choose, streaming
from skgd.optim.automatic import Automatic
from skgd.optim.finish import Finish
from skgd.optim.metric import measure, noise_share
from skgd.optim.stability import stable_step
from skgd.optim.stochastic import Stochastic
from skgd.training.data import LocalData
from skgd.training.method import Ending
from skgd.training.problem import Problem
from skgd.training.state import State, best_of

WEIGHTS = [None, np.repeat([0.2, 1.0, 1.8], 20)]


def problem_of(weight=None, n=60, p=4, K=1, loss="squared_error", l1=0.0, l2=0.0):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * np.arange(1.0, p + 1)
    loss = LOSSES[loss] if isinstance(loss, str) else loss
    y = rng.integers(K, size=(n, 1)).astype(float)
    y = y if loss.coupled else rng.normal(size=(n, K))
    return Problem(LocalData(X, y, weight), loss, K, l1, l2, True)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_stable_step(batch_size, weight):
    problem, n, b = problem_of(weight, l2=0.3), 60, batch_size
    s = np.ones(n) if weight is None else weight
    Z = np.column_stack([problem.data.array, np.ones(n)])
    smoothness = np.linalg.eigvalsh(Z.T * s @ Z / n)[-1]
    largest = (s * (Z**2).sum(axis=1)).max()
    expected = (n * (b - 1) * smoothness + (n - b) * largest) / (b * (n - 1))
    step = stable_step(problem, batch_size, np.random.default_rng(0))
    assert step == pytest.approx(1.0 / (2.0 * (expected + 0.3)), rel=1e-3)


def test_share_of_noise_in_a_batch():
    assert noise_share(1, 60) == 1.0
    assert noise_share(60, 60) == noise_share(1, 1) == 0.0
    assert noise_share(4, 61) == 57 / (4 * 60)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_first_step_in_the_metric(weight):
    """Its noise is that of rows times their weights."""
    problem = problem_of(weight)
    rng = np.random.default_rng(0)
    measured, metric, _ = measure(problem, rng, lambda measured: None)
    s = np.ones(60) if weight is None else weight
    assert measured.squared_weight == pytest.approx(np.mean(s**2))
    assert metric.norm == pytest.approx(5.0)
    state = State(np.zeros((1, 4)), np.zeros(1))
    method = Stochastic(problem, state, metric, measured, "minibatch", 6)
    nu = noise_share(6, 60)
    smoothness = (1.0 - nu) * measured.smoothness + nu * 5.0 * np.mean(s**2)
    assert method.eta0 == pytest.approx(1.0 / smoothness)
    steps = method.steps(60, 10)
    assert steps[0] == pytest.approx(method.eta0)
    assert (np.diff(steps) < 0.0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_that_vary_by_rounding_errors_do_not_move(dtype):
    X = np.full((50, 2), 1e3, dtype)
    X[:, 0] = np.arange(50)
    X[::2, 1] = np.nextafter(X[0, 1], dtype(2e3))
    y = np.arange(50.0)[:, None]
    problem = Problem(LocalData(X, y), LOSSES["squared_error"], 1, 0.0, 0.0, True)
    _, metric, _ = measure(problem, np.random.default_rng(0), lambda measured: None)
    assert metric.scale[1] == 0.0 < metric.scale[0]


def test_an_epoch_that_went_wrong_is_undone():
    problem = problem_of()
    measured, metric, _ = measure(problem, np.random.default_rng(0), lambda _: None)
    state = State(np.full((1, 4), 0.1), np.full(1, 0.2))
    method = Stochastic(problem, state, metric, measured, "sgd", 1)
    method.poor = -1.0
    first = method.steps(60, 60)[0]
    method.epoch(state, problem.data.visits())
    np.testing.assert_array_equal(state.coef, 0.1)
    np.testing.assert_array_equal(state.intercept, 0.2)
    method.rows_seen = 0
    assert method.steps(60, 60)[0] == pytest.approx(first / 10.0)


def test_curvature_of_targets_most_of_which_are_equal():
    """The median distance from the median is zero then; the mean is 2."""
    targets = Targets(np.array([0.0, 0.0, 0.0, 8.0])[:, None])
    assert AbsoluteError().curvature(targets) == 0.5
    assert AbsoluteError().curvature(Targets(np.ones((4, 1)))) == 1.0


@pytest.mark.parametrize("weight", WEIGHTS)
def test_objective_is_mean_loss_and_penalty(weight):
    problem = problem_of(weight, K=2, l1=0.2, l2=0.4)
    W, b = np.linspace(-1.0, 1.0, 8).reshape(2, 4), np.array([0.1, 0.2])
    s = np.ones(60) if weight is None else weight
    X, Y = problem.data.array, problem.data.y
    loss = problem.loss.value_and_slope
    expected = reference.objective(W, b, X, Y, s, loss, 0.2, 0.4)
    assert problem.objective(State(W, b)) == pytest.approx(expected)
    constant = problem.constant
    np.testing.assert_allclose(constant, np.average(Y, axis=0, weights=weight))
    at_zero = reference.objective(0.0 * W, constant, X, Y, s, loss, 0.0, 0.0)
    assert problem.constant_objective == pytest.approx(at_zero)


def test_the_best_state_is_none_that_is_not_finite():
    problem = problem_of()
    good = State(np.full((1, 4), 0.1), np.zeros(1))
    bad = State(np.full((1, 4), np.nan), np.zeros(1))
    state, objective = best_of(problem, [bad, good])
    assert state is good and objective == problem.objective(good)


def test_blocks_are_for_batches_that_hold_as_many_values_as_there_are_features():
    X = Rows(sp.csr_array(np.eye(40, 30) + np.eye(40, 30, k=1)))
    assert X.mean_stored < 2.0
    assert [by_blocks(X, b, 1) for b in (1, 10, 30)] == [False, False, True]
    dense = Rows(np.zeros((40, 30)))
    assert [by_blocks(dense, b, 1) for b in (1, 7, 8)] == [False, False, True]
    assert [by_blocks(dense, b, 3) for b in (3, 4)] == [False, True]


def test_what_was_lowered_stays_lowered_if_the_first_step_is_the_same():
    problem, rng = problem_of(), np.random.default_rng(0)
    for eta0, former, first, eta in [
        (0.01, 0.01, 0.01, 0.002),
        ("auto", 0.01, 0.01, 0.002),
        (0.03, 0.01, 0.03, 0.03),
        (0.01, None, 0.01, 0.01),
    ]:
        state = State(np.zeros((1, 4)), np.zeros(1), t=9, eta=0.002)
        parameters = {
            "learning_rate": "auto", "eta0": eta0, "solver": "sgd", "momentum": 0.0,
            "nesterovs_momentum": True,
        }  # fmt: skip
        _, given = choose.textbook_method(problem, state, 1, rng, parameters, former)
        assert (given, state.eta) == (first, eta)


@pytest.mark.parametrize("l1", [0.0, 0.1])
def test_with_l1_states_before_the_first_step_on_all_rows_are_not_kept(l1):
    all_rows = SimpleNamespace(batch_size=60, has_stepped=lambda: all_rows.stepped)
    method = Automatic(problem_of(l1=l1), None, None, all_rows)
    said = []
    for all_rows.stepped in (False, True, True):
        said.append(method.begins_anew())
    assert said == [False, l1 > 0.0, False]


def test_a_model_too_large_for_its_precision_is_not_kept():
    """Though it is the best one."""
    X = problem_of().data.array
    data = LocalData(X, 2.0 * X.sum(axis=1, keepdims=True))
    problem = Problem(data, LOSSES["squared_error"], 1, 0.0, 0.0, True)
    initial = State(np.full((1, 4), 0.01), np.zeros(1))
    large = State(np.full((1, 4), 2.0), np.zeros(1))
    method = Automatic(problem, None, SimpleNamespace(batch_size=1), None)
    progress = SimpleNamespace(initial=initial)
    ending = method.finish(Ending(large, "max_iter"), progress, 3.0)
    assert ending.state is large and ending.reason == "max_iter"
    ending = method.finish(Ending(large, "max_iter"), progress, 1.0)
    assert ending.state.within(1.0) and ending.reason == "diverged"


@pytest.mark.parametrize("size, tried", [(0.01, False), (1e6, True)])
def test_the_finish_begins_at_the_constant_where_that_is_better(size, tried):
    problem = problem_of()
    measured, _, _ = measure(problem, np.random.default_rng(0), lambda _: None)
    finish = Finish(problem, measured, None, 1e-3)
    state = State(np.full((1, 4), -size), np.zeros(1))
    state.coef[:] *= np.sign(problem.data.array.T @ -problem.data.y)[:, 0]
    finish.epoch(state, None)
    coef, intercept = finish.descents[0].coordinates.coefs(finish.descents[0].wanted)
    assert (not coef.any() and intercept == problem.constant) == tried


def test_the_finish_keeps_the_best_point_of_all_passes():
    problem = problem_of()
    measured, _, _ = measure(problem, np.random.default_rng(0), lambda _: None)
    finish = Finish(problem, measured, None, 1e-3)
    state = State(np.full((1, 4), 1e-3), np.full(1, 1e-3))
    finish.epoch(state, None)
    (descent,) = finish.descents
    descent.wanted = descent.coordinates.of(np.full((1, 4), 1e6), np.zeros(1))
    result = finish.epoch(state, None)
    np.testing.assert_array_equal(state.coef, 1e-3)
    np.testing.assert_array_equal(state.intercept, 1e-3)
    assert result.objective == pytest.approx(problem.objective(state))


@pytest.mark.parametrize(
    "loss, l1, l2, known",
    [
        ("squared_error", 0.0, 0.3, True),
        ("squared_error", 0.0, 0.0, False),
        ("squared_error", 0.1, 0.3, False),
        ("cauchy", 0.0, 0.3, False),
    ],
)
def test_strong_convexity_bounds_what_is_left_where_there_is_any(loss, l1, l2, known):
    problem = problem_of(loss=loss, l1=l1, l2=l2)
    measured, _, _ = measure(problem, np.random.default_rng(0), lambda _: None)
    finish = Finish(problem, measured, None, 1e-3)
    state = State(np.full((1, 4), 0.1), problem.constant.copy())
    finish.epoch(state, None)
    (descent,) = finish.descents
    bound = descent.bound()
    assert np.isfinite(bound) == known
    if known:
        best = Finish(problem, measured, None, 1e-12)
        for _ in range(30):
            least = best.epoch(state.copy(), None).objective
        assert 0.0 < descent.value - least <= bound


# ------------------------------------------------------------------------- streams


@pytest.mark.parametrize("n", [60, 4000])
def test_a_stream_after_a_fit_has_sums_as_if_of_all_rows(n):
    """They are taken from a sample of the rows."""
    problem = problem_of(n=n)
    rng = np.random.default_rng(0)
    measured, _, _ = measure(problem, rng, lambda _: None)
    coef, intercept = np.full((1, 4), 0.1), np.zeros(1)
    state = streaming.after_fit(problem, measured, coef, intercept, rng)
    _, slopes = problem.loss.value_and_slope(
        problem.data.y, problem.data.array @ coef.T + intercept
    )
    # An outlier counts at most what all before it do.
    assert 0.6 < state["slopes"][0] / (slopes**2).sum() < 1.3
    assert state["scalars"][PAST] == POWER * n


def test_a_model_of_unknown_rows_weighs_as_many():
    problem = problem_of()
    state = streaming.start(problem, np.float64)
    streaming.go_on_from(problem, state, np.ones((1, 4)), np.zeros(1), 50.0)
    assert state["scalars"][PAST] == POWER * 50.0


def test_coupled_outputs_have_one_norm():
    problem = problem_of(K=3, loss=Multinomial())
    state = streaming.start(problem, np.float64)
    state["scalars"][0] = 2.0
    state["square"][:] = 4.0
    coef = np.arange(12.0).reshape(3, 4)
    streaming.go_on_from(problem, state, coef, np.zeros(3))
    assert state["norms"][0] == pytest.approx(2.0 * (coef**2).sum())
    assert state["distance"][0] == pytest.approx(np.sqrt(2.0 * (coef**2).sum()))


def test_all_features_may_change_while_a_stream_is_young():
    """Averages of all features follow each row then."""
    rng = np.random.default_rng(0)
    X = sp.random_array((40, 500), density=0.01, format="csr", random_state=rng)
    y = rng.normal(size=(40, 1))
    problem = Problem(LocalData(X, y), LOSSES["squared_error"], 1, 0.0, 0.0, True)
    state = streaming.start(problem, np.float64)
    assert streaming.touched(state, X[:1], None) is None
    streaming.learn(problem, state, problem.data.visits())
    features = streaming.touched(state, X[:1], None)
    np.testing.assert_array_equal(features, X[:1].indices)
    assert streaming.touched(state, X[:1], 1e-3) is None
