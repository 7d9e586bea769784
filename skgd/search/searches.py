"""scikit-learn's searches, whose fits share their passes over the rows."""

import joblib
from joblib.parallel import get_active_backend
from sklearn import model_selection

from skgd.search import backend  # noqa: F401, which registers "skgd"


def _together():
    """The configuration of a search, with the number of jobs that held before."""
    return joblib.parallel_config("skgd", n_jobs=get_active_backend()[1])


class GridSearchCV(model_selection.GridSearchCV):
    """scikit-learn's `GridSearchCV`, whose fits on the same rows are trained together.

    TODO
    """

    def fit(self, X, y=None, **params):
        """x"""
        with _together():
            return super().fit(X, y, **params)


class RandomizedSearchCV(model_selection.RandomizedSearchCV):
    """TODO"""

    def fit(self, X, y=None, **params):
        """x"""
        with _together():
            return super().fit(X, y, **params)
