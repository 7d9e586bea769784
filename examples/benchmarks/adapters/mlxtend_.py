"""mlxtend: mini-batches in NumPy. Its linear regression has no penalty."""

import math

from mlxtend.classifier import LogisticRegression, SoftmaxRegression
from mlxtend.regressor import LinearRegression

from adapters._method import ALL, ALPHA, TINY, Method, rows_per_update


class Mlxtend(Method):
    name = "mlxtend"
    sparse = False
    batch_sizes = (1, 32, 200, 1024, ALL)
    python_updates = True

    def fit(self, data, passes, batch_size, step=TINY):
        rows = rows_per_update(batch_size, len(data.y))
        # Gradients are sums over a batch, so the step is divided by its rows.
        common = dict(
            eta=step / rows,
            epochs=passes,
            minibatches=math.ceil(len(data.y) / rows),
            random_seed=0,
        )
        if data.task == "regression":
            model = LinearRegression(method="sgd", **common)
        elif data.task == "binary":
            model = LogisticRegression(l2_lambda=ALPHA * rows, **common)
        else:
            model = SoftmaxRegression(l2=ALPHA * rows, **common)
        return model.fit(data.X, data.y)

    def fit_default(self, data):
        if data.task == "regression":
            model = LinearRegression()
        elif data.task == "binary":
            model = LogisticRegression(random_seed=0)
        else:
            model = SoftmaxRegression(random_seed=0)
        return model.fit(data.X, data.y)

    def few_epochs(self):
        return {self.name: dict(step=0.1)}

    def settings(self, data):
        grid = [
            dict(batch_size=batch_size, step=step)
            for batch_size in (32, 200)
            for step in (1e-3, 1e-2, 1e-1, 1.0)
        ]
        return {self.name: grid}

    def coefficients(self, model):
        return model.w_.T, model.b_


METHODS = [Mlxtend()]
