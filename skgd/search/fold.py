"""Calls of scikit-learn's `_fit_and_score` on the same fold, whose fits go together.

The fits are made beforehand, in one pass over the rows. Then scikit-learn's own
function is called for each of them, with an estimator whose `fit` does nothing any
more: scores, errors, messages and the form of the result are its own.
"""

from contextlib import suppress
from functools import partial
from inspect import signature
from time import perf_counter

import joblib
import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skgd.estimators.classifier import GDClassifier
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
            raise AloneError("not a search")
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
        weights = kwargs["fit_params"] or {}
        if not set(weights) <= {self.prefix + "sample_weight"}:
            raise AloneError("parameters of fit")
        self.weight = next(iter(weights.values()), None)
        if np.ndim(self.weight) == 0 and self.weight is not None:
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
            raise AloneError(
                "sparse data" if hasattr(self.X, "tocsr") else "other data"
            )
        if type(self.final) not in (GDClassifier, GDRegressor):
            raise AloneError(type(self.final).__name__)

    def _hash_of_transformers(self):
        if not self.transformers:
            return None
        try:
            return joblib.hash([self.transformers, str(self.estimator.memory)])
        except Exception as error:  # anything that cannot be pickled
            raise AloneError("transformers that cannot be hashed") from error

    def score(self, parts, known, fit_time):
        """scikit-learn's result of a call whose fit is made.

        `known` are linear predictions and perhaps default scores by the `id` of what
        they are of.
        """
        fit = vars(self.final).copy()
        steps = self.transformers
        if not parts.raw:
            # The parts are transformed already.
            steps = [(name, "passthrough") for name, _ in steps]

        def fitted(X, y=None, **params):
            """In place of `estimator.fit`, whose parameters were set once more."""
            del self.estimator.fit
            if steps:
                self.final = self.estimator.steps[-1][1]
                self.estimator.steps[:-1] = steps
            vars(self.final).update(fit)
            self.final._linear_predictions = partial(_linear_predictions, self, known)
            if type(self.kwargs["scorer"]) is DefaultScorer:
                self.estimator.score = partial(_score, self, known)
            return self.estimator

        self.estimator.fit = fitted
        try:
            result = self.function(self.estimator, parts, self.y, **self.kwargs)
        finally:
            for name in ("fit", "score", "_linear_predictions"):
                vars(self.estimator).pop(name, None)
                vars(self.final).pop(name, None)
            if steps:
                self.estimator.steps[:-1] = self.transformers
        if "fit_time" in result:
            result["fit_time"] = fit_time
        return result


def _linear_predictions(call, known, X):
    """Those of the estimator of a call, looked up where they are known."""
    final = call.final
    if id(X) not in known:
        return type(final)._linear_predictions(final, X)
    z, _ = known[id(X)]
    return z if final.coef_.ndim == 1 else z[:, None], final.coef_.ndim == 1


def _score(call, known, X, y, **params):
    """The default score of the estimator of a call, looked up where it is known."""
    _, score = known.get(id(X), (None, None))
    if score is None or params:
        return type(call.estimator).score(call.estimator, X, y, **params)
    return score


class Parts:
    """In place of X: the parts of a fold, which are made once for all of its calls."""

    def __init__(self, n_rows, test, X_test, X_train, raw):
        self.shape = (n_rows, 1)
        self.test, self.X_test, self.X_train, self.raw = test, X_test, X_train, raw

    def __getitem__(self, index):
        rows = index[0] if isinstance(index, tuple) else index
        return self.X_test if np.array_equal(rows, self.test) else self.X_train


class Fold:
    """Calls of equal `key`: their data, and their results."""

    def __init__(self, calls):
        self.calls, first = calls, calls[0]
        self.X, self.y = first.X, first.y
        self.train, self.test = first.kwargs["train"], first.kwargs["test"]
        self.scores_train = any(c.kwargs.get("return_train_score") for c in calls)

    def prepare(self):
        """Transform the rows, check them and make the problem of training.

        Raises whatever the data or the user's transformers give reason for.
        """
        first, finals = self.calls[0], [call.final for call in self.calls]
        self.seed = together.seed_of(first.final)
        train = np.arange(len(self.y))[np.asarray(self.train)]
        self.X_test = safe_indexing(self.X, self.test)
        self.X_train = safe_indexing(self.X, train) if self.scores_train else None
        self.raw_test, self.raw_train = self.X_test, self.X_train
        X, y, weight = self.X, self.y, first.weight
        if first.transformers:
            y = safe_indexing(y, train)
            weight = None if weight is None else safe_indexing(weight, train)
            before = Pipeline(first.transformers, memory=first.estimator.memory)
            X = before.fit_transform(safe_indexing(X, train), y)
            self.X_test = before.transform(self.X_test)
            self.X_train = X if self.scores_train else None
            for call in self.calls:
                call.transformers = before.steps
            train = np.arange(len(y))
        self.problem = together.prepare(finals, X, y, weight, train)

    def run(self):
        """The results, in stacks that the memory has room for."""
        size = together.models_at_once(self.problem.data.n_features, len(self.test))
        for i in range(0, len(self.calls), size):
            yield from self._run(self.calls[i : i + size])

    def _run(self, calls):
        start = perf_counter()
        finals = [call.final for call in calls]
        outcomes = together.train(finals, self.problem, self.seed)
        known = self._known(finals)
        fit_time = (perf_counter() - start) / len(calls)
        for k, (call, outcome) in enumerate(zip(calls, outcomes, strict=True)):
            call.outcome = outcome
            raw = not _is_of_scikit_learn(call.kwargs["scorer"])
            of_test, of_train = self.X_test, self.X_train
            if raw:
                of_test, of_train = self.raw_test, self.raw_train
            parts = Parts(len(self.y), self.test, of_test, of_train, raw)
            own = {part: (z[k], scores[k]) for part, (z, scores) in known.items()}
            yield call.score(parts, own, fit_time)

    def _known(self, finals):
        """Linear predictions and default scores of all models, by `id` of the part."""
        known = {}
        if finals[0].coef_.dtype != np.float64:
            return known  # the order of sums would show
        for X, rows in ((self.X_test, self.test), (self.X_train, self.train)):
            if X is None:
                continue
            try:
                z = together.predictions(finals, X)
            except ValueError:
                continue  # each call will raise it
            known[id(X)] = z, [None] * len(finals)
            if type(self.calls[0].kwargs["scorer"]) is DefaultScorer and len(z[0]) > 1:
                y = np.asarray(safe_indexing(self.y, rows))
                with suppress(ValueError):
                    known[id(X)] = z, together.default_scores(finals[0], y, z).tolist()
        return known


def _is_of_scikit_learn(scorer):
    """Whether a scorer knows its estimator by predictions alone."""
    scorers = getattr(scorer, "_scorers", {"score": scorer}).values()
    return all(type(s).__module__ == "sklearn.metrics._scorer" for s in scorers)
