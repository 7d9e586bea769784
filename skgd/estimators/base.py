"""What the estimators share: the way of a call through the package."""

import warnings
from abc import ABCMeta, abstractmethod
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import validate_data

from skgd.distributed import is_collection
from skgd.estimators import advice, early_stopping, fitted, partitioned
from skgd.estimators.inputs import (
    check_data,
    check_model,
    check_offset,
    check_warm_start,
    dense,
    make_problem,
    positive,
    row_weights,
    seed,
    shaped,
)
from skgd.estimators.parameters import CONSTRAINTS, NamesKnown, check_parameters
from skgd.estimators.sklearn_private import SparseCoefMixin, fit_context
from skgd.estimators.stream import learn_stream
from skgd.kernels import Rows
from skgd.objective.own import own_loss
from skgd.optim import choose, streaming
from skgd.training.callbacks import CallbackSupportMixin, FitTasks
from skgd.training.loop import train
from skgd.training.record import PathRecord, UpdateRecord
from skgd.training.state import Memory, State

LAST_UPDATE = 2**62  # averages from later updates on are none
NO_VALIDATION = (None,) * 4


class BaseGD(
    CallbackSupportMixin,
    SparseCoefMixin,
    fitted.Attributes,
    NamesKnown,
    metaclass=ABCMeta,
):
    """What regressor and classifier share: parameters, fit and partial_fit.

    A subclass knows what a target is: `_encode` turns y into what the loss takes,
    `_predictions` linear predictions into predictions of that, which
    `_score_predictions` judges.
    """

    _parameter_constraints: dict = CONSTRAINTS
    _losses: dict  # the table of the subclass
    _took_offset = False

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coef_")

    def __sklearn_clone__(self):
        if isinstance(self.loss, str) or hasattr(self.loss, "value_and_slope"):
            return super().__sklearn_clone__()
        # A compiled function, which cannot be copied, and need not be.
        names = copy(self)
        names.loss = "squared_error"
        clone = BaseEstimator.__sklearn_clone__(names)
        clone.loss = self.loss
        return clone

    def __getstate__(self):
        # partial_fit changes these in place, which no copy of the model may see.
        attributes = super().__getstate__()
        if (memory := attributes.get("_memory")) and memory.stream:
            memory = replace(memory, stream=streaming.copied(memory.stream))
            attributes = attributes | {"_memory": memory}
        if "history_" in attributes:
            history = {name: list(column) for name, column in self.history_.items()}
            curve = history.get("objective", self.loss_curve_)
            attributes = attributes | {"history_": history, "loss_curve_": curve}
        return attributes

    def _linear_predictions(self, X, offset):
        """Those of X, and whether `coef_` has one dimension: a single target."""
        check_model(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        if issparse(X):
            Rows(X)  # before scipy reads what may be malformed
        # Both at once: another thread may be learning.
        model = vars(self).copy()
        coef, intercept = model["coef_"], model["intercept_"]
        z = safe_sparse_dot(X, coef.T, dense_output=True) + intercept
        if offset is not None:
            z += check_offset(offset, len(z), z[:1].size).reshape(z.shape)
        return z, coef.ndim == 1

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
        if not isinstance(self.loss, str):
            return own_loss(self.loss)
        loss, parameters = self._losses[self.loss]
        return loss(*(getattr(self, name) for name in parameters))

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        coef_init: Any = None,
        intercept_init: Any = None,
        offset: Any = None,
        offset_val: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. C-ordered float32 and float64 arrays, read-only ones and
            memory maps among them, and CSR matrices are read in place (but indices of
            two types are copied); memory maps of 1 GB and more in blocks of 20 MB. Or
            a dask array or dataframe, with y and sample_weight in the same partitions:
            each epoch is then a pass over all rows, where they are; 'minibatch' and
            'sgd' begin with a fit of up to 50,000 of them, and need automatic steps
            and finish=True. They take no offset, indicator or loss of your own.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets; for a classifier, a label per row or an indicator of several,
            of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, nonnegative. Only their ratios matter: they are
            divided by their mean. A row of weight 0 is ignored.
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
        offset : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                default=None
            Added to the linear predictions, z = w.x + b + offset, and not learnt: with
            loss 'poisson', the logarithm of the exposure. Of more than two classes or
            several labels, one for each. Methods that predict want it, too, or take 0,
            as scorers do: in searches set scoring=None, and route it to `score`, too.
        offset_val : array-like, default=None
            The offset of `X_val`; to be given with `offset`.

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
        validation = X_val, y_val, sample_weight_val, offset_val
        transaction = fitted.Transaction(self)
        try:
            complaint = self._fit(
                X, y, sample_weight, validation, coef_init, intercept_init, offset,
                tasks,
            )  # fmt: skip
            if tasks is not None:
                tasks.finish()
            if complaint:
                warnings.warn(complaint, stacklevel=3)
            return self
        except BaseException:
            transaction.undo()
            raise

    def _fit(
        self,
        X,
        y,
        sample_weight=None,
        validation=NO_VALIDATION,
        coef_init=None,
        intercept_init=None,
        offset=None,
        tasks=None,
        watch=None,
    ):
        """`fit`, but for what surrounds it. Returns what to warn of, or None."""
        classes, several = (getattr(self, a, None) for a in ("classes_", "multilabel_"))
        problem, score = self._prepare(X, y, sample_weight, validation, offset)
        try:
            if self.warm_start and hasattr(self, "coef_"):
                check_warm_start(self, classes, several, problem)
                coef_init = dense(self.coef_) if coef_init is None else coef_init
                if intercept_init is None:
                    intercept_init = self.intercept_
            state = self._start(problem, coef_init, intercept_init)
            return self._train(
                problem, state, self.max_iter, self.tol, score, tasks=tasks, watch=watch
            )
        finally:
            problem.data.close()

    def _prepare(self, X, y, sample_weight=None, validation=NO_VALIDATION, offset=None):
        """The problem that `fit` solves, and what judges a state."""
        check_parameters(self)
        self._took_offset = offset is not None
        if any(map(is_collection, (X, y, sample_weight))):
            partitioned.refuse_offset(offset, validation[-1])
            return partitioned.prepare(self, X, y, sample_weight, validation[:-1])
        X, y, sample_weight = check_data(self, X, y, sample_weight)
        rows = positive(sample_weight)
        self._learn_targets(y if rows is None else y[rows])
        offset = check_offset(offset, len(y), self._n_outputs)
        rows, score = early_stopping.validation(
            self, X, y, sample_weight, offset, rows, *validation
        )
        return make_problem(self, X, y, sample_weight, rows, True, offset), score

    def _partial_fit(self, X, y, sample_weight, offset, first, transaction):
        """One pass over the rows given; `first` says that there is no model yet."""
        if any(map(is_collection, (X, y, sample_weight))):
            raise TypeError(
                "partial_fit takes rows in memory, not dask collections. fit takes "
                "collections; or call partial_fit with one partition after the other."
            )
        if not first:
            check_model(self)
        reset = first or not hasattr(self, "n_features_in_")
        X, y, sample_weight = check_data(self, X, y, sample_weight, reset, skip=True)
        weight = row_weights(self, y, sample_weight, balance=False)
        if weight is not None and not weight.any():
            return None  # there is nothing to learn from such a chunk
        if isinstance(self, RegressorMixin):
            self._learn_targets(y)
        automatic = self._automatic(self._one_loss())
        if automatic:
            # A stream goes on in the storage that it began in.
            began = fitted.memory_of(self).stream
            sparse = began["sparse"] if began else streaming.is_sparse(X)
            X = streaming.stored_as(sparse, X)
        rows = positive(sample_weight)
        offset = check_offset(offset, len(y), self._n_outputs)
        self._took_offset = self._took_offset or offset is not None
        problem = make_problem(self, X, y, sample_weight, rows, False, offset)
        if automatic:
            return learn_stream(self, problem, X, first, transaction)
        if first:
            state = self._start(problem)
        else:
            first_average = min(int(self.average), LAST_UPDATE)
            state = fitted.resumed(self, problem, first_average)
        return self._train(problem, state, max_iter=1, tol=None, partial=True)

    def _learn_targets(self, y):
        """Keep what prediction must know about the targets."""

    def _automatic(self, loss):
        """Whether the estimator chooses the step sizes itself."""
        # An objective that guides nothing cannot guide the choice either.
        return self.eta0 == self.learning_rate == "auto" and not loss.degenerate

    def _start(self, problem, coef_init=None, intercept_init=None):
        """The state before the first update."""
        data = problem.data
        shape = (self._n_outputs, data.n_features)
        coef = np.zeros(shape, order=data.order)
        intercept = np.zeros(shape[0])
        automatic = self._automatic(problem.loss)
        if automatic and coef_init is None and intercept_init is None:
            intercept[:] = problem.constant
        if coef_init is not None:
            coef[:] = shaped(coef_init, coef.shape, "coef_init")
        if intercept_init is not None:
            intercept[:] = shaped(intercept_init, intercept.shape, "intercept_init")
        state = State(coef, intercept)
        if not state.within(float(np.finfo(data.dtype).max)):
            raise ValueError(
                "y, or what coefficients start from, is too large for the "
                f"{data.dtype} of X. Pass X in double precision, or scale y."
            )
        if not automatic:
            state.start_average(min(int(self.average), LAST_UPDATE))
        self.history_, self.loss_curve_ = {}, []
        for name in ("update_history_", "path_"):
            vars(self).pop(name, None)
        return state

    def _train(
        self,
        problem,
        state,
        max_iter,
        tol,
        score=None,
        partial=False,
        tasks=None,
        watch=None,
    ):
        """Train `state` and keep what comes of it. Returns what to warn of, or None."""
        # t is in the seed so that each call of partial_fit has an order of its own.
        rng = np.random.default_rng([seed(self.random_state), state.t])
        automatic = self._automatic(problem.loss)
        batch_size = choose.rows_per_update(
            self.solver, self.batch_size, problem, automatic
        )
        arguments = problem, state, batch_size, rng, vars(self)
        if automatic:
            method, eta0 = choose.automatic_method(*arguments)
        else:
            former = self.eta0_ if state.t > 1 else None
            method, eta0 = choose.textbook_method(*arguments, former)
        updates = None
        if self.record == "update":
            updates = UpdateRecord(**getattr(self, "update_history_", {}))
        path = PathRecord(state) if self.record == "path" else None
        dtype = problem.data.dtype
        if tasks is not None:
            tasks.attributes = lambda state, records: fitted.attributes(
                self, {}, state, records, dtype
            )
        ending, history = train(
            problem,
            state,
            method,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=self.n_iter_no_change,
            shuffle=rng if self.shuffle else None,
            score=score,
            largest=float(np.finfo(dtype).max),
            verbose=self.verbose,
            updates=updates,
            path=path,
            tasks=tasks,
            watch=watch,
            judge=not partial,
        )
        memory = fitted.memory_of(self) if partial else Memory()
        if partial:
            # A stream keeps the dtype of its first rows.
            dtype = getattr(getattr(self, "coef_", dtype), "dtype", dtype)
        elif dtype != np.float64:
            fitted.round_ending(ending, problem, dtype, tol)
        fitted.keep(self, ending, history, dtype, memory)
        if partial:
            self.history_ = fitted.thin(self.history_)
            self.loss_curve_ = self.history_["objective"]
        if updates is not None:
            self.update_history_ = updates.columns()
        if path is not None:
            self.path_ = fitted.path(self, path.coef, path.intercept, dtype)
        self.eta0_ = eta0
        self.batch_size_ = batch_size
        if automatic:
            self._memory.stream = streaming.after_fit(
                problem, method.measured, *ending.state.result(), rng
            )
            given = np.atleast_2d(self.coef_).copy(), self.intercept_.copy()
            self._memory.given = given
        if partial and ending.reason != "diverged":
            return None
        return advice.complaint(
            ending, history, problem, rng,
            tol=tol, eta0=None if automatic else eta0, batch_size=batch_size,
            learning_rate=self.learning_rate, momentum=self.momentum,
            regression=isinstance(self, RegressorMixin),
        )  # fmt: skip

    def _shape_coef(self, coef):
        """`coef_` as users see it."""
        return coef
