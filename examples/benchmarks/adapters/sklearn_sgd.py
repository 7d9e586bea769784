"""SGDRegressor and SGDClassifier: single rows, one-vs-rest."""

from sklearn.linear_model import SGDClassifier, SGDRegressor

from adapters._method import ALPHA, TINY, Method


def estimator(data, **parameters):
    if data.task == "regression":
        return SGDRegressor(random_state=0, **parameters)
    return SGDClassifier("log_loss", random_state=0, **parameters)


class SGD(Method):
    name = "sklearn SGD"
    one_vs_rest = True

    def fit(self, data, passes, batch_size, learning_rate="constant", step=TINY):
        return estimator(
            data,
            learning_rate=learning_rate,
            eta0=step,
            alpha=ALPHA,
            max_iter=passes,
            tol=None,
        ).fit(data.X, data.y)

    def fit_default(self, data):
        return estimator(data).fit(data.X, data.y)

    def few_epochs(self):
        return {self.name: dict(learning_rate="optimal")}  # its default

    def settings(self, data):
        grid = [
            dict(batch_size=1, learning_rate=learning_rate, step=step)
            for learning_rate in ("constant", "invscaling")
            for step in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
        ]
        grid.append(dict(batch_size=1, learning_rate="optimal"))
        return {self.name: grid}


METHODS = [SGD()]
