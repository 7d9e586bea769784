"""Early stopping: the rows set aside, their score, the coefficients kept."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
)
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from samples import regression
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_early_stopping_restores_the_best_coefficients():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X_val, y_val = X[400:], y[400:]
    model = GDClassifier(
        "hinge", solver="sgd", eta0=0.5, learning_rate="constant", random_state=0,
        early_stopping=True, n_iter_no_change=8,
    ).fit(X[:400], y[:400], X_val=X_val, y_val=y_val)  # fmt: skip
    scores = model.history_["validation_score"]
    assert model.score(X_val, y_val) == max(scores) > scores[-1]
    assert len(scores) == model.n_iter_


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_early_stopping_scores_what_predict_predicts(storage, loss):
    X, y = regression(300)
    s = np.random.default_rng(0).random(300) + 0.1
    model = GDRegressor(
        loss, early_stopping=True, validation_fraction=0.3, random_state=7, max_iter=5,
        average=True,
    ).fit(storage(X), y, sample_weight=s)  # fmt: skip
    split = ShuffleSplit(test_size=0.3, random_state=7)
    val = next(split.split(X))[1]
    assert max(model.history_["validation_score"]) == pytest.approx(
        model.score(X[val], y[val], sample_weight=s[val])
    )


def test_early_stopping_trains_on_the_other_rows_only():
    X, y = load_iris(return_X_y=True)
    parameters = dict(shuffle=False, eta0=0.01, tol=None, max_iter=7, random_state=3)
    stopped = GDClassifier(
        early_stopping=True, validation_fraction=0.4, **parameters
    ).fit(X, y)  # fmt: skip
    split = StratifiedShuffleSplit(test_size=0.4, random_state=3)
    train = np.sort(next(split.split(X, y))[0])
    plain = GDClassifier(**parameters).fit(X[train], y[train])
    assert stopped.loss_curve_ == pytest.approx(plain.loss_curve_, rel=1e-12)


def test_validation_data_in_a_pipeline_are_transformed():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        model = GDRegressor(early_stopping=True, random_state=0).set_fit_request(
            X_val=True, y_val=True
        )
        scaler = StandardScaler()
        pipeline = make_pipeline(scaler, model, transform_input=["X_val"])
        pipeline.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert max(model.history_["validation_score"]) == pytest.approx(
        pipeline.score(X[300:], y[300:])
    )


def test_a_score_of_nan_is_an_error_and_changes_nothing():
    X, y = regression()
    model = GDRegressor(random_state=0).fit(X, y)
    before = dict(vars(model))
    model.set_params(early_stopping=True, scoring=lambda *_, **__: np.nan)
    with pytest.raises(ValueError, match="validation score is NaN"):
        model.fit(X, y)
    assert model.coef_ is before["coef_"]
    assert model.history_ is before["history_"]


@pytest.mark.parametrize("n, too_few", [(4, True), (10, True), (11, False)])
def test_r2_wants_two_rows_to_validate_on(n, too_few):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    model = GDRegressor(early_stopping=True, validation_fraction=0.1, random_state=0)
    if too_few:
        with pytest.raises(ValueError, match="validation set has 1 samples"):
            model.fit(X, X[:, 0])
    else:
        assert np.isfinite(model.fit(X, X[:, 0]).history_["validation_score"]).all()
