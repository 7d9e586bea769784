"""Which method and batch size the parameters mean."""

from skgd.optim.automatic import Automatic
from skgd.optim.finish import Finish
from skgd.optim.metric import measure
from skgd.optim.sample import Sample
from skgd.optim.sample_first import SampleFirst
from skgd.optim.schedules import make_schedule
from skgd.optim.stability import stable_step
from skgd.optim.stochastic import Stochastic
from skgd.optim.textbook import Textbook

# Rows per batch of dense data. Time until the objective is within 1 % of the optimum,
# as a multiple of that of the best of these sizes, over 63 sets of data and two losses
# each (median / 9th decile): 1: 1.28/2.2, 8: 1.25/2.2, 32: 1.21/2.0, 64: 1.17/2.1,
# 128: 1.21/2.8, 256: 1.22/2.5, all: 1.33/2.6. Rows of sparse data share so little that
# single rows took least time, or nearly so, on all of 6 problems.
DEFAULT_BATCH_SIZE = 32
MANY_ROWS = 1000


def rows_per_update(solver, batch_size, problem, automatic):
    """Rows per update, of a batch size that may be "auto"; at most all of them."""
    n_rows = problem.n_rows
    if batch_size == "auto":
        one = automatic and problem.data.sparse and n_rows >= MANY_ROWS
        batch_size = 1 if one else DEFAULT_BATCH_SIZE
    return min({"batch": n_rows, "minibatch": batch_size, "sgd": 1}[solver], n_rows)


def textbook_method(problem, state, batch_size, rng, parameters, former=None):
    """Gradient descent with the user's schedule; and its first step.

    `former` is the first step of the calls before, if the model goes on from them.
    """
    learning_rate = parameters["learning_rate"]
    eta0 = parameters["eta0"]
    learning_rate = "adaptive" if learning_rate == "auto" else learning_rate
    schedule = make_schedule(learning_rate, parameters)
    if former is not None and eta0 in ("auto", former):
        eta0 = former
    elif learning_rate == "optimal":
        eta0 = state.eta = float(schedule(1))
    elif eta0 != "auto":
        eta0 = state.eta = float(eta0)
    else:
        eta0 = state.eta = stable_step(problem, batch_size, rng)
    method = Textbook(
        problem, state, parameters["solver"], batch_size, schedule,
        learning_rate == "adaptive", parameters["momentum"],
        parameters["nesterovs_momentum"],
    )  # fmt: skip
    return method, eta0


def automatic_method(problem, state, batch_size, rng, parameters):
    """Epochs that choose their steps, and all rows behind them; the first step."""
    finish = stochastic = None

    def sample(measured):
        if not (parameters["finish"] and Sample.is_worth_it(problem)):
            return None
        about = measured.about(problem.fit_intercept)
        return Sample(problem, *about, rng)

    measured, metric, rows = measure(problem, rng, sample)
    if parameters["finish"]:
        finish = Finish(problem, measured, rows, parameters["tol"])
    if finish is None or batch_size < problem.n_rows:
        stochastic = _first(
            problem, state, metric, measured, batch_size, rng, parameters
        )
    method = Automatic(problem, measured, stochastic, finish)
    return method, method.now.eta0


def _first(problem, state, metric, measured, batch_size, rng, parameters):
    """The epochs before the finish."""
    solver = parameters["solver"]
    if problem.data.local:
        return Stochastic(problem, state, metric, measured, solver, batch_size)

    def make(problem, state, rng):
        size = rows_per_update(solver, parameters["batch_size"], problem, True)
        return automatic_method(problem, state, size, rng, parameters)[0]

    return SampleFirst(problem, make, measured, rng, parameters)
