"""Weights of any size and by class, and probabilities where no class is likely."""

import numpy as np
import pytest

from skgd import GDClassifier, GDRegressor
from skgd.estimators.labels import class_weights, probabilities


def test_weights_whose_sum_overflows():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(50, 3)), rng.uniform(0.5, 1.0, size=50)
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=50)
    usual = GDRegressor(random_state=0).fit(X, y, sample_weight=weight)
    large = GDRegressor(random_state=0).fit(X, y, sample_weight=weight * 1.7e308)
    np.testing.assert_allclose(large.coef_, usual.coef_, rtol=1e-10)
    np.testing.assert_allclose(large.intercept_, usual.intercept_, rtol=1e-10)


def test_balanced_weights_are_by_weight():
    """Each class weighs as much as the others then."""
    y = np.array([0, 0, 0, 1, 2, 2])
    weight = np.array([1.0, 2.0, 3.0, 4.0, 0.5, 0.5])
    balanced = class_weights("balanced", np.arange(3), y, weight)
    np.testing.assert_allclose(
        np.bincount(y, balanced * weight), np.full(3, weight.sum() / 3)
    )
    repeated = np.repeat(y, [1, 2, 3, 4, 1, 1])
    np.testing.assert_allclose(
        class_weights("balanced", np.arange(3), repeated, None)[[0, 6, 11]],
        np.array([12 / 18, 12 / 12, 12 / 6]),
    )


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_classes_that_are_all_ruled_out_are_as_likely_as_each_other(scale):
    z = np.array([[-2.0, -1.0, -3.0], [1.0, -1.0, 0.0], [-1.0, -1.0, 5.0]]) * scale
    p = probabilities("modified_huber", z, several=False)
    np.testing.assert_allclose(p[0], 1 / 3)
    np.testing.assert_allclose(p[1], [2 / 3, 0, 1 / 3])
    np.testing.assert_allclose(p[2], [0, 0, 1])


def test_the_order_of_classes_is_sorted():
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    model = GDClassifier(random_state=0).fit(X, ["no", "no", "yes", "yes"])
    assert list(model.classes_) == ["no", "yes"]
    assert model.coef_[0, 0] > 0.0 and model.predict([[3.0]]) == ["yes"]
    # Not positive is the first one.
    model.coef_[:], model.intercept_[:] = 0.0, 0.0
    assert model.predict([[3.0]]) == ["no"]
