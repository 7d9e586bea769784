"""Calls of scikit-learn's `_fit_and_score` on the same fold, whose fits go together.

The fits are made beforehand, in one pass over the rows. Then scikit-learn's own
function is called for each of them, with an estimator whose `fit` does nothing any
more: scores, errors, messages and the form of the result are its own.
"""

from contextlib import suppress
from inspect import signature
from time import perf_counter

import joblib
import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skgd.estimators.classifier import GDClassifier
from skgd.estimators.inputs import seed
from skgd.estimators.parameters import check_parameters
from skgd.estimators.regressor import GDRegressor
from skgd.estimators.sklearn_private import (
    DefaultScorer,
    fit_and_score,
    safe_indexing,
)
from skgd.search import together
from skgd.search.together import AloneError

# What is known of the function; what a new version adds may mean anything.
KNOWN = {
    "estimator", "X", "y", "scorer", "train", "test", "verbose", "parameters",
    "fit_params", "score_params", "return_train_score", "return_parameters",
    "return_n_test_samples", "return_times", "return_estimator", "split_progress",
    "candidate_progress", "error_score", "caller", "callback_ctx",
}  # fmt: skip
IS_KNOWN = (
    fit_and_score is not None and set(signature(fit_and_score).parameters) <= KNOWN
)
NOT_A_SEARCH = "not a search"


class Call:
    """A call of `_fit_and_score`; raises `AloneError` if it cannot go with others.

    Attributes
    ----------
    key : tuple
        Equal for calls that can go together.
    final : estimator
        Ours, with the parameters of the call: the last step of a pipeline.
    outcome : str or None
        What went wrong.
    """

    def __init__(self, function, args, kwargs):
        if getattr(function, "function", None) is not fit_and_score:
            raise AloneError(NOT_A_SEARCH)
        if not IS_KNOWN or len(args) != 3 or get_config()["array_api_dispatch"]:
            raise AloneError("an unknown version of scikit-learn, or its array API")
        self.function, self.kwargs, self.outcome = function, kwargs, None
        self.estimator, self.X, self.y = args
        context = kwargs.get("callback_ctx")
        if context is not None and getattr(context, "_callbacks", True):
            raise AloneError("callbacks")
        try:
            parameters = clone(kwargs["parameters"] or {}, safe=False)
            self.estimator.set_params(**parameters)
            self._set_final()
            self.final._validate_params()
            check_parameters(self.final)
        except AloneError:
            raise
        except Exception as error:
            raise AloneError("parameters that raise") from error
        if reason := together.why_alone(self.final):
            raise AloneError(reason)
        weights = dict(kwargs["fit_params"] or {})
        self.weight = weights.pop(self.prefix + "sample_weight", None)
        if weights or (self.weight is not None and np.ndim(self.weight) == 0):
            raise AloneError("parameters of fit")
        self.key = (
            together.shared(self.final),
            self._hash_of_transformers(),
            *map(id, (self.X, self.y, self.weight, kwargs["train"], kwargs["test"])),
        )

    def _set_final(self):
        self.final, self.prefix, self.transformers = self.estimator, "", []
        if type(self.estimator) is Pipeline and len(self.estimator.steps) > 1:
            *self.transformers, (name, self.final) = self.estimator.steps
            self.prefix = f"{name}__"
            if self.estimator.verbose or self.estimator.transform_input:
                raise AloneError("verbose or transform_input of a pipeline")
        elif not (isinstance(self.X, np.ndarray) or hasattr(self.X, "iloc")):
            raise AloneError("sparse data, or of another type")
        if type(self.final) not in (GDClassifier, GDRegressor):
            raise AloneError(type(self.final).__name__)

    def _hash_of_transformers(self):
        if not self.transformers:
            return None
        try:
            return joblib.hash([self.transformers, str(self.estimator.memory)])
        except Exception as error:  # anything that cannot be pickled
            raise AloneError("transformers that cannot be hashed") from error

    def result(self, parts, scores, fit_time):
        """scikit-learn's result of a call whose fit is made.

        `scores` are default ones, by the `id` of the part that they are of.
        """
        attributes, estimator = vars(self.final).copy(), self.estimator

        def fit(X, y=None, **params):
            """In place of `estimator.fit`, whose parameters were set once more."""
            if self.transformers:
                self.final = estimator.steps[-1][1]
                estimator.steps[:-1] = self.transformers
            vars(self.final).update(attributes)
            del estimator.fit
            if scores:
                estimator.score = score
            return estimator

        def score(X, y=None, **params):
            if params or id(X) not in scores:
                return type(estimator).score(estimator, X, y, **params)
            return scores[id(X)]

        estimator.fit = fit
        try:
            result = self.function(estimator, parts, self.y, **self.kwargs)
        finally:
            vars(estimator).pop("fit", None)
            vars(estimator).pop("score", None)
        if "fit_time" in result:
            result["fit_time"] = fit_time
        return result


class Parts:
    """In place of X: the parts of a fold, which are made once for all of its calls."""

    def __init__(self, n_rows, test, X_test, X_train):
        self.shape = (n_rows, 1)
        self.test, self.X_test, self.X_train = test, X_test, X_train

    def __getitem__(self, index):
        rows = index[0] if isinstance(index, tuple) else index
        return self.X_test if np.array_equal(rows, self.test) else self.X_train


class Fold:
    """Calls of equal `key`: their data, and their results.

    Raises AloneError, or what scikit-learn's checks of data raise.
    """

    def __init__(self, calls):
        self.calls, first = calls, calls[0]
        X, self.y, self.test = first.X, first.y, first.kwargs["test"]
        train = np.arange(len(self.y))[np.asarray(first.kwargs["train"])]
        # One draw for all if there is no random_state.
        self.seed = seed(first.final.random_state)
        with_train = first.kwargs["return_train_score"]
        X_test = safe_indexing(X, self.test)
        X_train = safe_indexing(X, train) if with_train or first.transformers else None
        self.parts = Parts(len(self.y), self.test, X_test, X_train)
        # Rows that default scores are of: the part, what our estimator gets, and y.
        self.scored = [[X_test, X_test, self.test], [X_train, X_train, train]]
        y, weight, rows = self.y, first.weight, train
        if first.transformers:
            y = safe_indexing(y, train)
            weight = None if weight is None else safe_indexing(weight, train)
            before = Pipeline(first.transformers, memory=first.estimator.memory)
            try:
                X, rows = before.fit_transform(X_train, y), np.arange(len(y))
                self.scored[0][1], self.scored[1][1] = before.transform(X_test), X
            except Exception as error:  # of the user's transformers; each is to raise
                raise AloneError("transformers that raise") from error
            for call in calls:
                call.transformers = before.steps
        if not with_train:
            del self.scored[1]
        finals = [call.final for call in calls]
        self.problem = together.prepare(finals, X, y, weight, rows)

    def results(self):
        """Those of the calls, from stacks that the memory has room for."""
        size = together.models_at_once(self.problem.data.n_features, len(self.test))
        for i in range(0, len(self.calls), size):
            calls, start = self.calls[i : i + size], perf_counter()
            finals = [call.final for call in calls]
            outcomes = together.train(finals, self.problem, self.seed)
            fit_time = (perf_counter() - start) / len(calls)
            scores = self._default_scores(finals)
            for k, (call, call.outcome) in enumerate(zip(calls, outcomes, strict=True)):
                own = {part: values[k] for part, values in scores.items()}
                yield call.result(self.parts, own, fit_time)

    def _default_scores(self, finals):
        """Default scores of all models, by `id` of the part; perhaps none."""
        scores = {}
        # Of single precision, the order of sums would show.
        if finals[0].coef_.dtype == np.float64 and all(
            type(call.kwargs["scorer"]) is DefaultScorer for call in self.calls
        ):
            for part, X, rows in self.scored:
                y = np.asarray(safe_indexing(self.y, rows))
                # Else each call will raise, or warn.
                with suppress(ValueError):
                    if len(y) > 1:
                        scores[id(part)] = together.default_scores(finals, X, y)
        return scores
