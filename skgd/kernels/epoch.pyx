# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Epochs: options that are checked once per fit, and the choice of the loop."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from skgd.kernels.block cimport block_epoch
from skgd.kernels.lazy cimport Lazy
from skgd.kernels.metric cimport Metric
from skgd.kernels.metric_dense cimport metric_rows
from skgd.kernels.metric_sparse cimport metric_cells
from skgd.kernels.passes cimport Arguments, pointer
from skgd.kernels.rows cimport Rows
from skgd.kernels.textbook cimport row_epoch
from skgd.objective.loss cimport Loss

import numpy as np


cdef class Epoch:
    """Textbook updates over the rows of one fit.

    Parameters
    ----------
    X : Rows
    loss : Loss
    l1, l2 : float
        Strengths of the penalties l1 |W|_1 and l2/2 |W|_F^2.
    batch_size : int
        Rows per update.
    n_outputs : int
        K.
    fit_intercept : bool
    by_blocks : bool
        Use the block loop instead of the row loop.
    averaging : bool
        Whether sums of the iterates are made.
    momentum : float
        Share of the last move that each update goes on with, by the block loop.
    nesterovs : bool
        Whether momentum is Nesterov's.
    """

    cdef Arguments a
    cdef Rows X
    cdef Loss loss
    cdef bint by_blocks
    cdef bint averaging
    cdef Lazy lazy
    cdef double[::1] history  # of thresholds and averages, by update

    def __init__(self, Rows X, Loss loss, double l1, double l2, *,
                 Py_ssize_t batch_size, Py_ssize_t n_outputs, bint fit_intercept,
                 bint by_blocks=False, bint averaging=False, double momentum=0.0,
                 bint nesterovs=False):
        cdef Py_ssize_t n_gradient = 0
        if momentum and not by_blocks:
            raise ValueError("Momentum is made by the block loop.")
        if by_blocks:
            # Behind the gradient there is room for other intercepts.
            n_gradient = n_outputs * (X.n_features + 2)
        self.X, self.loss = X, loss
        self.by_blocks, self.averaging = by_blocks, averaging
        self.a = Arguments(
            X, batch_size, n_outputs, fit_intercept, by_blocks, n_gradient
        )
        self.a.p.l1, self.a.p.l2 = l1, l2
        self.a.p.momentum, self.a.p.nesterovs = momentum, nesterovs
        memset(&self.lazy, 0, sizeof(Lazy))
        if by_blocks or not X.sparse:
            return
        if l1 > 0.0:
            self.lazy.threshold_seen = self.a.numbers(X.n_features)
        if averaging:
            self.lazy.weight_seen = self.a.numbers(X.n_features)
        if averaging and l1 > 0.0:
            self.lazy.moment_seen = self.a.numbers(X.n_features)

    def run(self, visits, const double[::1] steps, coef, double[::1] intercept,
            coef_sum=None, double[::1] intercept_sum=None, Py_ssize_t average_from=0,
            double[::1] losses=None, velocity=(None, None)):
        """Make an epoch, in place.

        Parameters
        ----------
        visits : tuple
            Rows to visit, an ndarray of intp of shape (n,); their targets or class
            indices, (n, K) or (n, 1); their weights, (n,), or None.
        steps : ndarray of shape (ceil(n / batch_size),) or (1,)
            Step size of each update, or of all.
        coef : ndarray of shape (K, p), in the memory order `X.order`
        intercept : ndarray of shape (K,)
        coef_sum, intercept_sum : ndarray like coef and intercept, or None
            The iterates after each update from number `average_from` of this epoch on
            are added to them.
        losses : ndarray of shape (number of updates,) or None
            Filled with the mean over each batch of weight times loss, before its
            update.
        velocity : tuple of ndarrays like coef and intercept, or of None
            With momentum, the last move.

        Returns
        -------
        float
            Sum over rows of weight times loss, each before the update it is part of.
        """
        cdef double total
        rows, y, weight = visits
        self.a.visit(rows, y, weight)
        if self.a.p.n_order == 0:
            return 0.0
        self.a.model(coef, intercept, coef_sum, intercept_sum, velocity[0],
                     velocity[1])
        self.set_steps(steps, losses)
        self.a.p.average_from = average_from
        if (self.a.p.coef_velocity != NULL) != (self.a.p.momentum > 0.0):
            raise ValueError("There must be a velocity if, and only if, there is "
                             "momentum.")
        if self.averaging != (coef_sum is not None):
            raise ValueError("There must be sums of the iterates if, and only if, "
                             "they are averaged.")
        if self.by_blocks:
            with nogil:
                total = block_epoch(
                    self.X, self.loss, &self.a.p, NULL, &self.a.buffers
                )
            self.loss.check()
            return total
        self.lazy.history_from = 0
        if self.lazy.moment_seen != NULL and (
            self.history is None or self.history.shape[0] < 3 * self.a.p.n_updates
        ):
            self.history = np.empty(3 * self.a.p.n_updates)
            self.lazy.history = &self.history[0]
        with nogil:
            total = row_epoch(self.X, self.loss, &self.a.p, &self.lazy)
        self.loss.check()
        return total

    cdef set_steps(self, const double[::1] steps, double[::1] losses):
        if steps.shape[0] not in (1, self.a.p.n_updates):
            raise ValueError("There must be a step for each update, or one for all.")
        if losses is not None and losses.shape[0] != self.a.p.n_updates:
            raise ValueError("There must be room for the loss of each update.")
        self.a.p.losses = pointer(losses)
        self.a.p.steps = &steps[0]
        self.a.p.steps_stride = 0 if steps.shape[0] == 1 else 1


cdef class MetricEpoch(Epoch):
    """Updates in the metric of features (x - mean) sqrt(scale).

    Batches differ in size by one row at most.

    Parameters
    ----------
    mean, scale : ndarray of shape (p,)
        `mean` must be zero if X is sparse.
    products : ndarray of shape (n, 2) or None
        What `row_products` returns. Needed for batches of one row of a dense X and
        one output.
    X, loss, l1, l2, batch_size, n_outputs, fit_intercept, by_blocks
        As of `Epoch`. Several dense rows or outputs always go by blocks.
    """

    cdef Metric metric
    cdef bint single

    def __init__(self, Rows X, Loss loss, double l1, double l2, const double[::1] mean,
                 const double[::1] scale, const double[:, ::1] products=None, *,
                 Py_ssize_t batch_size, Py_ssize_t n_outputs, bint fit_intercept,
                 bint by_blocks=False):
        cdef double[::1] direction
        cdef int64_t[::1] touched
        if not mean.shape[0] == scale.shape[0] == X.n_features:
            raise ValueError("There must be a mean and a scale for each feature.")
        self.single = batch_size == 1 and n_outputs == 1 and not X.sparse
        if not X.sparse:
            by_blocks = not self.single
        Epoch.__init__(
            self, X, loss, l1, l2, batch_size=batch_size, n_outputs=n_outputs,
            fit_intercept=fit_intercept, by_blocks=by_blocks, averaging=True,
        )
        direction = np.multiply(mean, scale)
        self.metric.mean, self.metric.scale = &mean[0], &scale[0]
        self.metric.direction = &direction[0]
        self.a.arrays += [mean, scale, direction, products]
        if X.sparse and not by_blocks:
            touched = np.empty(X.n_features, dtype=np.int64)
            self.a.arrays.append(touched)
            self.a.buffers.touched = &touched[0]
            self.a.buffers.width = 1 + n_outputs
            if self.a.p.batch_size > 1:
                self.a.buffers.width += 1 + n_outputs
            self.a.buffers.cells = self.a.numbers(
                X.n_features * self.a.buffers.width
            )
        elif self.single:
            if products is None or not products.shape[0] == X.n_rows:
                raise ValueError("There must be products for each row.")
            self.metric.products = &products[0, 0]

    def run(self, visits, const double[::1] steps, coef, double[::1] intercept,
            coef_sum, double[::1] intercept_sum, double lazy_budget=0.0,
            Py_ssize_t average_every=1, double[::1] losses=None):
        """Make an epoch, in place.

        Parameters
        ----------
        visits, coef, losses
            As of `Epoch.run`.
        steps : ndarray of shape (ceil(n / batch_size),) or (1,)
            Largest step size of each update, or of all. A step that would take the
            linearised loss of its batch below zero is truncated.
        intercept : ndarray of shape (K,)
            Intercepts of centred features, b + W mean.
        coef_sum, intercept_sum : ndarray like coef and intercept
            The iterates after the last update, and before it after each
            `average_every`-th, are added to them, weighted by (number of update /
            number of updates)^3.
        lazy_budget : float
            Penalties are applied once steps add up to more than this, and to iterates
            in the averages.

        Returns
        -------
        total : float
            Sum over rows of weight times loss, each before the update it is part of.
        weight_sum : float
            Sum of the weights of the iterates.
        """
        cdef double total
        rows, y, weight = visits
        self.a.visit(rows, y, weight)
        self.a.model(coef, intercept, coef_sum, intercept_sum)
        self.set_steps(steps, losses)
        self.metric.lazy_budget = lazy_budget
        self.metric.average_every = average_every
        self.metric.weight_sum = 0.0
        with nogil:
            if self.a.buffers.cells != NULL:
                total = metric_cells(
                    self.X, self.loss, &self.a.p, &self.metric, &self.a.buffers
                )
            elif self.single:
                total = metric_rows(self.X, self.loss, &self.a.p, &self.metric)
            else:
                total = block_epoch(
                    self.X, self.loss, &self.a.p, &self.metric, &self.a.buffers
                )
        self.loss.check()
        return total, self.metric.weight_sum
