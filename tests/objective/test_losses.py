"""Losses against formulas written independently of them."""

import pickle

import numpy as np
import pytest
from scipy.special import expit, xlogy
from sklearn.metrics import (
    log_loss,
    mean_pinball_loss,
    mean_poisson_deviance,
)

from skgd.kernels import loss_totals
from skgd.objective.classification import Multinomial, OneVsRest
from skgd.objective.loss import Outputs
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.objective.targets import Targets

PARAMETERS = {"epsilon": 0.3, "quantile": 0.7}
TABLE = REGRESSION_LOSSES | CLASSIFICATION_LOSSES
EPS, Q = PARAMETERS["epsilon"], PARAMETERS["quantile"]

FORMULAS = {
    "squared_error": lambda y, z: (y - z) ** 2 / 2,
    "huber": lambda y, z: np.where(
        np.abs(y - z) <= EPS, (y - z) ** 2 / 2, EPS * np.abs(y - z) - EPS**2 / 2
    ),
    "absolute_error": lambda y, z: np.abs(y - z),
    "quantile": lambda y, z: np.maximum(Q * (y - z), (Q - 1) * (y - z)),
    "epsilon_insensitive": lambda y, z: np.maximum(np.abs(y - z) - EPS, 0),
    "squared_epsilon_insensitive": lambda y, z: np.maximum(np.abs(y - z) - EPS, 0) ** 2,
    "poisson": lambda y, z: xlogy(y, y) - y - y * z + np.exp(z),
    "cauchy": lambda y, z: EPS**2 / 2 * np.log(1 + ((y - z) / EPS) ** 2),
    "log_loss": lambda y, z: np.logaddexp(0, -y * z),
    "hinge": lambda y, z: np.maximum(1 - y * z, 0),
    "squared_hinge": lambda y, z: np.maximum(1 - y * z, 0) ** 2,
    "modified_huber": lambda y, z: np.where(
        y * z >= -1, np.maximum(1 - y * z, 0) ** 2, -4 * y * z
    ),
    "perceptron": lambda y, z: np.maximum(-y * z, 0),
}


def make(name):
    cls, parameters = TABLE[name]
    return cls(*(PARAMETERS[p] for p in parameters))


def points(name, n=2000):
    rng = np.random.default_rng(0)
    z = rng.normal(scale=3, size=n)
    if name in CLASSIFICATION_LOSSES and name not in REGRESSION_LOSSES:
        return rng.choice([-1.0, 1.0], size=n), z
    if name == "poisson":
        return rng.poisson(2.0, size=n).astype(float), z
    return rng.normal(scale=3, size=n), z


def test_every_loss_has_a_formula():
    assert set(FORMULAS) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_value(name):
    y, z = points(name)
    value, _ = make(name).value_and_slope(y, z)
    np.testing.assert_allclose(value, FORMULAS[name](y, z), rtol=1e-12, atol=1e-12)
    assert np.all(value >= 0)


@pytest.mark.parametrize("name", TABLE)
def test_slope_is_the_derivative(name):
    y, z = points(name)
    step = 1e-6
    loss = make(name)
    value_up, slope_up = loss.value_and_slope(y, z + step)
    value_down, slope_down = loss.value_and_slope(y, z - step)
    slope = loss.value_and_slope(y, z)[1]
    smooth = np.abs(slope_up - slope_down) < 1e-2  # no kink in between
    assert smooth.mean() > 0.99
    difference = (value_up - value_down) / (2 * step)
    np.testing.assert_allclose(slope[smooth], difference[smooth], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_bounds_of_slope_and_curvature(name):
    y, z = points(name)
    loss = make(name)
    slope = loss.value_and_slope(y, z)[1]
    assert np.abs(slope).max() <= loss.max_slope * (1 + 1e-12)
    step = 1e-4
    change = np.abs(loss.value_and_slope(y, z + step)[1] - slope)
    assert np.all(change <= loss.max_curvature * step + 1e-12)
    if np.isfinite(loss.max_slope):  # and not only bounds
        wide = loss.value_and_slope(
            np.ones(2) if name in CLASSIFICATION_LOSSES else np.zeros(2), [-EPS, -50.0]
        )[1]
        assert np.abs(wide).max() == pytest.approx(loss.max_slope)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("magnitude", [1e2, 1e5, 1e20, 1e150])
@pytest.mark.parametrize("y", [1.0, -1.0])
def test_extreme_predictions(name, magnitude, y):
    y = 2.0 + y if name == "poisson" else y
    value, slope = make(name).value_and_slope([y, y], [magnitude, -magnitude])
    assert not np.any(np.isnan(value)) and not np.any(np.isnan(slope))
    if name == "poisson":
        assert np.isfinite(value[1])  # exp(magnitude) is beyond doubles
        return
    assert np.all(np.isfinite(slope))
    assert np.all(np.isfinite(value))
    if name in REGRESSION_LOSSES:
        assert slope[0] > 0 > slope[1]
    else:
        assert np.all(slope * y <= 0) and np.any(slope != 0)


@pytest.mark.parametrize("z", [-1e150, 1e2])
def test_extreme_predictions_of_no_events(z):
    value, slope = make("poisson").value_and_slope([0.0], [z])
    assert value[0] == slope[0] == np.exp(z)


def test_log_loss_keeps_small_values():
    loss = make("log_loss")
    value, slope = loss.value_and_slope([1.0, -1.0, 1.0], [40.0, -40.0, 700.0])
    np.testing.assert_allclose(value[:2], np.exp(-40.0), rtol=1e-12)
    np.testing.assert_allclose(slope[:2], [-np.exp(-40.0), np.exp(-40.0)], rtol=1e-12)
    assert 0 < value[2] < 1e-300


@pytest.mark.parametrize(
    "name, metric",
    [
        ("poisson", lambda y, z: mean_poisson_deviance(y, np.exp(z)) / 2),
        ("quantile", lambda y, z: mean_pinball_loss(y, z, alpha=Q)),
        ("log_loss", lambda y, z: log_loss(y, expit(z))),
    ],
)
def test_values_agree_with_scikit_learn_metrics(name, metric):
    y, z = points(name)
    value = make(name).value_and_slope(y, z)[0].mean()
    assert value == pytest.approx(metric(y, z))


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form",
    [read_only, lambda a: np.repeat(a, 2)[::2], lambda a: a.reshape(5, 8)],
    ids=["read_only", "strided", "2D"],
)
def test_arrays_of_any_form(form):
    y, z = points("huber", 40)
    want = make("huber").value_and_slope(y, z)
    got = make("huber").value_and_slope(form(y.copy()), form(z.copy()))
    np.testing.assert_array_equal(np.ravel(got[0]), want[0])
    np.testing.assert_array_equal(np.ravel(got[1]), want[1])


@pytest.mark.parametrize("name", TABLE)
def test_pickling(name):
    y, z = points(name)
    loss = make(name)
    again = pickle.loads(pickle.dumps(loss))
    assert type(again) is type(loss)
    assert again.max_slope == loss.max_slope
    np.testing.assert_array_equal(
        again.value_and_slope(y, z), loss.value_and_slope(y, z)
    )
    again = pickle.loads(pickle.dumps(OneVsRest(loss, 5)))
    assert type(again.loss) is type(loss)
    np.testing.assert_array_equal(
        again.loss.value_and_slope(y, z), loss.value_and_slope(y, z)
    )


@pytest.mark.parametrize("targets", ["some", "ones", "zeros", "one of 1e9"])
@pytest.mark.parametrize("name", TABLE)
def test_curvature_is_finite_and_positive(name, targets):
    y = {
        "some": points(name)[0],
        "ones": np.ones(5),
        "zeros": np.zeros(5),
        "one of 1e9": np.array([0.0, 0, 0, 0, 1e9]),
    }[targets]
    assert 0 < make(name).curvature(Targets(y[:, None])) < np.inf


@pytest.mark.parametrize("name", TABLE)
def test_curvature_of_one_vs_rest_is_finite_and_positive(name):
    targets = Targets(np.arange(5.0)[:, None])
    assert 0 < OneVsRest(make(name), 5).curvature(targets) < np.inf


def test_curvature_does_not_follow_one_huge_target():
    y = np.random.default_rng(0).normal(size=(1000, 1))
    usual = make("absolute_error").curvature(Targets(y))
    y[0] = 1e9
    assert make("absolute_error").curvature(Targets(y)) == pytest.approx(usual, rel=0.1)


def test_poisson_domain_and_link():
    loss = make("poisson")
    with pytest.raises(ValueError, match="out of the valid range"):
        loss.check_targets(np.array([1.0, -1.0]))
    np.testing.assert_allclose(loss.predict(np.array([0.0, 1.0])), [1.0, np.e])


# Their median is not quite their minimiser.
ABOUT = {"huber", "epsilon_insensitive", "squared_epsilon_insensitive", "cauchy"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", sorted(set(TABLE) - {"perceptron"}))
def test_constant_minimises_the_mean(name, weighted):
    y, _ = points(name, n=301)
    rng = np.random.default_rng(1)
    weight = rng.integers(1, 4, size=301).astype(float) if weighted else None
    loss = make(name)
    (constant,) = loss.constant(Targets(y[:, None], weight))
    grid = constant + np.linspace(-1, 1, 401)
    values = np.average(FORMULAS[name](y[:, None], grid), axis=0, weights=weight)
    assert values[200] <= values.min() * (1.02 if name in ABOUT else 1.0001)
    # A weight of 2 is two rows.
    if weighted:
        rows = np.repeat(np.arange(301), weight.astype(int))
        np.testing.assert_allclose(loss.constant(Targets(y[rows, None])), [constant])


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_constant_of_one_vs_rest_treats_each_class(name):
    index = np.array([0.0, 1, 1, 2, 2, 2])[:, None]
    got = OneVsRest(make(name), 4).constant(Targets(index), 4)
    for k in range(4):
        labels = Targets(np.where(index == k, 1.0, -1.0))
        np.testing.assert_allclose(got[k], make(name).constant(labels)[0])


KINKS = ("absolute_error", "quantile", "epsilon_insensitive", "hinge", "perceptron")


@pytest.mark.parametrize("width", [0.05, 1.0])
@pytest.mark.parametrize("name", [*KINKS, "huber"])
def test_envelope_is_that_of_moreau(name, width):
    y, z = points(name, n=200)
    value, slope = make(name).value_and_slope(y, z, width)
    u = z[:, None] + np.linspace(-width, width, 40_001)
    objective = FORMULAS[name](y[:, None], u) + (u - z[:, None]) ** 2 / (2 * width)
    np.testing.assert_allclose(value, objective.min(axis=1), atol=1e-4 * width)
    nearest = u[np.arange(200), objective.argmin(axis=1)]
    np.testing.assert_allclose(slope, (z - nearest) / width, atol=1e-4)
    assert np.abs(slope).max() <= make(name).max_slope
    # Its curvature.
    h = make(name).second_derivative(y, z, width, 1e-6)
    assert h.min() == 0.0
    assert h.max() <= make(name).envelope_curvature(width) * (1 + 1e-8)
    near = make(name).second_derivative(y, y * (name != "perceptron"), width, 1e-6)
    if name != "epsilon_insensitive":
        assert near.max() > 0.4 * make(name).envelope_curvature(width)


@pytest.mark.parametrize("name", sorted(set(TABLE) - {*KINKS, "huber"}))
def test_losses_without_kinks_are_their_own_envelopes(name):
    y, z = points(name)
    np.testing.assert_array_equal(
        make(name).value_and_slope(y, z, 0.1), make(name).value_and_slope(y, z)
    )


@pytest.mark.parametrize("name", TABLE)
def test_second_derivative_is_the_slope_of_the_slope(name):
    y, z = points(name)
    step = 1e-5
    slopes = [make(name).value_and_slope(y, z + d)[1] for d in (step, -step)]
    want = np.maximum((slopes[0] - slopes[1]) / (2 * step), 0.0)
    np.testing.assert_array_equal(make(name).second_derivative(y, z, 0.0, step), want)
    if make(name).quadratic:
        np.testing.assert_allclose(want, 1.0, rtol=1e-8)
    with pytest.raises(ValueError, match="same size"):
        make(name).second_derivative(y[:-1], z, 0.0, step)


def test_outputs_have_each_their_own_target_and_width():
    rng = np.random.default_rng(0)
    label, z = rng.integers(5, size=30), rng.normal(size=(30, 3))
    classes, widths = np.array([4, 0, 2]), np.array([0.1, 1.0, 3.0])
    hinge, index = make("hinge"), label[:, None].astype(float)
    got = loss_totals(Outputs(hinge, classes, widths), index, None, z)
    plain = loss_totals(Outputs(make("quantile"), None, widths), z - 0.3, None, z)
    for k in range(3):
        target = np.where(label == classes[k], 1.0, -1.0)
        value, _ = hinge.value_and_slope(target, z[:, k], widths[k])
        assert got[k] == pytest.approx(value.sum())
        value, _ = make("quantile").value_and_slope(z[:, k] - 0.3, z[:, k], widths[k])
        assert plain[k] == pytest.approx(value.sum())


def test_slopes_at_kinks():
    """Zero for residuals; of margins that of the line, or none would leave zero."""
    for name in ("absolute_error", "quantile", "epsilon_insensitive"):
        assert make(name).value_and_slope(0.7, 0.7)[1] == 0.0
    for name, z in (("hinge", 1.0), ("perceptron", 0.0)):
        for y in (-1.0, 1.0):
            value, slope = make(name).value_and_slope(y, y * z)
            assert (value, slope) == (0.0, -y)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("far", [1.0, 700.0, 1e3, 1e6, 1e300])
def test_softmax_of_predictions_far_apart(far, place):
    z = np.zeros((1, 3))
    z[0, place] = far
    for label in range(3):
        total = loss_totals(Multinomial(), np.full((1, 1), float(label)), None, z)[0]
        gap = 0.0 if label == place else far
        expected = gap + np.log1p(2.0 * np.exp(-far))
        assert total == pytest.approx(expected, rel=1e-14, abs=1e-300)
    z = -z
    for label in range(3):
        total = loss_totals(Multinomial(), np.full((1, 1), float(label)), None, z)[0]
        gap = far if label == place else 0.0
        assert total == pytest.approx(gap + np.log(2.0 + np.exp(-far)), rel=1e-14)
