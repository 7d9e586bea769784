"""GDRegressor and GDClassifier: parameters, validation, labels, prediction."""

import warnings
from abc import ABCMeta, abstractmethod
from contextlib import contextmanager
from copy import copy
from inspect import signature
from math import sqrt
from numbers import Integral, Real
from time import perf_counter

import numpy as np
import scipy.sparse as sp
from scipy.special import expit, log_softmax
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.metrics import (
    accuracy_score,
    check_scoring,
    get_scorer_names,
    r2_score,
)
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state, compute_class_weight, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot, softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
)
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from skgd import _advice, _autopilot, _penalties, _solvers, _step_size, _stream
from skgd._callbacks import CallbackSupportMixin, FitTasks
from skgd._curvature import Sample
from skgd._finish import Finish
from skgd._kernels import Rows, loss_totals
from skgd._losses import (
    CLASSIFICATION_LOSSES,
    REGRESSION_LOSSES,
    Multinomial,
    OneVsRest,
)
from skgd._training import Problem, State, UpdateRecord, train

DTYPES = [np.float64, np.float32]
RECORDED_CALLS = 2000  # of partial_fit, before their history is thinned out
# Newer versions of scikit-learn raise for weights that are all zero, unless told.
ZEROS_TOO = dict.fromkeys(
    {"allow_all_zero_weights"} & signature(_check_sample_weight).parameters.keys(), True
)
NO_WEIGHT = "Sample weights must contain at least one non-zero number."

# What an averaging estimator keeps to go on from, besides coef_ and intercept_.
AVERAGING = (
    "_standard_coef",
    "_standard_intercept",
    "_average_coef",
    "_average_intercept",
    "_average_from",
)

# Rows a batch of dense data. Time until the objective is within 1 % of the optimum, as
# a multiple of that of the best of these sizes, over 63 sets of data and two losses
# each (median / 9th decile): 1: 1.28/2.2, 8: 1.25/2.2, 32: 1.21/2.0, 64: 1.17/2.1,
# 128: 1.21/2.8, 256: 1.22/2.5, all: 1.33/2.6. Rows of sparse data share so little that
# single rows took least time, or nearly so, on all of 6 problems.
DEFAULT_BATCH_SIZE = 32
MANY_ROWS = 1000

# Validation rows are copied, so that they are scored a few at a time.
VALIDATION_ROWS = 1024


@contextmanager
def _unchanged_on_error(estimator):
    """Give the estimator back its attributes if the block raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class _BaseGD(CallbackSupportMixin, SparseCoefMixin, BaseEstimator, metaclass=ABCMeta):
    """What regressor and classifier share: parameters, fit and partial_fit.

    A subclass knows what a target is: `_encode` turns y into what the loss takes,
    `_predictions` linear predictions into predictions of that, which
    `_score_predictions` judges.
    """

    _parameter_constraints: dict = {
        "solver": [StrOptions({"batch", "minibatch", "sgd"})],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "learning_rate": [
            StrOptions({"auto", "constant", "invscaling", "optimal", "adaptive"}),
            callable,
        ],
        "eta0": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 0, None, closed="left"), "boolean"],
        "finish": ["boolean"],
        "half_life": [Interval(Real, 1, None, closed="left"), None],
        "record": [StrOptions({"epoch", "update"})],
    }

    _losses: dict  # the table of the subclass

    @abstractmethod
    def __init__(
        self,
        loss,
        *,
        solver,
        batch_size,
        penalty,
        alpha,
        l1_ratio,
        fit_intercept,
        max_iter,
        tol,
        shuffle,
        verbose,
        epsilon,
        random_state,
        learning_rate,
        eta0,
        power_t,
        early_stopping,
        scoring,
        validation_fraction,
        n_iter_no_change,
        warm_start,
        average,
        finish,
        half_life,
        record,
    ):
        self.loss = loss
        self.solver = solver
        self.batch_size = batch_size
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.finish = finish
        self.half_life = half_life
        self.record = record

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coef_")

    def __getstate__(self):
        # partial_fit changes these in place, which no copy of the model may see.
        attributes = super().__getstate__()
        if "_stream" in attributes:
            attributes = attributes | {"_stream": _stream.copied(self._stream)}
        if "history_" in attributes:
            history = {name: list(column) for name, column in self.history_.items()}
            curve = history.get("objective", self.loss_curve_)
            attributes = attributes | {"history_": history, "loss_curve_": curve}
        return attributes

    def _linear_predictions(self, X):
        """Those of X, and whether `coef_` has one dimension: a single target."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        # Both at once: another thread may be learning.
        model = vars(self).copy()
        coef, intercept = model["coef_"], model["intercept_"]
        return safe_sparse_dot(X, coef.T, dense_output=True) + intercept, coef.ndim == 1

    # ------------------------------------------------- what the subclasses answer

    @property
    @abstractmethod
    def _n_outputs(self):
        """K, the rows of W."""

    @abstractmethod
    def _loss(self):
        """The loss over K outputs."""

    @abstractmethod
    def _encode(self, y):
        """Turn y into targets of the loss, of shape (n, K) or (n, 1)."""

    @abstractmethod
    def _class_weights(self, y, sample_weight, balance):
        """Weights of the rows by their class, or None."""

    @abstractmethod
    def _predictions(self, z):
        """Predictions of the targets, from linear ones, (n, K)."""

    @abstractmethod
    def _score_predictions(self, targets, predictions, sample_weight):
        """Validation score."""

    def _one_loss(self):
        """The loss of one output."""
        loss, parameters = self._losses[self.loss]
        return loss(*(getattr(self, name) for name in parameters))

    # -------------------------------------------------------------------- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        coef_init=None,
        intercept_init=None,
    ):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. C-ordered float32 and float64 arrays, read-only ones and
            memory maps among them, and CSR matrices are read in place.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; for a classifier, one label a row.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative. Only their ratios matter: they are
            divided by their mean. A row of weight 0 is as good as absent.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Data for early stopping, instead of a part of X. In a `Pipeline`,
            `transform_input=["X_val"]` transforms it as X.
        y_val : array-like of shape (n_val,), default=None
            Targets of `X_val`.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the rows of `X_val` in the validation score.
        coef_init : array-like of the shape of `coef_`, default=None
            Coefficients to start from, instead of zeros.
        intercept_init : array-like of the shape of `intercept_`, default=None
            Intercepts to start from. Instead of zeros or, with eta0='auto' and
            learning_rate='auto', those of the best constant model.

        Returns
        -------
        self : object
            The fitted estimator. If fit raises, it stays as it was before.

        Raises
        ------
        ValueError
            If data or parameters are invalid or do not fit together.

        Warns
        -----
        ConvergenceWarning
            If training ended by 'max_iter', 'stalled', 'diverged' or 'interrupted' (see
            `stop_reason_`); if textbook steps ended above the best constant model, or
            are much too small. With a number for `eta0`, 'max_iter' warns only while
            epochs still gain more than a thousandth of what was gained.
        UserWarning
            If the slopes of a loss of residuals are bounded, and the penalty takes
            more than 90 % of what the features could gain: y is large for `alpha`.
        """
        tasks = FitTasks.of(self, X, y, sample_weight)
        validation = X_val, y_val, sample_weight_val
        with _unchanged_on_error(self):
            complaint = self._fit(
                X, y, sample_weight, validation, coef_init, intercept_init, tasks
            )
            if tasks is not None:
                tasks.finish()
        if complaint:
            warnings.warn(complaint, stacklevel=3)
        return self

    def _fit(
        self,
        X,
        y,
        sample_weight=None,
        validation=(None, None, None),
        coef_init=None,
        intercept_init=None,
        tasks=None,
        watch=None,
    ):
        """`fit`, but for what surrounds it. Returns what to warn of, or None."""
        problem, X, score = self._prepare(X, y, sample_weight, validation)
        if self.warm_start and hasattr(self, "coef_"):
            coef_init = _dense(self.coef_) if coef_init is None else coef_init
            intercept_init = (
                self.intercept_ if intercept_init is None else intercept_init
            )
        state = self._start(problem, coef_init, intercept_init)
        return self._train(
            problem, state, X, self.max_iter, self.tol, score, tasks=tasks, watch=watch
        )

    def _prepare(self, X, y, sample_weight=None, validation=(None, None, None)):
        """The problem that `fit` solves, X validated, and what judges a state."""
        self._check_parameters()
        X, y, sample_weight = self._check_data(X, y, sample_weight)
        rows = _positive(sample_weight)
        self._learn_targets(y if rows is None else y[rows])
        rows, score = self._validation(X, y, sample_weight, rows, *validation)
        problem = self._problem(X, y, sample_weight, rows, normalize=True)
        return problem, X, score

    def _partial_fit(self, X, y, sample_weight, first):
        """One pass over the rows given; `first` says that there is no model yet."""
        reset = first or not hasattr(self, "n_features_in_")
        X, y, sample_weight = self._check_data(X, y, sample_weight, reset, skip=True)
        weight = self._row_weights(y, sample_weight, balance=False)
        if weight is not None and not weight.any():
            return None  # there is nothing to learn from such a chunk
        if isinstance(self, RegressorMixin):
            self._learn_targets(y)
        automatic = self._automatic(self._one_loss())
        if automatic:
            # A stream goes on in the storage that it began in.
            began = getattr(self, "_stream", None)
            sparse = began["sparse"] if began else _stream.is_sparse(X)
            X = _stream.stored_as(sparse, X)
        rows = _positive(sample_weight)
        problem = self._problem(X, y, sample_weight, rows, normalize=False)
        if automatic:
            return self._learn_stream(problem, X, first)
        state = self._start(problem) if first else self._resume(problem)
        return self._train(problem, state, X, max_iter=1, tol=None, partial=True)

    def _learn_stream(self, problem, X, first):
        """Learn the rows one by one. Returns what to warn of, or None."""
        start = perf_counter()
        state, features = self._stream_state(problem, X, first)
        t = 1 if first else getattr(self, "t_", 1)
        order = None
        if self.shuffle and problem.n_rows > 1:
            rng = np.random.default_rng([_seed(self.random_state), t])
            order = rng.permutation(problem.n_rows)
        losses = np.empty(problem.n_rows) if self.record == "update" else None
        penalty = _penalties.value(state["coef"], problem.l1, problem.l2)
        with _stream.undone_on_error(state, features) as undo:
            total = _stream.learn(
                problem, state, problem.visits(order), self.half_life, losses
            )
            coef, intercept = _stream.result(problem, state)
            largest = float(np.finfo(state["dtype"]).max)
            if not State(coef, intercept).within(largest):
                undo()
                return ConvergenceWarning(
                    "partial_fit met values too large to learn from. The model stays "
                    "as it was."
                )
            # Coupled outputs use the first place only.
            sums = zip(
                state["distance"].tolist(), state["squares"].tolist(), strict=True
            )
            eta = max((d / sqrt(g) for d, g in sums if g > 0.0), default=0.0)
            eta *= sqrt(state["scalars"][_stream.NOW])
            record = {
                # Of the rows before they are learnt: progressive validation.
                "objective": total / problem.n_rows + penalty,
                "method": "stream",
                "eta": eta,
                "n_updates": t - 1 + problem.n_rows,
                "seconds": perf_counter() - start,
            }
            history = {} if first else getattr(self, "history_", {})
            _extend(history, [record])
            _thin(history)
            coef = coef.astype(state["dtype"], copy=False)
            intercept = intercept.astype(state["dtype"], copy=False)
            new = {
                "coef_": self._shape_coef(coef.copy()),
                "intercept_": intercept.copy(),
                "t_": t + problem.n_rows,
                "n_iter_": 1,
                "batch_size_": 1,
                "eta0_": eta,
                "objective_": record["objective"],
                "gap_": np.nan,
                "stop_reason_": "max_iter",
                "history_": history,
                "loss_curve_": history["objective"],
                "_stream": state,
                "_streamed": (coef, intercept),
            }
            if first:
                vars(self).pop("update_history_", None)
            if losses is not None:
                updates = UpdateRecord(**getattr(self, "update_history_", {}))
                updates.add(t, losses + penalty)
                new["update_history_"] = updates.columns()
            # At once: another thread may be predicting.
            vars(self).update(new)
            return None

    def _stream_state(self, problem, X, first):
        """The state that the last call left, with the user's model in it.

        And the features whose part of it may change; None if it is a copy.
        """
        if first:
            return _stream.start(problem, X.dtype), None
        shape = (self._n_outputs, problem.X.n_features)
        state = getattr(self, "_stream", None)
        if state is not None and state["coef"].shape != shape:
            state = None
        if state is not None:
            kept, kept_intercept = self._streamed
            given = np.atleast_2d(_dense(self.coef_))
            same = np.array_equal(given, kept) and np.array_equal(
                self.intercept_, kept_intercept
            )
            features = None
            if same and _stream.serves(problem, state):
                features = _stream.touched(state, X, self.half_life)
            if features is None:
                state = _stream.going_on(problem, state)
            if same:
                return state, features
        # Coefficients of a textbook fit, or the user's own.
        coef = _shaped(_dense(self.coef_), shape, "coef_")
        intercept = _shaped(self.intercept_, shape[:1], "intercept_")
        rows = 0.0
        if state is None:
            # Only the number of rows that they come from is known.
            state = _stream.start(problem, np.result_type(self.coef_, np.float32))
            updates, epochs = getattr(self, "t_", 1) - 1, getattr(self, "n_iter_", 1)
            rows = updates * getattr(self, "batch_size_", 1) / epochs
        _stream.go_on_from(problem, state, coef, intercept, rows)
        return state, None

    def _check_parameters(self, partial=False):
        """Raise ValueError where parameters, each valid, do not fit together."""
        if partial:
            # scikit-learn validates the parameters of the first call only.
            now, known = vars(self), getattr(self, "_valid", {})
            if not known or any(now[name] is not known[name] for name in known):
                self._validate_params()
                self._valid = {name: now[name] for name in self._get_param_names()}
        if partial and self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to "
                "compute the optimal learning rate."
            )
        if self.loss == "cauchy" and self.epsilon == 0:
            raise ValueError("epsilon must be > 0 with loss='cauchy'.")

    def _check_data(self, X, y, sample_weight, reset=True, skip=False):
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=DTYPES,
            y_numeric=isinstance(self, RegressorMixin),
            multi_output=isinstance(self, RegressorMixin),
            reset=reset,
        )
        if sp.issparse(X) and X.indices.dtype != X.indptr.dtype:
            # Of such matrices, older versions of scipy cannot take rows.
            X = sp.csr_array((X.data, X.indices, X.indptr), shape=X.shape)
        return X, y, _check_weights(sample_weight, X, skip)

    def _learn_targets(self, y):
        """Keep what prediction must know about the targets."""

    def _problem(self, X, y, sample_weight, rows, normalize):
        if rows is not None:
            y = y[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        weight = self._row_weights(y, sample_weight, balance=normalize)
        targets = self._encode(y)
        if (kept := _positive(weight)) is not None:
            # A class of weight 0.
            if len(kept) == 0:
                raise ValueError(NO_WEIGHT)
            rows = kept if rows is None else rows[kept]
            targets, weight = targets[kept], weight[kept]
        if weight is not None and normalize:
            weight = weight / weight.max()  # whose sum can't overflow
            weight = weight / weight.mean()
        if weight is not None and np.all(weight == 1.0):
            weight = None
        l1, l2 = _penalties.strengths(self.penalty, self.alpha, self.l1_ratio)
        return Problem(
            X=Rows(X),
            rows=rows,
            y=np.ascontiguousarray(targets, dtype=np.float64),
            weight=weight,
            loss=self._loss(),
            n_outputs=self._n_outputs,
            l1=l1,
            l2=l2,
            fit_intercept=self.fit_intercept,
        )

    def _row_weights(self, y, sample_weight, balance):
        """Sample weights times class weights; None if there are none of both."""
        weight = self._class_weights(y, sample_weight, balance)
        if weight is None or sample_weight is None:
            return sample_weight if weight is None else weight
        return weight * sample_weight

    def _validation(self, X, y, sample_weight, rows, X_val, y_val, sample_weight_val):
        """Rows to train on, and the function that judges a state (or None).

        It returns the score, and the mean loss of the validation rows, as columns of
        `history_`.
        """
        for name, value in (("y_val", y_val), ("sample_weight_val", sample_weight_val)):
            if X_val is None and value is not None:
                raise ValueError(f"{name} is provided, but X_val was not provided.")
        if X_val is not None and y_val is None:
            raise ValueError("X_val is provided, but y_val was not provided.")
        if X_val is not None and not self.early_stopping:
            raise ValueError(
                "X_val and y_val are passed to fit while at the same time "
                "early_stopping is False. When passing X_val and y_val to fit, "
                "early_stopping should be True."
            )
        if not self.early_stopping:
            return rows, None
        if X_val is not None:
            X_val, y_val, weight = self._check_data(
                X_val, y_val, sample_weight_val, reset=False
            )
            val_rows = np.arange(len(y_val))
        else:
            if rows is None:
                rows = np.arange(len(y))
            rows, val_rows = self._split(rows, y)
            X_val, y_val = X, y[val_rows]
            weight = None if sample_weight is None else sample_weight[val_rows]
        targets = np.ascontiguousarray(self._encode(y_val), dtype=np.float64)
        loss_weight = self._row_weights(y_val, weight, balance=True)
        total_weight = len(targets) if loss_weight is None else loss_weight.sum()
        loss = self._loss()
        scorer = None
        if self.scoring not in (None, "loss"):
            scorer = check_scoring(self, self.scoring)
            X_scored = X_val[val_rows]
            scored_with = {} if weight is None else {"sample_weight": weight}

        def score(state):
            coef, intercept = state.result()
            total, predictions = 0.0, []
            for batch in gen_batches(len(val_rows), VALIDATION_ROWS):
                z = safe_sparse_dot(X_val[val_rows[batch]], coef.T) + intercept
                predictions.append(self._predictions(z))
                batch_weight = None if loss_weight is None else loss_weight[batch]
                z = np.ascontiguousarray(z, dtype=np.float64)
                total += loss_totals(loss, targets[batch], batch_weight, z).sum()
            mean_loss = total / total_weight if total_weight > 0.0 else np.nan
            if self.scoring == "loss":
                value = -mean_loss
            elif scorer is None:
                value = self._score_predictions(
                    targets, np.concatenate(predictions), weight
                )
            else:
                model = copy(self)
                vars(model).update(self._coefficients(state, X.dtype))
                value = scorer(model, X_scored, y_val, **scored_with)
            if np.isnan(value):
                raise ValueError("The validation score is NaN.")
            return {"validation_score": float(value), "validation_loss": mean_loss}

        return rows, score

    def _split(self, rows, y):
        """Split rows into those to train on and those to validate on."""
        stratify = not isinstance(self, RegressorMixin)
        splitter = (StratifiedShuffleSplit if stratify else ShuffleSplit)(
            test_size=self.validation_fraction, random_state=self.random_state
        )
        train, val = next(splitter.split(np.zeros((len(rows), 1)), y[rows]))
        if not stratify and len(val) < 2:
            raise ValueError(
                f"The validation set has {len(val)} samples, but the R^2 score is not "
                "well-defined with less than two samples. Please either change "
                "validation_fraction, increase the number of samples, or disable "
                "early_stopping."
            )
        return np.sort(rows[train]), np.sort(rows[val])

    def _automatic(self, loss):
        """Whether the estimator chooses the step sizes itself."""
        # An objective that guides nothing cannot guide the choice either.
        return self.eta0 == self.learning_rate == "auto" and not loss.degenerate

    def _start(self, problem, coef_init=None, intercept_init=None):
        """The state before the first update."""
        X = problem.X
        shape = (self._n_outputs, X.n_features)
        coef = np.zeros(shape, order=X.order)
        intercept = np.zeros(shape[0])
        automatic = self._automatic(problem.loss)
        if automatic and coef_init is None and intercept_init is None:
            intercept[:] = problem.constant()
        if coef_init is not None:
            coef[:] = _shaped(coef_init, coef.shape, "coef_init")
        if intercept_init is not None:
            intercept[:] = _shaped(intercept_init, intercept.shape, "intercept_init")
        state = State(coef, intercept)
        if not automatic:
            state.start_average(self._average_from_parameter())
        self.history_, self.loss_curve_ = {}, []
        vars(self).pop("update_history_", None)
        return state

    def _resume(self, problem):
        """The state that the last call of fit or partial_fit left."""
        X = problem.X
        automatic = self._automatic(problem.loss)
        average = 0 if automatic else self._average_from_parameter()
        resumed = average and hasattr(self, "_average_coef")
        if resumed:
            # Not if the user set other coefficients.
            given = _dense(self.coef_).reshape(self._average_coef.shape)
            kept = self._average_coef.astype(self.coef_.dtype)
            resumed = self._average_from >= self.t_ or np.array_equal(given, kept)
        coef = self._standard_coef if resumed else _dense(self.coef_)
        intercept = self._standard_intercept if resumed else self.intercept_
        shape = (self._n_outputs, X.n_features)
        state = State(
            np.array(_shaped(coef, shape, "coef_"), order=X.order),
            np.array(_shaped(intercept, shape[:1], "intercept_")),
            t=getattr(self, "t_", 1),
            eta=getattr(self, "_eta", 0.0),
        )
        if resumed:
            state.average = self._average_from
            state.average_coef = np.array(self._average_coef, order=X.order)
            state.average_intercept = self._average_intercept.copy()
        else:
            state.start_average(average)
        return state

    def _average_from_parameter(self):
        """The first update to average from; 0 for none."""
        return int(self.average)

    def _train(
        self,
        problem,
        state,
        X,
        max_iter,
        tol,
        score=None,
        partial=False,
        tasks=None,
        watch=None,
    ):
        """Train `state` and keep what comes of it. Returns what to warn of, or None."""
        # t is in the seed so that each call of partial_fit has an order of its own.
        rng = np.random.default_rng([_seed(self.random_state), state.t])
        automatic = self._automatic(problem.loss)
        batch_size = self.batch_size
        if batch_size == "auto":
            one = automatic and problem.X.sparse and problem.n_rows >= MANY_ROWS
            batch_size = 1 if one else DEFAULT_BATCH_SIZE
        batch_size = _solvers.rows_per_update(self.solver, batch_size, problem.n_rows)
        arguments = problem, state, X, batch_size, rng
        if not automatic:
            method, eta0 = self._textbook_method(*arguments)
        else:
            method, eta0 = self._automatic_method(*arguments)
        updates = None
        if self.record == "update":
            updates = UpdateRecord(**getattr(self, "update_history_", {}))
        if tasks is not None:
            tasks.attributes = lambda state, records: self._attributes(
                {}, state, records, X.dtype
            )
        outcome = train(
            problem,
            state,
            method,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=self.n_iter_no_change,
            shuffle=rng if self.shuffle else None,
            score=score,
            largest=float(np.finfo(X.dtype).max),
            verbose=self.verbose,
            updates=updates,
            tasks=tasks,
            watch=watch,
            judge=not partial,
        )
        if X.dtype != np.float64 and not partial:
            self._round(outcome, problem, X.dtype, tol)
        # A stream keeps the dtype of its first rows.
        dtype = getattr(self, "coef_", X).dtype if partial else X.dtype
        self._keep(outcome, dtype)
        if partial:
            _thin(self.history_)
        if updates is not None:
            self.update_history_ = updates.columns()
        self.eta0_ = eta0
        self.batch_size_ = batch_size
        if not partial:
            vars(self).pop("_stream", None)
        if automatic:
            self._stream = _stream.after_fit(
                problem, X, method.measured, *outcome.state.result(), rng
            )
            self._streamed = np.atleast_2d(self.coef_).copy(), self.intercept_.copy()
        if partial and outcome.reason != "diverged":
            return None
        return _advice.complaint(
            outcome, problem, X, rng,
            tol=tol, eta0=None if automatic else eta0, batch_size=batch_size,
            learning_rate=self.learning_rate,
            regression=isinstance(self, RegressorMixin),
        )  # fmt: skip

    def _round(self, outcome, problem, dtype, tol):
        """Judge the coefficients as they are given out, in single precision."""
        coef, intercept = (
            array.astype(dtype).astype(np.float64) for array in outcome.state.result()
        )
        objective = problem.objective(
            State(np.array(coef, order=problem.X.order), intercept)
        )
        lost = max(objective - outcome.objective, 0.0)
        outcome.objective = objective
        if outcome.gap < 1.0:
            gain = max(problem.constant_objective() - objective, 1e-300)
            outcome.gap += lost / (lost + gain)
            if outcome.reason == "converged" and tol is not None and outcome.gap > tol:
                outcome.reason = "stalled"

    def _textbook_method(self, problem, state, X, batch_size, rng):
        """Gradient descent with the user's schedule; and its first step."""
        learning_rate = (
            "adaptive" if self.learning_rate == "auto" else self.learning_rate
        )
        schedule = _step_size.make_schedule(learning_rate, self.power_t, self.alpha)
        if state.t > 1 and self.eta0 in ("auto", self.eta0_):
            eta0 = self.eta0_
        elif learning_rate == "optimal":
            eta0 = state.eta = float(schedule(1))
        elif self.eta0 != "auto":
            eta0 = state.eta = float(self.eta0)
        else:
            eta0 = state.eta = _step_size.stable_step(problem, X, batch_size, rng)
        method = _solvers.Textbook(
            problem, state, self.solver, batch_size, schedule,
            learning_rate == "adaptive",
        )  # fmt: skip
        return method, eta0

    def _automatic_method(self, problem, state, X, batch_size, rng):
        """Epochs that choose their steps, and all rows behind them; the first step."""
        finish = stochastic = None

        def sample(measured):
            if not (self.finish and Sample.is_worth_it(problem)):
                return None
            about = measured.about(problem.fit_intercept, X.dtype)
            return Sample(problem, *about, rng)

        measured, metric, rows = _autopilot.measure(problem, X, rng, sample)
        if self.finish:
            finish = Finish(problem, measured, rows, self.tol, X.dtype)
        if not self.finish or batch_size < problem.n_rows:
            stochastic = _autopilot.Stochastic(
                problem, state, metric, measured, self.solver, batch_size
            )
        method = _autopilot.Automatic(problem, measured, stochastic, finish)
        return method, method.now.eta0

    def _keep(self, outcome, dtype):
        """Copy the state and history of training to attributes."""
        state = outcome.state
        attributes = self._attributes(self.history_, state, outcome.history, dtype)
        vars(self).update(attributes)
        self.stop_reason_ = outcome.reason
        self.objective_, self.gap_ = outcome.objective, outcome.gap
        self._eta = state.eta
        for name in AVERAGING:
            vars(self).pop(name, None)
        if state.average:
            self._standard_coef = np.ascontiguousarray(state.coef)
            self._standard_intercept = state.intercept
            self._average_coef = np.ascontiguousarray(state.average_coef)
            self._average_intercept = state.average_intercept
            self._average_from = state.average

    def _attributes(self, history, state, records, dtype):
        """Attributes at `state`; records of this call's epochs go into `history`."""
        _extend(history, records)
        return {
            **self._coefficients(state, dtype),
            "t_": state.t,
            "n_iter_": len(records),
            "history_": history,
            "loss_curve_": history["objective"],
        }

    def _coefficients(self, state, dtype):
        coef, intercept = state.result()
        return {
            "coef_": self._shape_coef(coef.astype(dtype, order="C")),
            "intercept_": intercept.astype(dtype),
        }

    def _shape_coef(self, coef):
        """`coef_` as users see it."""
        return coef


def _extend(history, records):
    """Append records of epochs to the columns of `history`, whose time goes on."""
    n_before = len(history.get("objective", ()))
    elapsed = history["seconds"][-1] if n_before else 0.0
    for record in records:
        for key in record:
            history.setdefault(key, [np.nan] * n_before)
        for key, column in history.items():
            column.append(record.get(key, np.nan))
        history["seconds"][-1] += elapsed
        n_before += 1


def _thin(history):
    """Keep every other row of a history of too many calls, but the last."""
    if len(history["objective"]) > RECORDED_CALLS:
        for column in history.values():
            del column[:-1:2]


def _seed(random_state):
    if isinstance(random_state, Integral):
        return random_state
    return check_random_state(random_state).randint(np.iinfo(np.int32).max)


def _check_weights(sample_weight, X, skip=False):
    if sample_weight is None:
        return None
    sample_weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, **ZEROS_TOO
    )
    check_non_negative(sample_weight, "`sample_weight`")
    if not (skip or sample_weight.any()):
        raise ValueError(NO_WEIGHT)
    return sample_weight


def _positive(weight):
    """Rows of positive weight; None if that is all of them."""
    if weight is None or np.all(weight > 0):
        return None
    return np.flatnonzero(weight)


def _shaped(array, shape, name):
    """`array` as float64 of `shape`, whose first axis may lack if it has length 1."""
    array = np.asarray(array, dtype=np.float64)
    if array.shape == shape[1:] and shape[0] == 1:
        array = array[None]
    if array.shape != shape:
        raise ValueError(f"Provided {name} does not match dataset.")
    assert_all_finite(array, input_name=name)
    return array


def _dense(coef):
    return coef.toarray() if sp.issparse(coef) else coef


class GDRegressor(RegressorMixin, _BaseGD):
    """Linear regression by batch, mini-batch or stochastic gradient descent.

    Minimises, over coefficients w and intercept b,

        (1/n) sum_i s_i loss(y_i, w.x_i + b) + alpha [(1 - r)/2 |w|_2^2 + r |w|_1]

    with sample weights s_i of mean 1 and r the `l1_ratio`. The intercept is not
    penalised. With K targets, it minimises the sum of K such objectives, in one pass
    over the data for all; given the step sizes, the result is that of K separate fits.
    An update with step size eta on a batch B of rows takes w to

        shrink(max(0, 1 - eta alpha (1 - r)) w - eta g, eta alpha r)

    where g is the mean over B of s_i loss'(y_i, w.x_i + b) x_i and shrink(w, c) moves
    each coefficient by c towards zero, and not beyond it (proximal gradient descent,
    [1]_). As g is a mean, a step size means the same for all batch sizes.

    Parameters
    ----------
    loss : {'squared_error', 'huber', 'absolute_error', 'quantile', \
            'epsilon_insensitive', 'squared_epsilon_insensitive', 'poisson', \
            'cauchy'}, default='squared_error'
        With r = y - z the residual of the linear prediction z:

        - 'squared_error': r^2 / 2.
        - 'huber': r^2 / 2 for |r| <= epsilon, else epsilon (|r| - epsilon / 2). Its
          slopes, and those of the next three, do not grow with the units of y while the
          penalty does: with y in dollars, scale y or decrease `alpha`.
        - 'absolute_error': |r|.
        - 'quantile': the pinball loss, q r for r > 0 and (q - 1) r below, with q the
          `quantile`.
        - 'epsilon_insensitive': max(0, |r| - epsilon).
        - 'squared_epsilon_insensitive': max(0, |r| - epsilon)^2.
        - 'poisson': half the Poisson deviance with a log link. y must not be
          negative; `predict` returns exp(z).
        - 'cauchy': epsilon^2 / 2 log(1 + (r / epsilon)^2), which is not convex and
          hardly notices outliers.

    solver : {'minibatch', 'sgd', 'batch'}, default='minibatch'
        Rows an update: `batch_size` of them, one ('sgd'), or all ('batch').

    batch_size : int or 'auto', default='auto'
        Rows an update of solver 'minibatch'. 'auto' is 32 or, with eta0='auto' and
        1000 sparse rows or more, 1. The last batch of an epoch may be smaller; with
        eta0='auto', batches differ by one row at most. More than there are rows means
        all of them.

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty. 'l2' has l1_ratio 0, 'l1' has l1_ratio 1.

    alpha : float, default=0.0001
        Strength of the penalty.

    l1_ratio : float or None, default=0.15
        Share of L1 in the 'elasticnet' penalty, in [0, 1]; other penalties ignore it.

    fit_intercept : bool, default=True
        Whether to learn an intercept.

    max_iter : int, default=1000
        Largest number of epochs, passes over the training data.

    tol : float or None, default=1e-4
        Training ends once an estimate of (F - F*) / (F_const - F*) is at most `tol`, F*
        the least objective and F_const that of the best constant model. With a number
        for `eta0`, another `learning_rate` or finish=False, it ends after
        `n_iter_no_change` epochs none of which lowered the best objective by more than
        the fraction `tol` of what was gained; with early stopping, also once the score
        has not risen by more than `tol` for as long. None: training ends at `max_iter`,
        or where no step lowers the objective any more.

    shuffle : bool, default=True
        Whether to visit the rows in a new random order each epoch. Solver 'batch'
        does not depend on their order.

    verbose : int, default=0
        1 prints a line an epoch.

    epsilon : float, default=0.1
        Width of the losses 'huber', 'epsilon_insensitive',
        'squared_epsilon_insensitive' and 'cauchy', in units of y.

    quantile : float, default=0.5
        The quantile that loss 'quantile' estimates, in (0, 1).

    random_state : int, RandomState instance or None, default=None
        Decides the order of rows and the validation split. An int gives the same
        coefficients each time, bit for bit.

    learning_rate : {'auto', 'constant', 'invscaling', 'optimal', 'adaptive'} or \
            callable, default='auto'
        The step size eta of update t = 1, 2, ...:

        - 'constant': eta0.
        - 'invscaling': eta0 / t^power_t.
        - 'optimal': 1 / (alpha (t0 + t - 1)), with t0 = alpha^(-3/4). Takes no eta0.
        - 'adaptive': eta0, and where training would end, a fifth of it; training
          ends once it is below eta0 / 10,000.
        - a callable: learning_rate(t, eta0), for an array t, returns an array of eta.
        - 'auto': 'adaptive'; with eta0='auto', see there.

    eta0 : float or 'auto', default='auto'
        The initial step size. A number is textbook gradient descent, with no more to
        it than the formulas here. With 'auto' and learning_rate='auto', a fit is two
        epochs of `solver`, with steps chosen from the data ([2]_, proposition 3.8,
        [3]_), then a quasi-Newton method on all rows ([4]_), one pass per epoch;
        solver='batch' is that method from the start. Features need no scaling. With
        'auto' and another learning_rate, the schedule starts from 1 / (2 L), with L
        the expected smoothness of the objective.

    power_t : float, default=0.25
        Exponent of 'invscaling'.

    early_stopping : bool, default=False
        Whether to stop by the score on validation data, and keep the coefficients with
        the best one; of equal scores, those with the least validation loss. The data
        are a random part of X, or `X_val` and `y_val` of `fit`.

    scoring : str, callable or None, default=None
        The score of early stopping: None for R^2, 'loss' for the mean validation loss
        with its sign changed, or a scorer of scikit-learn, by name or as a callable
        scorer(estimator, X, y), which is also given sample_weight if rows have weights.

    validation_fraction : float, default=0.1
        Part of X set aside for early stopping.

    n_iter_no_change : int, default=5
        Epochs without improvement before training ends; see `tol`. Of no effect in a
        default fit, which does not end by patience.

    warm_start : bool, default=False
        Whether `fit` starts from the present coefficients.

    average : bool or int, default=False
        True: `coef_` is the mean of the iterates after each update; an int: of those
        from update number `average` on, once there are any. With eta0='auto' and
        learning_rate='auto', stochastic epochs are averaged in any case.

    finish : bool, default=True
        Whether all rows take over after two epochs of `solver`. False runs epochs of
        `solver` to the end, with steps chosen from the data. Only of interest with
        eta0='auto' and learning_rate='auto'.

    half_life : float or None, default=None
        Of `partial_fit` with eta0='auto': the number of rows, at least 1, after which
        a row counts half. A model follows a change within a few half-lives; the
        shorter, the noisier it is. None: all rows count alike, however long ago.

    record : {'epoch', 'update'}, default='epoch'
        'update' also keeps the objective of the batch of each update, in
        `update_history_`: 16 bytes an update, of at most 1,000,000. If there are more,
        those whose number is a multiple of 2 are kept, or of 4, and so on. The model
        is the same, bit for bit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients, in the dtype of X; the latter if y has two dimensions.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.
    n_outputs_ : int
        Number of targets.
    n_iter_ : int
        Epochs of the last call of `fit`.
    t_ : int
        Number of updates plus 1.
    eta0_ : float
        The initial step size; with eta0='auto' and learning_rate='auto', of
        standardised features.
    objective_ : float
        The objective at `coef_` and `intercept_`, over the training rows.
    gap_ : float
        The estimate that `tol` bounds, at these: the largest one of several outputs;
        of loss 'cauchy', relative to a local optimum. NaN with a number for `eta0` and
        elsewhere where nothing estimates it.
    stop_reason_ : {'converged', 'max_iter', 'stalled', 'diverged', 'no_progress', \
            'early_stopping', 'callback', 'interrupted'}
        Why training ended. 'converged': `gap_` is at most `tol`; 'stalled': it is not,
        but no step lowers the objective any more; 'no_progress' and 'early_stopping':
        after `n_iter_no_change` epochs without gain, of the objective and of the score;
        'diverged': above the start, or well above the best epoch, whose coefficients
        are kept; 'callback': a callback (`set_callbacks`, with scikit-learn 1.9 and
        newer) returned True; 'interrupted': Ctrl-C, after the running epoch. (A second
        Ctrl-C is a KeyboardInterrupt.)
    batch_size_ : int
        Rows per update; 1 after `partial_fit` with eta0='auto'.
    loss_curve_ : list of float
        The objective of each epoch: a mean over its batches, each evaluated before its
        update; for solver 'batch', the objective before the epoch; of the epochs of
        the quasi-Newton method, that of the model after it.
    history_ : dict of list
        What happened, an entry per epoch: 'objective', as `loss_curve_`; 'method', a
        solver or 'quasi-newton'; 'eta', its last step size; 'n_updates' and 'seconds',
        both since the start; 'gap', as `gap_`; 'gradient_norm', of the objective in
        coefficients and intercept, where it is known (with L1, of the gradient mapping
        or the subgradient of least norm); with early stopping, 'validation_score' and
        'validation_loss', the mean loss without penalty. What an epoch does not tell is
        NaN. `pandas.DataFrame(est.history_)` makes a table. `partial_fit` appends an
        entry per call, of method 'stream' with eta0='auto'; see there.
    update_history_ : dict of ndarray
        With record='update', 'update', the numbers of updates, from 1, and 'objective',
        that of their batches before the update. (The penalty is taken to move linearly
        from the first to the last update of an epoch.)
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GDClassifier : Classification by gradient descent.
    sklearn.linear_model.SGDRegressor : Stochastic gradient descent only. With the
        same parameters, no shuffling and a dense X, solver 'sgd' gives its
        coefficients.

    References
    ----------
    .. [1] N. Parikh and S. Boyd, "Proximal algorithms", Foundations and Trends in
       Optimization 1(3), 2014, section 4.2.
    .. [2] R. M. Gower, N. Loizou, X. Qian, A. Sailanbayev, E. Shulgin and
       P. Richtarik, "SGD: General analysis and improved rates", ICML 2019.
    .. [3] H. Asi and J. C. Duchi, "Stochastic (approximate) proximal point methods:
       convergence, optimality, and adaptivity", SIAM Journal on Optimization 29(3),
       2019, section 2.
    .. [4] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
       optimization", Mathematical Programming 45, 1989. Losses with kinks by the
       method of multipliers: R. T. Rockafellar, "Augmented Lagrangians and
       applications of the proximal point algorithm in convex programming", Mathematics
       of Operations Research 1(2), 1976.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skgd import GDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> for solver in ("batch", "minibatch", "sgd"):
    ...     model = make_pipeline(
    ...         StandardScaler(), GDRegressor(solver=solver, random_state=0)
    ...     )
    ...     print(solver, round(model.fit(X, y).score(X, y), 1))
    batch 0.5
    minibatch 0.5
    sgd 0.5
    """

    _losses = REGRESSION_LOSSES

    _parameter_constraints: dict = {
        **_BaseGD._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        solver="minibatch",
        batch_size="auto",
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-4,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        quantile=0.5,
        random_state=None,
        learning_rate="auto",
        eta0="auto",
        power_t=0.25,
        early_stopping=False,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        finish=True,
        half_life=None,
        record="epoch",
    ):
        super().__init__(
            loss=loss,
            solver=solver,
            batch_size=batch_size,
            penalty=penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            fit_intercept=fit_intercept,
            max_iter=max_iter,
            tol=tol,
            shuffle=shuffle,
            verbose=verbose,
            epsilon=epsilon,
            random_state=random_state,
            learning_rate=learning_rate,
            eta0=eta0,
            power_t=power_t,
            early_stopping=early_stopping,
            scoring=scoring,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            average=average,
            finish=finish,
            half_life=half_life,
            record=record,
        )
        self.quantile = quantile

    @property
    def _n_outputs(self):
        return self.n_outputs_

    def _loss(self):
        return self._one_loss()

    def _learn_targets(self, y):
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self._is_flat = y.ndim == 1

    def _encode(self, y):
        self._one_loss().check_targets(y)
        return y[:, None] if y.ndim == 1 else y

    def _class_weights(self, y, sample_weight, balance):
        return None

    def _predictions(self, z):
        return self._one_loss().predict(z)

    def _score_predictions(self, targets, predictions, sample_weight):
        return r2_score(targets, predictions, sample_weight=sample_weight)

    def _shape_coef(self, coef):
        return coef[0] if self._is_flat else coef

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn rows of a stream, going on from where the model stands.

        With eta0='auto', rows are learnt one by one with steps from the rows so far, of
        any scale ("distance over gradients", Ivgi, Hinder and Carmon, ICML 2023, eq. 1,
        in a metric that follows the variance of the features). `solver`, `batch_size`,
        `max_iter`, `tol`, `average` and `finish` are of no effect. With shuffle=False
        the model is the same, bit for bit, however the rows are cut into calls; with
        shuffle=True each call learns its rows in a random order of its own. All rows
        count alike, those of `fit` included, unless `half_life` is set. Only sums are
        kept, of constant size: a stream can be pickled and gone on with.

        With a number for `eta0` or another `learning_rate`, a call is one epoch of
        `solver` over its rows, and the schedule and averages go on.

        `coef_` and `intercept_` may be set between calls; training goes on from there.
        A chunk whose weights are all 0 is skipped. Where numbers overflow, there is a
        ConvergenceWarning and the model stays. Columns of sparse X are not centred if
        there are more than 100: those far from zero (by several standard deviations)
        are then learnt far too slowly; give them dense, or centre them. An outlier of a
        feature is in its variance for good, unless `half_life` is set.

        Rows should not come sorted by what is predicted: one pass over rows sorted by
        the target ends a few percent of the gain from the optimum, and 'quantile' and
        'poisson' may end below the constant model. Mix them, or pass over them again.

        What to watch is `history_['objective']`: per call, the mean objective of its
        rows before each was learnt (progressive validation), which needs no test data.
        It is that of the model in training; `coef_` is an average, which is better.
        At most 2,000 calls are kept: beyond, every other one goes.

        One thread at a time may call this. Others may predict meanwhile, with the model
        before the call or after it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Part of the training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative, taken as they are: unlike in `fit`,
            they are not divided by their mean. Weight 0 is a row absent. All weights
            times c is what `alpha` / c would be.

        Returns
        -------
        self : object
            The estimator. If partial_fit raises, it stays as it was before.

        Raises
        ------
        ValueError
            If data or parameters are invalid or do not fit together, or
            early_stopping is True.

        Examples
        --------
        >>> import numpy as np
        >>> from skgd import GDRegressor
        >>> rng = np.random.default_rng(0)
        >>> model = GDRegressor(random_state=0)
        >>> for _ in range(100):  # chunks of 20 rows
        ...     X = rng.normal([0.0, 500.0], [1.0, 40.0], size=(20, 2))
        ...     model = model.partial_fit(X, 3.0 * X[:, 0] - 0.2 * X[:, 1] + 7.0)
        >>> model.coef_.round(2)
        array([ 3. , -0.2])
        """
        with _unchanged_on_error(self):
            self._check_parameters(partial=True)
            first = not hasattr(self, "coef_")
            complaint = self._partial_fit(X, y, sample_weight, first)
        if complaint:
            warnings.warn(complaint, stacklevel=3)
        return self

    def predict(self, X):
        """Predict the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted targets; of loss 'poisson', exp of the linear predictions.
        """
        z, flat = self._linear_predictions(X)
        # The user may have set the coefficients of a model that was never fitted.
        flat = getattr(self, "_is_flat", flat)
        return self._predictions(z.ravel() if flat else z)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


def _gives_probabilities(estimator):
    if estimator.loss in ("log_loss", "modified_huber"):
        return True
    raise AttributeError(
        f"probability estimates are not available for loss={estimator.loss!r}"
    )


class GDClassifier(LinearClassifierMixin, _BaseGD):
    """Linear classification by batch, mini-batch or stochastic gradient descent.

    Minimises, over coefficients w and intercept b,

        (1/n) sum_i s_i loss(y_i, w.x_i + b) + alpha [(1 - r)/2 |w|_2^2 + r |w|_1]

    with labels y_i of -1 and +1, weights s_i of mean 1 and r the `l1_ratio`; the
    updates are those of :class:`GDRegressor`. With K > 2 classes, W has a row for each
    class. The loss 'log_loss' is multinomial then, log(sum_k exp(z_k)) - z_y with
    z = W x + b (softmax regression); with the others, there are K problems, each class
    against the rest. All rows of W share each pass over the data.

    Parameters
    ----------
    loss : {'log_loss', 'hinge', 'squared_hinge', 'modified_huber', 'perceptron', \
            'squared_error', 'huber', 'epsilon_insensitive', \
            'squared_epsilon_insensitive'}, default='log_loss'
        With m = y z the margin of the linear prediction z:

        - 'log_loss': log(1 + exp(-m)), logistic regression; multinomial with more
          than two classes.
        - 'hinge': max(0, 1 - m), a linear support vector machine.
        - 'squared_hinge': max(0, 1 - m)^2.
        - 'modified_huber': max(0, 1 - m)^2 for m >= -1, else -4 m ([1]_).
        - 'perceptron': max(0, -m).
        - the others: regression on the labels -1 and +1. See :class:`GDRegressor`.

    solver : {'minibatch', 'sgd', 'batch'}, default='minibatch'
        Rows an update: `batch_size` of them, one ('sgd'), or all ('batch').

    batch_size : int or 'auto', default='auto'
        Rows an update of solver 'minibatch'. 'auto' is 32 or, with eta0='auto' and
        1000 sparse rows or more, 1. The last batch of an epoch may be smaller; with
        eta0='auto', batches differ by one row at most. More than there are rows means
        all of them.

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty. 'l2' has l1_ratio 0, 'l1' has l1_ratio 1.

    alpha : float, default=0.0001
        Strength of the penalty.

    l1_ratio : float or None, default=0.15
        Share of L1 in the 'elasticnet' penalty, in [0, 1]; other penalties ignore it.

    fit_intercept : bool, default=True
        Whether to learn an intercept.

    max_iter : int, default=1000
        Largest number of epochs, passes over the training data.

    tol : float or None, default=1e-4
        Training ends once an estimate of (F - F*) / (F_const - F*) is at most `tol`, F*
        the least objective and F_const that of the best constant model. With a number
        for `eta0`, another `learning_rate` or finish=False, it ends after
        `n_iter_no_change` epochs none of which lowered the best objective by more than
        the fraction `tol` of what was gained; with early stopping, also once the score
        has not risen by more than `tol` for as long. None: training ends at `max_iter`,
        or where no step lowers the objective any more.

    shuffle : bool, default=True
        Whether to visit the rows in a new random order each epoch. Solver 'batch'
        does not depend on their order.

    verbose : int, default=0
        1 prints a line an epoch.

    epsilon : float, default=0.1
        Width of the losses 'huber', 'epsilon_insensitive' and
        'squared_epsilon_insensitive'.

    random_state : int, RandomState instance or None, default=None
        Decides the order of rows and the validation split. An int gives the same
        coefficients each time, bit for bit.

    learning_rate : {'auto', 'constant', 'invscaling', 'optimal', 'adaptive'} or \
            callable, default='auto'
        The step size eta of update t = 1, 2, ...:

        - 'constant': eta0.
        - 'invscaling': eta0 / t^power_t.
        - 'optimal': 1 / (alpha (t0 + t - 1)), with t0 = alpha^(-3/4). Takes no eta0.
        - 'adaptive': eta0, and where training would end, a fifth of it; training
          ends once it is below eta0 / 10,000.
        - a callable: learning_rate(t, eta0), for an array t, returns an array of eta.
        - 'auto': 'adaptive'; with eta0='auto', see there.

    eta0 : float or 'auto', default='auto'
        The initial step size. A number is textbook gradient descent, with no more to
        it than the formulas of :class:`GDRegressor`. With 'auto' and
        learning_rate='auto', a fit is two epochs of `solver`, with steps chosen from
        the data ([2]_, proposition 3.8, [3]_), then a quasi-Newton method on all rows
        ([4]_), one pass per epoch; solver='batch' is that method from the start.
        Features need no scaling. With 'auto' and another learning_rate, the schedule
        starts from 1 / (2 L), with L the expected smoothness of the objective.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    early_stopping : bool, default=False
        Whether to stop by the score on validation data, and keep the coefficients with
        the best one; of equal scores, those with the least validation loss. The data
        are a random part of X with the same share of each class, or `X_val` and
        `y_val` of `fit`.

    scoring : str, callable or None, default=None
        The score of early stopping: None for accuracy, 'loss' for the mean validation
        loss with its sign changed, or a scorer of scikit-learn, by name or as a
        callable scorer(estimator, X, y), which is also given sample_weight if rows have
        weights.

    validation_fraction : float, default=0.1
        Part of X set aside for early stopping.

    n_iter_no_change : int, default=5
        Epochs without improvement before training ends; see `tol`. Of no effect in a
        default fit, which does not end by patience.

    class_weight : dict, 'balanced' or None, default=None
        Weights {label: weight} by which the sample weights of each class are
        multiplied. 'balanced' gives all classes the same total weight. With more
        than two classes, the weight of a row is that of its class in each of the K
        problems, unlike in `SGDClassifier`.

    warm_start : bool, default=False
        Whether `fit` starts from the present coefficients.

    average : bool or int, default=False
        True: `coef_` is the mean of the iterates after each update; an int: of those
        from update number `average` on, once there are any. With eta0='auto' and
        learning_rate='auto', stochastic epochs are averaged in any case.

    finish : bool, default=True
        Whether all rows take over after two epochs of `solver`. False runs epochs of
        `solver` to the end, with steps chosen from the data. Only of interest with
        eta0='auto' and learning_rate='auto'.

    half_life : float or None, default=None
        Of `partial_fit` with eta0='auto': the number of rows, at least 1, after which
        a row counts half. A model follows a change within a few half-lives; the
        shorter, the noisier it is. None: all rows count alike, however long ago.

    record : {'epoch', 'update'}, default='epoch'
        'update' also keeps the objective of the batch of each update, in
        `update_history_`: 16 bytes an update, of at most 1,000,000. If there are more,
        those whose number is a multiple of 2 are kept, or of 4, and so on. The model
        is the same, bit for bit.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the dtype of X; with two classes, of the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_iter_ : int
        Epochs of the last call of `fit`.
    t_ : int
        Number of updates plus 1.
    eta0_ : float
        The initial step size; with eta0='auto' and learning_rate='auto', of
        standardised features.
    objective_ : float
        The objective at `coef_` and `intercept_`, over the training rows.
    gap_ : float
        The estimate that `tol` bounds, at these: the largest one of several outputs;
        of loss 'cauchy', relative to a local optimum. NaN with a number for `eta0` and
        elsewhere where nothing estimates it.
    stop_reason_ : {'converged', 'max_iter', 'stalled', 'diverged', 'no_progress', \
            'early_stopping', 'callback', 'interrupted'}
        Why training ended. 'converged': `gap_` is at most `tol`; 'stalled': it is not,
        but no step lowers the objective any more; 'no_progress' and 'early_stopping':
        after `n_iter_no_change` epochs without gain, of the objective and of the score;
        'diverged': above the start, or well above the best epoch, whose coefficients
        are kept; 'callback': a callback (`set_callbacks`, with scikit-learn 1.9 and
        newer) returned True; 'interrupted': Ctrl-C, after the running epoch. (A second
        Ctrl-C is a KeyboardInterrupt.)
    batch_size_ : int
        Rows per update; 1 after `partial_fit` with eta0='auto'.
    loss_curve_ : list of float
        The objective of each epoch, summed over the K problems of one-vs-rest: a mean
        over its batches, each evaluated before its update; for solver 'batch', the
        objective before the epoch; of the epochs of the quasi-Newton method, that of
        the model after it.
    history_ : dict of list
        What happened, an entry per epoch: 'objective', as `loss_curve_`; 'method', a
        solver or 'quasi-newton'; 'eta', its last step size; 'n_updates' and 'seconds',
        both since the start; 'gap', as `gap_`; 'gradient_norm', of the objective in
        coefficients and intercept, where it is known (with L1, of the gradient mapping
        or the subgradient of least norm); with early stopping, 'validation_score' and
        'validation_loss', the mean loss without penalty. What an epoch does not tell is
        NaN. `pandas.DataFrame(est.history_)` makes a table. `partial_fit` appends an
        entry per call, of method 'stream' with eta0='auto'; see there.
    update_history_ : dict of ndarray
        With record='update', 'update', the numbers of updates, from 1, and 'objective',
        that of their batches before the update. (The penalty is taken to move linearly
        from the first to the last update of an epoch.)
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GDRegressor : Regression by gradient descent.
    sklearn.linear_model.SGDClassifier : Stochastic gradient descent only. With the
        same parameters, no shuffling and a dense X, solver 'sgd' gives its
        coefficients.

    References
    ----------
    .. [1] T. Zhang, "Solving large scale linear prediction problems using stochastic
       gradient descent algorithms", ICML 2004.
    .. [2] R. M. Gower, N. Loizou, X. Qian, A. Sailanbayev, E. Shulgin and
       P. Richtarik, "SGD: General analysis and improved rates", ICML 2019.
    .. [3] H. Asi and J. C. Duchi, "Stochastic (approximate) proximal point methods:
       convergence, optimality, and adaptivity", SIAM Journal on Optimization 29(3),
       2019, section 2.
    .. [4] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
       optimization", Mathematical Programming 45, 1989. Losses with kinks by the
       method of multipliers: R. T. Rockafellar, "Augmented Lagrangians and
       applications of the proximal point algorithm in convex programming", Mathematics
       of Operations Research 1(2), 1976.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skgd import GDClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = GDClassifier(random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.94
    True
    >>> model.predict_proba(X_test[:1]).shape
    (1, 10)
    """

    _losses = CLASSIFICATION_LOSSES

    _parameter_constraints: dict = {
        **_BaseGD._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFICATION_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss="log_loss",
        *,
        solver="minibatch",
        batch_size="auto",
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-4,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        random_state=None,
        learning_rate="auto",
        eta0="auto",
        power_t=0.5,
        early_stopping=False,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
        finish=True,
        half_life=None,
        record="epoch",
    ):
        super().__init__(
            loss=loss,
            solver=solver,
            batch_size=batch_size,
            penalty=penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            fit_intercept=fit_intercept,
            max_iter=max_iter,
            tol=tol,
            shuffle=shuffle,
            verbose=verbose,
            epsilon=epsilon,
            random_state=random_state,
            learning_rate=learning_rate,
            eta0=eta0,
            power_t=power_t,
            early_stopping=early_stopping,
            scoring=scoring,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            average=average,
            finish=finish,
            half_life=half_life,
            record=record,
        )
        self.class_weight = class_weight

    @property
    def _n_outputs(self):
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _loss(self):
        loss = self._one_loss()
        if self._n_outputs == 1:
            return loss
        if self.loss == "log_loss":
            return Multinomial()
        return OneVsRest(loss, self._n_outputs)

    def _check_parameters(self, partial=False):
        super()._check_parameters(partial)
        if partial and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order "
                "to use 'balanced' weights, use compute_class_weight('balanced', "
                "classes=classes, y=y). In place of y you can use a large enough "
                "sample of the full training set target to properly estimate the "
                "class frequency distributions. Pass the resulting weights as the "
                "class_weight parameter."
            )

    def _learn_targets(self, y):
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got "
                f"{len(self.classes_)} class"
            )

    def _indices(self, y):
        """Where the labels are in `classes_`; an error if one is not among them."""
        known, last = np.asarray(self.classes_), len(self.classes_) - 1
        if y.dtype.kind in "biuf" and known.dtype.kind in "biuf":
            # LabelEncoder takes as long as a call of partial_fit in all.
            index = np.minimum(np.searchsorted(known, y), last)
            if np.array_equal(known[index], y):
                return index
        encoder = LabelEncoder()
        encoder.classes_ = known
        return encoder.transform(y)

    def _encode(self, y):
        index = self._indices(y)
        return (2.0 * index - 1.0 if self._n_outputs == 1 else index)[:, None]

    def _class_weights(self, y, sample_weight, balance):
        if self.class_weight is None:
            return None
        index = self._indices(y)
        if self.class_weight == "balanced":
            # By weight, not by number, so that a weight of 2 is a row given twice.
            total = np.bincount(index, sample_weight, minlength=len(self.classes_))
            with np.errstate(divide="ignore"):
                return (total.sum() / (len(self.classes_) * total))[index]
        weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        check_non_negative(weight, "`class_weight`")
        return weight[index]

    def _predictions(self, z):
        if self._n_outputs == 1:
            return np.where(z > 0, 1.0, -1.0)
        return np.argmax(z, axis=1).astype(np.float64)[:, None]

    def _score_predictions(self, targets, predictions, sample_weight):
        return accuracy_score(
            targets[:, 0], predictions[:, 0], sample_weight=sample_weight
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn rows of a stream, going on from where the model stands.

        See `GDRegressor.partial_fit` for how rows are learnt, what is kept, what may be
        changed between calls and what to watch; all of that is the same here.

        Loss 'perceptron' has no objective to choose steps by: it is as with a number
        for `eta0`.

        Rows should not come sorted by label: a model learns one class, then unlearns
        it, and one pass may end below the constant model. Mix them, or keep some rows
        of each class and pass them again with each call. A few chunks of one class do
        no harm.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Part of the training data.
        y : array-like of shape (n_samples,)
            Labels, among `classes`.
        classes : array-like of shape (n_classes,), default=None
            All labels there will be. Needed in the first call only.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative, taken as they are: unlike in `fit`,
            they are not divided by their mean. Weight 0 is a row absent. All weights
            times c is what `alpha` / c would be.

        Returns
        -------
        self : object
            The estimator. If partial_fit raises, it stays as it was before.

        Raises
        ------
        ValueError
            If data or parameters are invalid or do not fit together, `classes` is
            missing from the first call, early_stopping is True, or class_weight is
            'balanced'.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skgd import GDClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> model = GDClassifier(random_state=0)
        >>> for start in range(0, 1500, 10):
        ...     rows = slice(start, start + 10)
        ...     model = model.partial_fit(X[rows], y[rows], classes=range(10))
        >>> model.score(X[1500:], y[1500:]) > 0.85
        True
        """
        with _unchanged_on_error(self):
            self._check_parameters(partial=True)
            first = not hasattr(self, "coef_")
            _check_partial_fit_first_call(self, classes)
            if first:
                self._learn_targets(self.classes_)
            complaint = self._partial_fit(X, y, sample_weight, first)
        if complaint:
            warnings.warn(complaint, stacklevel=3)
        return self

    def decision_function(self, X):
        """Linear predictions, of which the largest one decides.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, n_classes)
            With two classes, positive for `classes_[1]`.
        """
        z, _ = self._linear_predictions(X)
        return z.ravel() if z.ndim > 1 and z.shape[1] == 1 else z

    @available_if(_gives_probabilities)
    def predict_proba(self, X):
        """Probabilities of the classes, of losses 'log_loss' and 'modified_huber'.

        With z the decision function, they are, of 'log_loss', 1 / (1 + exp(-z)) or,
        with more than two classes, exp(z_k) divided by the sum over classes (softmax);
        of 'modified_huber', (clip(z, -1, 1) + 1) / 2 ([1]_ of the class, appendix B),
        with more than two classes divided by their sum.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        z = self.decision_function(X)
        if self.loss == "log_loss" and z.ndim == 1:
            p = expit(z)
        elif self.loss == "log_loss":
            return softmax(z, copy=False)
        else:
            p = (np.clip(z, -1.0, 1.0) + 1.0) / 2.0
        if p.ndim == 1:
            return np.column_stack([1.0 - p, p])
        # All classes may be ruled out; then all are as likely as each other.
        p[p.sum(axis=1) == 0] = 1.0
        return p / p.sum(axis=1, keepdims=True)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        if self.loss == "log_loss" and self._n_outputs > 1:
            # Of classes whose probability vanishes, too.
            return log_softmax(self.decision_function(X), axis=1)
        return np.log(self.predict_proba(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
