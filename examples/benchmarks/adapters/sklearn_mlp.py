"""MLPRegressor and MLPClassifier without hidden layers, which is a linear model."""

from sklearn.neural_network import MLPClassifier, MLPRegressor

from adapters._method import ALL, ALPHA, TINY, Method, rows_per_update


def estimator(data, **parameters):
    kind = MLPRegressor if data.task == "regression" else MLPClassifier
    return kind(hidden_layer_sizes=(), random_state=0, **parameters)


class MLP(Method):
    name = "sklearn MLP"
    batch_sizes = (1, 32, 200, 1024, ALL)
    python_updates = True
    default_passes = 200

    def fit(self, data, passes, batch_size, solver="sgd", step=TINY):
        rows = rows_per_update(batch_size, len(data.y))
        return estimator(
            data,
            solver=solver,
            learning_rate_init=step,
            batch_size=rows,
            alpha=ALPHA * rows,  # it divides by the rows of a batch
            max_iter=passes,
            tol=0.0,
            n_iter_no_change=passes + 1,
        ).fit(data.X, data.y)

    def fit_default(self, data):
        return estimator(data).fit(data.X, data.y)

    def few_epochs(self):
        return {self.name: dict(solver="adam", step=1e-3)}  # its default

    def settings(self, data):
        grid = [
            dict(batch_size=batch_size, solver=solver, step=step)
            for batch_size in (32, 200)
            for solver in ("sgd", "adam")
            for step in (1e-3, 1e-2, 1e-1, 1.0)
        ]
        return {self.name: grid}

    def coefficients(self, model):
        return model.coefs_[0].T, model.intercepts_[0]


METHODS = [MLP()]
