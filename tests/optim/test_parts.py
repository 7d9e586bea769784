"""Parts of the methods, each on its own."""

import numpy as np
import pytest

import reference
from samples import linear
from skgd import GDRegressor
from skgd.objective.regression import SquaredError
from skgd.optim import schedules
from skgd.optim.metric import measure
from skgd.optim.sample import cholesky
from skgd.optim.stochastic import Stochastic
from skgd.optim.sums import times
from skgd.optim.textbook import Textbook
from skgd.training.data import LocalData
from skgd.training.problem import Problem
from skgd.training.state import State
from skgd.training.visits import Visits


def problem_of(l1=0.0):
    X, y = linear(60)
    return Problem(LocalData(X + 2.0, y[:, None]), SquaredError(), 1, l1, 0.0, True)


def test_products_of_rows_with_a_vector():
    W = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    np.testing.assert_array_equal(times(W, np.array([3.0, -4.0, 2.0])), [12.0, -14.0])


def test_no_factor_of_what_has_none():
    matrix = np.array([[4.0, 2.0], [2.0, 3.0]])
    factor = np.tril(cholesky(matrix))
    np.testing.assert_allclose(factor @ factor.T, matrix)
    for bad in ([[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]):
        assert cholesky(np.array(bad)) is None
    assert cholesky(np.full((2, 2), np.nan)) is None


@pytest.mark.parametrize("l1", [0.0, 0.1])
def test_averages_are_zero_where_the_last_iterate_is_with_l1(l1):
    problem = problem_of(l1)
    measured, metric, _ = measure(problem, np.random.default_rng(0), lambda _: None)
    state = State(np.array([[1.0, 0.0, 2.0, 0.0]]), np.zeros(1))
    method = Stochastic(problem, state, metric, measured, "sgd", 1)
    point = np.array([[1.5, 0.5, 2.5, -0.5, 3.0]])
    method.set_result(problem, state, state, point)
    coef, intercept = state.average_coef, state.average_intercept
    expected = [1.5, 0.0, 2.5, 0.0] if l1 else point[0, :4]
    np.testing.assert_array_equal(coef[0], expected)
    assert intercept == pytest.approx(3.0 - coef[0] @ metric.mean)


@pytest.mark.parametrize("average", [1, 5, 9, 12])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_averages_begin_at_an_update(average):
    """Which may be one amid an epoch; there are 9 updates in each of two."""
    X, y = linear(60)
    model = GDRegressor(
        solver="minibatch", batch_size=7, average=average, eta0=0.01, shuffle=False,
        learning_rate="constant", penalty=None, max_iter=2, tol=None,
    ).fit(X, y)  # fmt: skip
    W, b, iterates = np.zeros((1, 4)), np.zeros(1), []
    for _ in range(2):
        more, _ = reference.epoch(
            W, b, X, y[:, None], np.ones(60), np.arange(60), 7, [0.01] * 9,
            SquaredError().value_and_slope, 0.0, 0.0,
        )  # fmt: skip
        iterates += more
        W, b = iterates[-1]
    W, b = reference.average(iterates[average - 1 :])
    np.testing.assert_allclose(model.coef_, W[0], rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)


def test_what_textbook_steps_are_measured_by():
    """The start, or the best constant model if that is worse."""
    problem = problem_of()
    X, y = problem.data.array, problem.data.y[:, 0]
    least = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y, rcond=None)[0]
    good = State(least[None, :4], least[4:])
    bad = State(np.full((1, 4), 9.0), np.zeros(1))
    for state, reference_ in [
        (good, problem.constant_objective),
        (bad, problem.objective(bad)),
        (State(np.zeros((1, 4)), np.zeros(1)), problem.zero_objective),
    ]:
        method = Textbook(problem, state, "sgd", 1, schedules.constant)
        assert method.reference == pytest.approx(reference_)
        assert method.diverges(1.01 * reference_)
        assert not method.diverges(0.99 * reference_)


def test_each_call_of_partial_fit_has_an_order_of_its_own(monkeypatch):
    orders, drawn = [], Visits._order

    def watched(self):
        orders.append(drawn(self))
        return orders[-1]

    monkeypatch.setattr(Visits, "_order", watched)
    X, y = linear(60)
    for _ in range(2):
        model = GDRegressor(solver="sgd", eta0=0.01, random_state=0)
        model.partial_fit(X, y).partial_fit(X, y)
    assert [sorted(order) for order in orders] == [list(range(60))] * 4
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[:2], orders[2:])


@pytest.mark.parametrize("changed", [False, True])
def test_averages_go_on_unless_the_user_set_other_coefficients(changed):
    X, y = linear(60)
    model = GDRegressor(solver="batch", eta0=0.1, penalty=None, average=True)
    model.partial_fit(X, y).partial_fit(X, y)
    W, b, steps = np.zeros((1, 4)), np.zeros(1), 3
    if changed:
        # From there, and averaged from there.
        model.coef_ = np.arange(4.0)
        W, b, steps = model.coef_[None], model.intercept_.copy(), 1
    model.partial_fit(X, y)
    iterates = []
    for _ in range(steps):
        (last,), _ = reference.epoch(
            W, b, X, y[:, None], np.ones(60), np.arange(60), 60, [0.1],
            SquaredError().value_and_slope, 0.0, 0.0,
        )  # fmt: skip
        iterates.append(last)
        W, b = last
    W, b = reference.average(iterates)
    np.testing.assert_allclose(model.coef_, W[0], rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)
