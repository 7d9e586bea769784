"""This package, with fixed steps and with its own."""

from adapters._method import ALL, ALPHA, TINY, Method
from skgd import GDClassifier, GDRegressor


def estimator(data, **parameters):
    kind = GDRegressor if data.task == "regression" else GDClassifier
    return kind(random_state=0, **parameters)


def solver(batch_size):
    if batch_size == ALL:
        return dict(solver="batch")
    if batch_size == 1:
        return dict(solver="sgd")
    return dict(solver="minibatch", batch_size=batch_size)


class FixedStep(Method):
    """Textbook gradient descent, for times of epochs."""

    name = "skgd"
    batch_sizes = (1, 32, 200, 1024, ALL)
    has_default = False

    def fit(self, data, passes, batch_size, step=TINY, average=False):
        return estimator(
            data,
            **solver(batch_size),
            eta0=step,
            learning_rate="constant",
            average=average,
            alpha=ALPHA,
            max_iter=passes,
            tol=None,
        ).fit(data.X, data.y)

    def few_epochs(self):
        # A large step, and the average over all iterates but those of the first epoch.
        return {"skgd, eta0=0.5, average=300": dict(step=0.5, average=300)}


class Auto(Method):
    """The default, eta0="auto"."""

    name = "skgd auto"
    batch_sizes = (1, 32, 200, 1024, ALL)

    def fit(self, data, passes, batch_size, finish=False):
        # Epochs by batch size have no finish, which the way to the optimum has.
        return estimator(
            data,
            **solver(batch_size),
            alpha=ALPHA,
            finish=finish,
            max_iter=passes,
            tol=None,
        ).fit(data.X, data.y)

    def few_epochs(self):
        return {"skgd auto": dict(finish=True)}

    def fit_default(self, data):
        return estimator(data).fit(data.X, data.y)

    def settings(self, data):
        return {
            "skgd minibatch": [dict(batch_size="auto", finish=True)],
            "skgd sgd": [dict(batch_size=1, finish=True)],
            "skgd batch": [dict(batch_size=ALL, finish=True)],
        }


METHODS = [FixedStep(), Auto()]
