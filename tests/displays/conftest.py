"""What the tests of displays have in common."""

import pytest
from sklearn.datasets import (
    make_regression,
)

from skgd import (
    GDRegressor,
)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return make_regression(60, 3, noise=10.0, random_state=0)


@pytest.fixture(scope="module")
def models(data):
    X, y = data
    return {
        "plain": GDRegressor(random_state=0).fit(X, y),
        "stopped": GDRegressor(early_stopping=True, random_state=0).fit(X, y),
        "updates": GDRegressor(eta0=0.1, record="update", random_state=0).fit(X, y),
    }
