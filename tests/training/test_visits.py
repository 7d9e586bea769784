"""The order of visits, drawn ahead in a thread."""

import numpy as np
import pytest

from skgd.training import visits as visits_module
from skgd.training.data import LocalData


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("ahead", ["nothing", "order", "order and targets"])
def test_visits_are_those_of_random_orders(monkeypatch, ahead, some, weighted):
    """Large data draw the next order in a thread, while one is in use."""
    n = visits_module.DRAW_AHEAD_FROM - (ahead == "nothing")
    if ahead == "order":
        monkeypatch.setattr(visits_module, "GATHER_AHEAD_UP_TO", 0)
    y, weight = np.arange(2.0 * n).reshape(n, 2), np.arange(1.0, n + 1)
    rows = np.arange(n, 2 * n) if some else None
    local = LocalData(np.zeros((2 * n, 1)), y, weight if weighted else None, rows)
    generator = np.random.default_rng(0)
    with visits_module.Visits(local, np.random.default_rng(0), n_epochs=4) as visits:
        for _ in range(4):
            drawn = visits.draw()
            if visits.ahead:
                visits.ahead.end()  # is not written over what was drawn
            order = generator.permutation(n)
            np.testing.assert_array_equal(drawn[0], order + n * some)
            np.testing.assert_array_equal(drawn[1], y[order])
            if weighted:
                np.testing.assert_array_equal(drawn[2], weight[order])
            else:
                assert drawn[2] is None
