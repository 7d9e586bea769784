"""What the loop keeps in mind: the best state, and epochs without gain."""

import numpy as np
import pytest

from skgd.objective.regression import SquaredError
from skgd.training.data import LocalData
from skgd.training.loop import _of_best_score, train
from skgd.training.method import EpochResult
from skgd.training.problem import Problem
from skgd.training.progress import Progress
from skgd.training.state import State


class Method:
    """One whose objective is all there is to gain, and whose step is lowered once."""

    patient, inertia, lowered = True, 1.0, 0

    def begins_anew(self):
        return False

    def evaluated(self, state):
        return state

    def to_gain(self, objective):
        return objective

    def diverges(self, objective):
        return True

    def lower(self, state):
        self.lowered += 1
        return self.lowered == 1


def state_at(number):
    return State(np.full((1, 1), float(number)), np.zeros(1))


def reasons(objectives, n_iter_no_change, tol=0.1):
    """Why training ends after each epoch; and the progress."""
    progress = Progress(state_at(-1), Method(), tol, n_iter_no_change, False)
    said = []
    for number, objective in enumerate(objectives):
        progress.update(state_at(number), {"objective": objective, "gap": np.nan})
        said.append(progress.ending(state_at(number), objective))
    return said, progress


def test_an_epoch_gains_if_it_lowers_the_objective_by_more_than_tol():
    said, progress = reasons([10.0, 8.9, 8.1, 8.0, 7.9], 2)
    assert said == [None] * 5  # the step is lowered after two
    assert progress.epochs_without_gain == 1 and progress.best.coef == 4.0
    said, _ = reasons([10.0, 8.9, 8.1, 8.0, 7.9, 7.8], 2)
    assert said == [None] * 5 + ["no_progress"]
    said, _ = reasons([10.0, 8.9, 8.1, 8.0, 7.9, 7.8], 2, tol=0.0)
    assert said == [None] * 6


@pytest.mark.parametrize("n_iter_no_change, rises", [(1, 3), (2, 3), (5, 5)])
def test_a_curve_diverges_that_rises_three_times_at_least(n_iter_no_change, rises):
    _, progress = reasons([1.0], n_iter_no_change)
    progress.method.lower = lambda state: True
    for number in range(1, rises):
        progress.update(state_at(number), {"objective": 1.0 + number, "gap": np.nan})
        assert progress.ending(state_at(number), 1.0 + number) is None
        progress.epochs_without_gain = n_iter_no_change
    progress.update(state_at(rises), {"objective": 1.0 + rises, "gap": np.nan})
    assert progress.ending(state_at(rises), 1.0 + rises) == "diverged"
    assert progress.best.coef == 0.0


def test_of_equal_scores_the_smaller_loss_is_the_best():
    progress = Progress(state_at(-1), Method(), 0.01, 2, True)
    scores = [(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.85), (0.6, 0.1)]
    for number, (score, loss) in enumerate(scores):
        record = {
            "objective": 1.0, "gap": 0.1 * number, "validation_score": score,
            "validation_loss": loss,
        }  # fmt: skip
        progress.update(state_at(number), record)
    assert progress.best.coef == 2.0 and progress.gap == pytest.approx(0.2)
    assert progress.epochs_without_gain == 2
    assert progress.ending(state_at(4), 1.0) is None  # lowered once
    progress.epochs_without_gain = 2
    assert progress.ending(state_at(4), 1.0) == "early_stopping"


def test_averages_are_the_result_once_there_are_some():
    state = state_at(3)
    state.start_average(5)
    for t, coef in [(4, 3.0), (5, 3.0), (6, 0.0)]:
        state.t = t
        assert state.result()[0] == coef


@pytest.mark.parametrize("fresh", [False, True])
def test_a_look_at_about_so_many_rows(fresh):
    X = np.arange(20.0).reshape(10, 2)
    data = LocalData(X, np.zeros((10, 1)))
    multipliers = data.multipliers(1)
    multipliers.offset[:, 0] = 100.0 * np.arange(10)
    point = np.ones((1, 2)), np.ones(1)
    multipliers.predict([0], *point)
    rows, z = multipliers.look([0], 4, point, fresh)
    np.testing.assert_array_equal(rows.visits()[0], [0, 3, 6, 9])
    expected = X.sum(axis=1) + 1.0 + 100.0 * np.arange(10)
    np.testing.assert_array_equal(z[:, 0], expected[::3])


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_largest_row_is_that_of_its_weight(fit_intercept):
    X = np.array([[3.0, 4.0], [1.0, 1.0], [0.0, 6.0]])
    y = np.zeros((3, 1))
    data = LocalData(X, y, np.array([2.0, 100.0, 0.5]))
    assert data.largest_row(fit_intercept) == 200.0 + 100.0 * fit_intercept
    assert LocalData(X, y).largest_row(fit_intercept) == 36.0 + fit_intercept


class Growing(Method):
    """Coefficients double with each epoch, at an objective that falls."""

    batch_size, recovers, patient, inertia = 1, False, False, 1.0

    def n_shuffled(self, max_iter):
        return 0

    def epoch(self, state, visits, objectives=None, watch=None):
        state.coef *= 2.0
        state.t += 1
        return EpochResult(1.0 / state.t, "growing", 0.1)

    def ending(self):
        return None


@pytest.mark.parametrize("largest, n_epochs", [(20.0, 5), (4.0, 3), (1.0, 1)])
def test_coefficients_too_large_for_their_precision_diverge(largest, n_epochs):
    """The model is the one before, where no other one was judged the best."""
    data = LocalData(np.ones((3, 1)), np.ones((3, 1)))
    problem = Problem(data, SquaredError(), 1, 0.0, 0.0, True)
    state = State(np.full((1, 1), 0.6), np.zeros(1))
    ending, history = train(
        problem, state, Growing(), max_iter=5, largest=largest, judge=False
    )
    assert len(history) == n_epochs
    if largest == 20.0:
        assert ending.reason == "max_iter" and ending.state.coef == 0.6 * 2**5
    else:
        assert ending.reason == "diverged" and ending.state.coef == 0.6


@pytest.mark.parametrize(
    "reason, gap, expected",
    [
        ("converged", 1e-3, "converged"),
        ("converged", 0.5, "early_stopping"),
        ("converged", np.nan, "early_stopping"),
        ("max_iter", 0.5, "max_iter"),
    ],
)
def test_training_converged_but_not_the_model_with_the_best_score(
    reason, gap, expected
):
    data = LocalData(np.ones((3, 1)), np.ones((3, 1)))
    problem = Problem(data, SquaredError(), 1, 0.0, 0.0, True)
    progress = Progress(state_at(3), Method(), 1e-2, 2, True)
    progress.gap = gap
    ending = _of_best_score(problem, progress, reason, 1e-2)
    assert ending.reason == expected and ending.state is progress.best
    assert ending.objective == 0.5 * (3.0 - 1.0) ** 2
