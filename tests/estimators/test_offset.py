"""offset: numbers that are added to linear predictions, and not learnt."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from scipy.optimize import minimize
from scipy.special import logsumexp, xlogy
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import skgd
from skgd import GDClassifier, GDRegressor

# scikit-learn 1.6 does not.
ROUTES_TO_SCORES_OF_PIPELINES = parse_version(sklearn.__version__) >= parse_version(
    "1.9"
)
N, P, K, ALPHA = 300, 3, 3, 1e-3
rng = np.random.default_rng(0)
X = rng.normal(size=(N, P))
WEIGHT = rng.integers(0, 4, N).astype(float)
OFFSET = rng.normal(size=N)
OFFSETS = rng.normal(size=(N, K))
COUNTS = rng.poisson(np.exp(X @ [0.3, -0.2, 0.1] + OFFSET - 0.5)).astype(float)
BINARY = rng.random(N) < 1.0 / (1.0 + np.exp(-X @ [1.0, -1.0, 0.5] - 2.0 * OFFSET))
CLASSES = np.argmax(X @ rng.normal(size=(P, K)) + 2.0 * OFFSETS, axis=1)
SEVERAL = (X @ rng.normal(size=(P, K)) + OFFSETS > 0.5).astype(int)
STORAGES = {
    "dense": X,
    "csr": sp.csr_array(X),
    "float32": X.astype(np.float32),
    "csr32": sp.csr_array(X.astype(np.float32)),
}


def one_against_the_rest(y):
    return 2.0 * (y[:, None] == np.arange(K)) - 1.0


# Estimator, loss, targets, offset, and the loss of a row from its predictions, (n, K).
CASES = {
    "poisson": (
        GDRegressor, "poisson", COUNTS, OFFSET,
        lambda y, z: np.exp(z[:, 0]) - y - y * z[:, 0] + xlogy(y, y),
    ),
    "several targets": (
        GDRegressor, "poisson", np.c_[COUNTS, COUNTS[::-1]], OFFSETS[:, :2],
        lambda y, z: (np.exp(z) - y - y * z + xlogy(y, y)).sum(axis=1),
    ),
    "log_loss": (
        GDClassifier, "log_loss", BINARY, OFFSET,
        lambda y, z: np.logaddexp(0.0, (1.0 - 2.0 * y) * z[:, 0]),
    ),
    "hinge": (
        GDClassifier, "hinge", BINARY, OFFSET,
        lambda y, z: np.maximum(0.0, 1.0 + (1.0 - 2.0 * y) * z[:, 0]),
    ),
    "softmax": (
        GDClassifier, "log_loss", CLASSES, OFFSETS,
        lambda y, z: logsumexp(z, axis=1) - z[np.arange(N), y],
    ),
    "one against the rest": (
        GDClassifier, "squared_hinge", CLASSES, OFFSETS,
        lambda y, z: (np.maximum(0.0, 1.0 - one_against_the_rest(y) * z) ** 2).sum(1),
    ),
    "hinges": (
        GDClassifier, "hinge", CLASSES, OFFSETS,
        lambda y, z: np.maximum(0.0, 1.0 - one_against_the_rest(y) * z).sum(axis=1),
    ),
    "regression on labels": (
        GDClassifier, "squared_error", CLASSES, OFFSETS,
        lambda y, z: 0.5 * ((z - one_against_the_rest(y)) ** 2).sum(axis=1),
    ),
    "several labels": (
        GDClassifier, "log_loss", SEVERAL, OFFSETS,
        lambda y, z: np.logaddexp(0.0, (1.0 - 2.0 * y) * z).sum(axis=1),
    ),
}  # fmt: skip


def objective(loss, y, offset, coef, intercept):
    z = X @ np.atleast_2d(coef).T + intercept + offset.reshape(N, -1)
    penalty = 0.5 * ALPHA * np.sum(coef**2)
    return np.average(loss(y, z), weights=WEIGHT) + penalty


def optimum(loss, y, offset):
    """The least objective, by another program."""
    n_outputs = offset.reshape(N, -1).shape[1]

    def value(parameters):
        parameters = parameters.reshape(n_outputs, P + 1)
        return objective(loss, y, offset, parameters[:, :-1], parameters[:, -1])

    start = np.zeros(n_outputs * (P + 1))
    return minimize(value, start, method="BFGS", options={"gtol": 1e-8}).fun


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("case", CASES)
def test_the_optimum(case, storage, solver):
    estimator, loss, y, offset, value = CASES[case]
    model = estimator(loss, solver=solver, alpha=ALPHA, tol=1e-6, random_state=0)
    model.fit(STORAGES[storage], y, sample_weight=WEIGHT, offset=offset)
    assert model.stop_reason_ == "converged"
    reached = objective(value, y, offset, model.coef_, model.intercept_)
    np.testing.assert_allclose(model.objective_, reached, rtol=1e-5)
    least = optimum(value, y, offset)
    # That of kinks is an upper bound only.
    assert reached - least < 1e-5 * least
    if loss != "hinge":
        assert reached - least > -1e-7 * least


@pytest.mark.parametrize("loss", ["squared_error", "huber", "quantile", "cauchy"])
def test_of_residuals_it_is_another_target(loss):
    y = X[:, 0] + OFFSET
    with_offset = GDRegressor(loss, random_state=0).fit(X, y, offset=OFFSET)
    other = GDRegressor(loss, random_state=0).fit(X, y - OFFSET)
    np.testing.assert_array_equal(with_offset.coef_, other.coef_)
    np.testing.assert_array_equal(with_offset.intercept_, other.intercept_)


@pytest.mark.parametrize("parameters", [
    {"eta0": 0.01}, {"eta0": 0.01, "average": True}, {"finish": False},
    {"eta0": 0.01, "penalty": "l1"}, {"finish": False, "penalty": "elasticnet"},
])  # fmt: skip
@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_zeros_are_as_none(case, storage, solver, parameters):
    # Each loop has a way of its own for one target without an offset.
    estimator, loss, y, offset, _ = CASES[case]
    model = estimator(loss, solver=solver, max_iter=3, random_state=0, **parameters)
    # The best constant hinges stand on their kinks, where rounding decides the slope.
    n_outputs = offset.reshape(N, -1).shape[1]
    given = {"sample_weight": WEIGHT, "intercept_init": np.full(n_outputs, 0.1)}
    plain = model.fit(STORAGES[storage], y, **given)
    coef, intercept = plain.coef_, plain.intercept_
    model.fit(STORAGES[storage], y, offset=0.0 * offset, **given)
    # Predictions of float32 are rounded.
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if "32" in storage else {"atol": 1e-9}
    np.testing.assert_allclose(model.coef_, coef, **tolerance)
    np.testing.assert_allclose(model.intercept_, intercept, **tolerance)


def test_updates_one_by_one():
    model = GDClassifier(
        solver="sgd", eta0=0.1, learning_rate="constant", max_iter=1, tol=None,
        shuffle=False, penalty=None,
    ).fit(X, BINARY, offset=OFFSET)  # fmt: skip
    w, b = np.zeros(P), 0.0
    for x, y, offset in zip(X, 2.0 * BINARY - 1.0, OFFSET, strict=True):
        slope = -y / (1.0 + np.exp(y * (x @ w + b + offset)))
        w, b = w - 0.1 * slope * x, b - 0.1 * slope
    np.testing.assert_allclose(model.coef_, [w], rtol=1e-12)
    np.testing.assert_allclose(model.intercept_, [b], rtol=1e-12)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("case", CASES)
def test_streams(case, storage):
    estimator, loss, y, offset, value = CASES[case]
    model = estimator(loss, alpha=ALPHA, random_state=0)
    more = {} if estimator is GDRegressor else {"classes": np.unique(y)}
    if case == "several labels":
        more = {}
    for start in 3 * [*range(0, N, 30)]:
        rows = slice(start, start + 30)
        chunk = STORAGES[storage][rows]
        model.partial_fit(
            chunk, y[rows], sample_weight=WEIGHT[rows], offset=offset[rows], **more
        )
    reached = objective(value, y, offset, model.coef_, model.intercept_)
    constant = estimator(loss, alpha=1e6).fit(X, y, sample_weight=WEIGHT, offset=offset)
    worst = objective(value, y, offset, 0.0 * constant.coef_, constant.intercept_)
    least = optimum(value, y, offset)
    assert reached - least < 0.25 * (worst - least)


@pytest.mark.parametrize("first", [0.0, 5.0])
def test_a_stream_of_counts_starts_at_the_rate_of_its_first_row(first):
    # Far from one: with a start at rate 1, exp(30) would be the first prediction.
    y, offset = np.r_[first, COUNTS], np.r_[30.0, OFFSET + 30.0]
    rows = np.vstack([X[:1], X])
    model = GDRegressor("poisson", shuffle=False).partial_fit(rows, y, offset=offset)
    assert abs(model.intercept_[0] + 30.5) < 1.0


def test_predictions():
    model = GDRegressor("poisson").fit(X, COUNTS, offset=OFFSET)
    z = X @ model.coef_ + model.intercept_ + OFFSET
    np.testing.assert_allclose(model.predict(X, OFFSET), np.exp(z), rtol=1e-12)
    classifier = GDClassifier().fit(X, BINARY, offset=OFFSET)
    z = X @ classifier.coef_[0] + classifier.intercept_ + OFFSET
    p = 1.0 / (1.0 + np.exp(-z))
    p = np.c_[1.0 - p, p]
    for method, expected in [
        ("decision_function", z), ("predict", z > 0), ("predict_proba", p),
        ("predict_log_proba", np.log(p)),
    ]:  # fmt: skip
        found = getattr(classifier, method)(X, offset=OFFSET)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    share = np.mean((z > 0) == BINARY)
    assert classifier.score(X, BINARY, offset=OFFSET) == pytest.approx(share)


def test_rows_of_weight_zero():
    kept = WEIGHT > 0
    first = GDRegressor("poisson", random_state=0).fit(
        X, COUNTS, sample_weight=WEIGHT, offset=OFFSET
    )
    other = GDRegressor("poisson", random_state=0).fit(
        X[kept], COUNTS[kept], sample_weight=WEIGHT[kept], offset=OFFSET[kept]
    )
    np.testing.assert_array_equal(first.coef_, other.coef_)


@pytest.mark.parametrize("scoring", [None, "loss"])
def test_early_stopping(scoring):
    # Scores without the offset would be far lower.
    model = GDClassifier(early_stopping=True, scoring=scoring, random_state=0)
    offset = 10.0 * OFFSET
    y = X[:, 0] + offset > 0
    model.fit(X, y, offset=offset)
    best = max(model.history_["validation_score"])
    assert best > 0.9 if scoring is None else best > -0.2
    model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:], offset=offset[:200],
              offset_val=offset[200:])  # fmt: skip
    last = model.score(X[200:], y[200:], offset=offset[200:])
    if scoring is None:
        assert last == max(model.history_["validation_score"])
    model.set_params(scoring="accuracy")
    with pytest.raises(ValueError, match="Scorers predict without an offset"):
        model.fit(X, y, offset=offset)
    with pytest.raises(ValueError, match="offset and offset_val must be given tog"):
        model.fit(X, y, X_val=X, y_val=y, offset=offset)
    with pytest.raises(ValueError, match="offset and offset_val must be given tog"):
        model.fit(X, y, X_val=X, y_val=y, offset_val=offset)
    model.set_params(early_stopping=False)
    with pytest.raises(ValueError, match="offset_val is provided, but X_val"):
        model.fit(X, y, offset_val=offset)


@pytest.mark.parametrize("given, said", [
    (OFFSET[:-1], r"offset.shape == \(299,\), expected \(300,\)"),
    (OFFSETS, r"offset.shape == \(300, 3\), expected \(300,\)"),
    (np.where(OFFSET > 0, np.nan, 0.0), "Input offset contains NaN"),
    (["a"] * N, "could not convert string to float"),
])  # fmt: skip
def test_what_does_not_fit(given, said):
    model = GDRegressor("poisson").fit(X, COUNTS)
    before = model.coef_
    for call in (
        lambda: model.fit(X, COUNTS, offset=given),
        lambda: model.partial_fit(X, COUNTS, offset=given),
        lambda: model.predict(X, given),
        lambda: model.score(X, COUNTS, offset=given),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert model.coef_ is before


def test_targets_beyond_float64():
    with pytest.raises(ValueError, match="Input y contains infinity"):
        GDRegressor().fit(X, np.full(N, 1.7e308), offset=np.full(N, -1e308))


def test_scores_without_the_offset_warn():
    model = GDRegressor("poisson", random_state=0)
    for fitted in (
        clone(model).fit(X, COUNTS, offset=OFFSET),
        clone(model).partial_fit(X, COUNTS, offset=OFFSET).partial_fit(X[:1], [0.0]),
        pickle.loads(pickle.dumps(clone(model).fit(X, COUNTS, offset=OFFSET))),
    ):
        with pytest.warns(UserWarning, match="fitted with an offset, and is scored wi"):
            fitted.score(X, COUNTS)
    fitted.fit(X, COUNTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.score(X, COUNTS)
        clone(model).fit(X, COUNTS, offset=OFFSET).score(X, COUNTS, offset=OFFSET)
    with pytest.warns(UserWarning, match=r"set_score_request\(offset=True\)"):
        GridSearchCV(model, {"alpha": [1e-4]}, cv=3).fit(X, COUNTS, offset=OFFSET)


def test_searches_by_scorers_warn():
    scoring = "neg_mean_poisson_deviance"
    for estimator, prefix in (
        (GDRegressor("poisson"), ""),
        (make_pipeline(StandardScaler(), GDRegressor("poisson")), "gdregressor__"),
    ):
        search = skgd.GridSearchCV(
            estimator, {prefix + "alpha": [1e-4]}, scoring=scoring, cv=3
        )
        with pytest.warns(UserWarning, match="Scorers predict without an offset"):
            search.fit(X, COUNTS, **{prefix + "offset": OFFSET})


def test_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        model = GDRegressor("poisson", random_state=0)
        model.set_fit_request(offset=True).set_score_request(offset=True)
        search = GridSearchCV(make_pipeline(StandardScaler(), model), {
            "gdregressor__alpha": [1e-4, 1e2]
        }, cv=3)  # fmt: skip
        with warnings.catch_warnings():
            if not ROUTES_TO_SCORES_OF_PIPELINES:
                warnings.filterwarnings("ignore", "The model was fitted with an offset")
            search.fit(X, COUNTS, offset=OFFSET)
        assert search.best_params_ == {"gdregressor__alpha": 1e-4}
        scores = cross_validate(model, X, COUNTS, params={"offset": OFFSET}, cv=3)
        assert min(scores["test_score"]) > 0.2
        fitted = search.best_estimator_[-1]
    scaled = StandardScaler().fit_transform(X)
    alone = GDRegressor("poisson", random_state=0).fit(scaled, COUNTS, offset=OFFSET)
    np.testing.assert_array_equal(fitted.coef_, alone.coef_)
