"""LogisticRegression (lbfgs, saga) and Ridge (direct, saga)."""

from sklearn.linear_model import LogisticRegression, Ridge

from adapters._method import ALL, ALPHA, Method


def estimator(data, solver, passes, tol=0.0):
    """Minimises n times the common objective, that of LogisticRegression over alpha."""
    n = len(data.y)
    if data.task == "regression":
        return Ridge(
            alpha=ALPHA * n, solver=solver, max_iter=passes, tol=tol, random_state=0
        )
    return LogisticRegression(
        C=1.0 / (ALPHA * n), solver=solver, max_iter=passes, tol=tol, random_state=0
    )


class Saga(Method):
    name = "sklearn saga"

    def fit(self, data, passes, batch_size):
        return estimator(data, "saga", passes).fit(data.X, data.y)

    def fit_default(self, data):
        if data.task == "regression":
            model = Ridge(solver="saga", random_state=0)
        else:
            model = LogisticRegression(solver="saga", random_state=0)
        return model.fit(data.X, data.y)

    def settings(self, data):
        return {self.name: [dict(batch_size=1)]}


class Lbfgs(Method):
    """Quasi-Newton: a pass is an iteration, seldom more than one gradient."""

    name = "sklearn lbfgs"
    tasks = ("binary", "multiclass")
    batch_sizes = (ALL,)

    def fit(self, data, passes, batch_size):
        return estimator(data, "lbfgs", passes).fit(data.X, data.y)

    def fit_default(self, data):
        return LogisticRegression().fit(data.X, data.y)

    def settings(self, data):
        return {self.name: [dict(batch_size=ALL)]}

    def passes(self, model, asked):
        return int(model.n_iter_.max())


class DirectRidge(Method):
    name = "sklearn Ridge"
    tasks = ("regression",)
    batch_sizes = (ALL,)
    direct = True

    def fit(self, data, passes, batch_size):
        return estimator(data, "auto", None, tol=1e-4).fit(data.X, data.y)

    def fit_default(self, data):
        return Ridge().fit(data.X, data.y)

    def settings(self, data):
        return {self.name: [dict(batch_size=ALL)]}


METHODS = [Saga(), Lbfgs(), DirectRidge()]
