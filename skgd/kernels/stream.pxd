# Rows learnt one by one, each in the metric of the rows so far, with steps of DoG:
# "distance over gradients" (Ivgi, Hinder and Carmon, "DoG is SGD's best friend", ICML
# 2023, equation 1), the largest norm of W so far over the root of the sum of squared
# gradients. Everything that goes on from row to row is in the state, so that chunks
# make no difference. Sums weigh the latest row by `now`, which grows if rows are to be
# forgotten.

from libc.math cimport fmax, fmin, sqrt

from skgd.kernels.rows cimport dot
from skgd.objective.loss cimport Loss

cdef extern from *:
    """
    /* The k-th iterate weighs about k^2 in the average; with power 1: 0.17 % above the
       optimum, 2: 0.22, 4: 0.38, but the progressive loss falls with it (medians over 8
       designs). Sums are divided by `now` when it is that large. */
    #define SKGD_AVERAGE_POWER 3.0
    #define SKGD_LARGEST_NOW 1e60
    """
    const double AVERAGE_POWER "SKGD_AVERAGE_POWER"
    const double LARGEST_NOW "SKGD_LARGEST_NOW"

cdef struct Stream:
    Py_ssize_t n_features
    Py_ssize_t n_outputs
    double l1
    double l2
    bint fit_intercept
    bint centred
    bint coupled
    bint residual           # a loss of residuals, whose intercept is learnt apart
    bint frozen             # only the sums are taken
    double noise            # relative size of rounding errors of X
    double growth           # of `now`, per row
    double* scalars         # see the enum below
    # Of the features: means, sums of squares about them (of sparse X, about zero) and,
    # of sparse X, weights of the rows that hold them, and the root of these over the
    # squares: times the root of all weights, it is the scale of the feature.
    double* mean
    double* square
    double* stored
    double* ratio
    double root
    # W, and the intercepts of centred features.
    double* coef
    double* intercept
    # Of each output, or in the first place of coupled ones: the largest norm of W, sums
    # of squared gradients and of losses; of each, sums of squared slopes.
    double* distance
    double* squares
    double* losses
    double* slopes
    # The average of W and of the intercepts, at the means of then, and the sum of
    # weights in it at which a feature began; with L1, the mean of signs.
    double* coef_mean
    double* intercept_mean
    double* mean_then
    double* birth
    double* sign_mean
    # Of sparse X: the path of steps, and how far each coefficient was penalised; the
    # squared norm of W.
    double* path
    double* seen
    double* norms
    # Room of a row.
    double* moved
    double* row
    double* scale
    double* variance
    double* kept
    double* z
    double* other
    double* g
    double* v
    double* step

cpdef enum:
    # What `scalars` of a state are, for optim/streaming.py as well.
    WEIGHT = 0              # sums of weights and of rows
    N_ROWS = 1
    PAST = 2                # sums of rows in the average, and since; values since
    PENDING = 3
    DUE = 4
    NOW = 5                 # weight of the latest row in the sums
    N_SCALARS = 6
    AVERAGE_VALUES = 64     # values for each feature between two of sparse X,
    FIRST_SPARSE = 16       # from this many rows on

cdef enum:
    AVERAGE_ROWS = 8        # rows between two averages of dense X,
    FIRST_ROWS = 256        # from this many on


cdef inline double stream_step(
    Stream* s, Py_ssize_t k, double squares, double value
) noexcept nogil:
    """Step size of output k for a gradient of this squared norm.

    A row weighs at most what all before it do. The distance is at least that at which
    the linearised loss of a usual row is zero, and the step at most that of this row.
    """
    cdef double now = s.scalars[NOW]
    cdef double clip = 1.0, step
    if not squares > 0.0:
        return 0.0
    if s.squares[k] > 0.0 and now * squares > s.squares[k]:
        clip = sqrt(s.squares[k] / (now * squares))
    s.squares[k] += now * squares * clip * clip
    if s.frozen:
        return 0.0
    step = fmax(s.distance[k], s.losses[k] / sqrt(s.scalars[N_ROWS] * s.squares[k]))
    step *= clip / sqrt(s.squares[k] / now)
    return step if step * squares <= value else value / squares


cdef inline double stream_loss(
    Loss loss, Stream* s, const double* y, const double* z, double w
) noexcept nogil:
    """Loss of a row of weight w at predictions z, in `v` that of each output."""
    cdef double total = 0.0
    cdef Py_ssize_t k
    for k in range(s.n_outputs):
        s.v[k] = 0.0
    loss.rows(y, z, &w, s.g, 1, s.n_outputs, s.v)
    for k in range(s.n_outputs):
        total += s.v[k]
    return total


cdef inline bint stream_may_forget(Stream* s) noexcept nogil:
    """Whether a feature may begin anew: not in a model of rows that were not seen."""
    return (
        s.scalars[N_ROWS] > s.scalars[NOW]
        and s.scalars[PAST] <= AVERAGE_POWER * s.scalars[N_ROWS]
    )


cdef inline bint stream_forgets(Loss loss, Stream* s, const double* y) noexcept nogil:
    """Whether features begin anew: early on; later and after a fit, if it fits the row.

    That an outlier doubles a sum of squares is nothing against what many rows taught.
    """
    cdef double rows = s.scalars[N_ROWS]
    return (
        (rows <= FIRST_ROWS * s.scalars[NOW] and s.scalars[PAST] <= rows)
        or not stream_loss(loss, s, y, s.other, 1.0) > stream_loss(loss, s, y, s.z, 1.0)
    )


cdef inline void stream_begin_anew(
    Stream* s, Py_ssize_t j, double kept
) noexcept nogil:
    """Keep this part of the coefficients of a feature, and of their average."""
    cdef Py_ssize_t k, cell
    for k in range(s.n_outputs):
        cell = k * s.n_features + j if s.stored == NULL else j * s.n_outputs + k
        s.coef[cell] *= kept
        s.coef_mean[cell] *= kept
    s.birth[j] += (1.0 - kept) * (s.scalars[PAST] - s.birth[j])


cdef inline void stream_intercepts(Stream* s) noexcept nogil:
    """Newton's steps for a loss of residuals, by the curvature of a secant."""
    cdef Py_ssize_t k
    cdef double g, step, rows = s.scalars[N_ROWS] / s.scalars[NOW]
    for k in range(s.n_outputs):
        g = s.g[k]
        if g != 0.0 and s.slopes[k] > 0.0 and not s.frozen:
            step = 4.0 * s.losses[k] / (s.slopes[k] * rows)
            if step * g * g > s.v[k]:
                step = s.v[k] / (g * g)
            s.intercept[k] -= step * g


cdef inline double stream_learn(
    Loss loss, Stream* s, const double* y, double w, double q, double own
) noexcept nogil:
    """Loss of a row at `z`; slopes and steps of the outputs, and their intercepts.

    `q` is the squared norm of the row. Of a loss that is not one of residuals, the
    intercept is one more coefficient, the scale of which is `own`.
    """
    cdef Py_ssize_t k
    cdef double now = s.scalars[NOW], total, v, square, squares = 0.0
    total = stream_loss(loss, s, y, s.z, w)
    for k in range(s.n_outputs):
        square = s.g[k] * s.g[k]
        squares += square
        # An outlier counts at most what all before it do.
        v, square = now * s.v[k], now * square
        if not s.frozen and s.losses[k] > 0.0:
            v = fmin(v, s.losses[k])
        if not s.frozen and s.slopes[k] > 0.0:
            square = fmin(square, s.slopes[k])
        s.losses[k] += v
        s.slopes[k] += square
    if s.fit_intercept and s.residual:
        stream_intercepts(s)
    if s.residual or not s.fit_intercept:
        own = 0.0
    for k in range(s.n_outputs):
        if s.coupled and k > 0:
            s.step[k] = s.step[0]
        elif s.coupled:
            s.step[0] = stream_step(s, 0, squares * (q + own), total)
        else:
            s.step[k] = stream_step(s, k, s.g[k] * s.g[k] * (q + own), s.v[k])
        if s.step[k] != 0.0:
            s.intercept[k] -= s.step[k] * s.g[k] * own
    return total


cdef inline void stream_average(Stream* s) noexcept nogil:
    """Mix the present model into the average."""
    cdef Py_ssize_t n = s.n_features, K = s.n_outputs, j, k
    cdef bint sparse = s.stored != NULL
    cdef Py_ssize_t of_output = 1 if sparse else n
    cdef Py_ssize_t of_feature = K if sparse else 1
    cdef double* past = &s.scalars[PAST]
    cdef double new = AVERAGE_POWER * s.scalars[PENDING]
    cdef double share = new / (past[0] + new)
    cdef double own, sign
    cdef double* w
    cdef double* a
    if s.centred:
        for j in range(n):
            s.moved[j] = s.mean[j] - s.mean_then[j]
            s.mean_then[j] = s.mean[j]
        for k in range(K):
            s.intercept_mean[k] += dot(
                <const double*> s.moved, s.coef_mean + k * n, n, NULL
            )
    for k in range(K):
        s.intercept_mean[k] += share * (s.intercept[k] - s.intercept_mean[k])
        w = s.coef + k * of_output
        a = s.coef_mean + k * of_output
        for j in range(n):
            own = share
            if s.birth[j] > 0.0:
                own = new / (past[0] - s.birth[j] + new)
            a[j * of_feature] += own * (w[j * of_feature] - a[j * of_feature])
    if s.l1 > 0.0:
        for j in range(n * K):
            sign = 1.0 if s.coef[j] > 0.0 else (-1.0 if s.coef[j] < 0.0 else 0.0)
            s.sign_mean[j] += share * (sign - s.sign_mean[j])
    past[0] += s.scalars[PENDING]
    s.scalars[PENDING] = 0.0


cdef inline void stream_next(Stream* s, double w) noexcept nogil:
    """Count a row, the weight of which is w."""
    cdef Py_ssize_t j, k
    cdef double now
    if s.growth > 1.0 and not s.frozen:
        # What is past weighs less than what comes, in the average as well.
        s.scalars[NOW] *= s.growth
        now = s.scalars[NOW]
        if now > LARGEST_NOW:
            for j in range(s.n_features):
                s.square[j] /= now
                s.birth[j] /= now
                if s.stored != NULL:
                    s.stored[j] /= now
                    s.ratio[j] *= sqrt(now)
            for k in range(s.n_outputs):
                s.squares[k] /= now
                s.losses[k] /= now
                s.slopes[k] /= now
            s.scalars[WEIGHT] /= now
            s.scalars[N_ROWS] /= now
            s.scalars[PAST] /= now
            s.scalars[PENDING] /= now
            s.scalars[NOW] = 1.0
    s.scalars[N_ROWS] += s.scalars[NOW]
    s.scalars[WEIGHT] += w * s.scalars[NOW]
    s.root = sqrt(s.scalars[WEIGHT])
