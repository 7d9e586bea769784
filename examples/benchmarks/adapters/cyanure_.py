"""cyanure: quasi-Newton on top of stochastic gradients, on all cores."""

import numpy as np
from cyanure.estimators import Classifier, Regression

from adapters._method import ALPHA, Method

LOSSES = {"binary": "logistic", "multiclass": "multiclass-logistic"}


def estimator(data, **parameters):
    if data.task == "regression":
        return Regression(verbose=False, **parameters)
    return Classifier(loss=LOSSES[data.task], verbose=False, **parameters)


class Cyanure(Method):
    """Its default solver: a quasi-Newton method whose inner steps are stochastic.

    Its plain stochastic one, solver="svrg", crashes on sparse data of several classes
    (version 1.2.2).
    """

    name = "cyanure"

    def fit(self, data, passes, batch_size):
        return estimator(data, lambda_1=ALPHA, max_iter=passes, tol=0.0).fit(
            data.X, data.y
        )

    def fit_default(self, data):
        return estimator(data).fit(data.X, data.y)

    def settings(self, data):
        return {self.name: [dict(batch_size=1)]}

    def passes(self, model, asked):
        return int(np.max(model.n_iter_))

    def coefficients(self, model):
        coef = np.reshape(model.coef_, (model.n_features_in_, -1)).T
        return coef, np.ravel(model.intercept_)


METHODS = [Cyanure()]
