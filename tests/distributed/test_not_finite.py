"""NaN and infinity in dask collections, wherever rows are looked at."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from partitions import collection, one_thread  # noqa: F401
from samples import linear
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("store", [np.asarray, sp.csr_array, np.float32])
@pytest.mark.parametrize("model", [
    GDRegressor(), GDRegressor("poisson"), GDRegressor(solver="batch", eta0=0.01),
    GDClassifier(), GDClassifier(class_weight="balanced"),
])  # fmt: skip
def test_what_is_not_finite_is_found_however_rows_are_looked_at(
    model, store, weighted, value
):
    """By their means, if these are wanted; else by a pass of its own."""
    X, _ = linear(400)
    y = (X[:, 0] > 0.0).astype(float)
    X[150, 1] = value
    weight = None
    if weighted:  # and of a row without weight, too
        weight = np.ones(400)
        weight[150] = 0.0
        weight = collection(weight)
    with pytest.raises(ValueError, match="Input X in partition 1 contains"):
        clone(model).fit(collection(store(X)), collection(y), weight)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_values_whose_mean_overflows_are_finite():
    X, y = linear(400)
    X[:, 1] = np.where(np.arange(400) % 2, 1.5e308, -1.5e308)
    fits = [
        GDRegressor(solver="batch").fit(*rows).coef_
        for rows in ((X, y), (collection(X), collection(y)))
    ]
    np.testing.assert_allclose(fits[1], fits[0], rtol=1e-10)
