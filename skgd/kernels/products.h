/* Loops over the features of rows.

   Of one row: its product with coefficients, and what is added to them. Of a block of
   rows and several outputs, two products. These read the rows where they are, through a
   pointer each: rows in random order need not be copied next to each other for a matrix
   product. They are split into tiles of sums that stay in registers: 4 rows times 3
   outputs, or 16 features times 3 outputs. Sums do not depend on threads, of which there
   are none.

   The file includes itself, once for each type of X. */

#ifndef SKGD_T

#include "vector.h"

#ifdef SKGD_GNU
#define SKGD_TILES
#define SKGD_INLINE static inline __attribute__((always_inline))
typedef double skgd_quad __attribute__((vector_size(32)));
/* As they lie in memory, at any address. */
typedef double skgd_doubles __attribute__((vector_size(32), aligned(8), may_alias));
typedef float skgd_floats __attribute__((vector_size(16), aligned(4), may_alias));
/* From the m-th on, four numbers of which the last m are 1. */
static const double skgd_last[8] = {0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0};
#define SKGD_LOAD_double(x) (*(const skgd_doubles *)(x))
#define SKGD_LOAD_float(x) \
    __builtin_convertvector(*(const skgd_floats *)(x), skgd_quad)
/* What is used twice only, gcc would load for each use; but loads are what is scarce. */
#define SKGD_LOAD_ONCE_double(x) (*(const volatile skgd_doubles *)(x))
#define SKGD_LOAD_ONCE_float SKGD_LOAD_float
#else
#define SKGD_INLINE static inline
#endif

#define SKGD_JOIN_(a, b) a##_##b
#define SKGD_JOIN(a, b) SKGD_JOIN_(a, b)
#define SKGD_NAME(name) SKGD_JOIN(skgd_##name, SKGD_T)
#define SKGD_LOAD SKGD_JOIN(SKGD_LOAD, SKGD_T)
#define SKGD_LOAD_ONCE SKGD_JOIN(SKGD_LOAD_ONCE, SKGD_T)

/* Coefficients that stay in the first-level cache during a pass over the rows. */
#define SKGD_CACHED_COEFS 3072

/* Of n outputs, how many to take at once: 3, but not so that a single one is left. */
#define SKGD_OUTPUTS(n) ((n) == 4 ? 2 : (n) < 3 ? (n) : 3)

/* Of n groups of four features, how many to take at once: 4, but the same goes. */
#define SKGD_QUADS(n) ((n) == 5 ? 3 : SKGD_MIN(4, n))

#define SKGD_MIN(a, b) ((a) < (b) ? (a) : (b))

/* The average of coefficients W with the iterates since, of sparse features whose L2 is
   due: see `average_of` in epoch.pyx. `seen` is NULL if there is none. */
SKGD_VECTOR void skgd_mix_sparse(
    double *__restrict out, const double *w, const double *average, const double *seen,
    const double *ratio, const double *birth, double l2, double path, double past,
    double new, Py_ssize_t n)
{
    for (Py_ssize_t j = 0; j < n; j++)
        out[j] = w[j];
    if (seen)
        for (Py_ssize_t j = 0; j < n; j++)
            out[j] /= 1.0 + l2 * ratio[j] * (path - seen[j]);
    if (!(new > 0.0))
        memcpy(out, average, n * sizeof(double));
    else
        for (Py_ssize_t j = 0; j < n; j++)
            out[j] = average[j]
                + (out[j] - average[j]) * (new / (past - birth[j] + new));
}

#define SKGD_T float
#include "products.h"
#undef SKGD_T
#define SKGD_T double
#include "products.h"
#undef SKGD_T

#else

/* Values of X in a line of cache. */
#define SKGD_LINE (64 / (Py_ssize_t)sizeof(SKGD_T))

/* Prefetch features from `from` to `to` of a row. */
static inline void SKGD_NAME(prefetch)(const SKGD_T *x, Py_ssize_t from, Py_ssize_t to)
{
    for (; from < to; from += SKGD_LINE)
        SKGD_PREFETCH(x + from);
    SKGD_PREFETCH(x + to - 1);
}

/* x . w; with `ahead`, every second line of the row `next` is prefetched meanwhile. */
SKGD_INLINE double SKGD_NAME(dot_row)(
    const int ahead, const SKGD_T *x, const double *w, Py_ssize_t n, const SKGD_T *next)
{
    Py_ssize_t j = 0;
    double total = 0.0;
#ifdef SKGD_TILES
    /* Four sums at a time: one would wait for itself. */
    skgd_quad s[4] = {{0.0}};
    for (; j + 2 * SKGD_LINE <= n; j += 2 * SKGD_LINE) {
        if (ahead)
            SKGD_PREFETCH(next + j);
        for (int q = 0; q < SKGD_LINE / 2; q++)
            s[q % 4] += SKGD_LOAD(x + j + 4 * q) * SKGD_LOAD_double(w + j + 4 * q);
    }
    for (; j + 8 <= n; j += 8) {
        s[0] += SKGD_LOAD(x + j) * SKGD_LOAD_double(w + j);
        s[1] += SKGD_LOAD(x + j + 4) * SKGD_LOAD_double(w + j + 4);
    }
    if (j + 4 <= n) {
        s[2] += SKGD_LOAD(x + j) * SKGD_LOAD_double(w + j);
        j += 4;
    }
    for (; j < n; j++)
        total += x[j] * w[j];
    s[0] = (s[0] + s[1]) + (s[2] + s[3]);
    return total + ((s[0][0] + s[0][2]) + (s[0][1] + s[0][3]));
#else
    (void)ahead, (void)next;
    for (; j < n; j++)
        total += x[j] * w[j];
    return total;
#endif
}

/* w += factor scale x, or without `scaled`, factor x; with `ahead`, the other lines of
   `next` are prefetched meanwhile. */
SKGD_INLINE void SKGD_NAME(add_row)(
    const int scaled, const int ahead, double *w, double factor, const double *scale,
    const SKGD_T *x, Py_ssize_t n, const SKGD_T *next)
{
    Py_ssize_t j = 0;
    if (ahead) {
        for (; j + 2 * SKGD_LINE <= n; j += 2 * SKGD_LINE) {
            SKGD_PREFETCH(next + j + SKGD_LINE);
            for (Py_ssize_t q = j; q < j + 2 * SKGD_LINE; q++)
                w[q] += factor * (scaled ? scale[q] * x[q] : x[q]);
        }
        SKGD_NAME(prefetch)(next, j, n);
    }
    for (; j < n; j++)
        w[j] += factor * (scaled ? scale[j] * x[j] : x[j]);
}

/* As `dot_row` and `add_row`, `ahead` if there is a `next`. */
SKGD_VECTOR double SKGD_NAME(dot)(
    const SKGD_T *x, const double *w, Py_ssize_t n, const SKGD_T *next)
{
    return next ? SKGD_NAME(dot_row)(1, x, w, n, next)
                : SKGD_NAME(dot_row)(0, x, w, n, NULL);
}

SKGD_VECTOR void SKGD_NAME(add)(
    double *w, double factor, const SKGD_T *x, Py_ssize_t n, const SKGD_T *next)
{
    if (next)
        SKGD_NAME(add_row)(0, 1, w, factor, NULL, x, n, next);
    else
        SKGD_NAME(add_row)(0, 0, w, factor, NULL, x, n, NULL);
}

SKGD_VECTOR void SKGD_NAME(scaled_add)(
    double *w, double factor, const double *scale, const SKGD_T *x, Py_ssize_t n,
    const SKGD_T *next)
{
    if (next)
        SKGD_NAME(add_row)(1, 1, w, factor, scale, x, n, next);
    else
        SKGD_NAME(add_row)(1, 0, w, factor, scale, x, n, NULL);
}

/* w += factor (x - mean)^2. */
SKGD_VECTOR void SKGD_NAME(add_squares)(
    double *w, double factor, const SKGD_T *x, const double *mean, Py_ssize_t n)
{
    for (Py_ssize_t j = 0; j < n; j++)
        w[j] += factor * (x[j] - mean[j]) * (x[j] - mean[j]);
}

/* Count a row in means and sums of squares about them (Welford, 1962); of uncentred
   features, share is 0. `left` is x without the mean before, `row` without the one after;
   `variance` and its inverse `scale` are 0 where it is rounding. Returns whether a sum more
   than doubled. */
SKGD_VECTOR int SKGD_NAME(welford)(
    const SKGD_T *__restrict x, double weight, double total, double share, double noise,
    double *__restrict mean, double *__restrict square, double *__restrict left,
    double *__restrict row, double *__restrict scale, double *__restrict variance,
    Py_ssize_t n)
{
    double inverse = 1.0 / total;
    long long doubled = 0;
    for (Py_ssize_t j = 0; j < n; j++) {
        double d = x[j] - mean[j], m = mean[j] + share * d, r = d - share * d;
        double old = square[j], sum = old + weight * d * r, v = sum * inverse;
        double inverted = total / sum;
        long long known = v > noise * m * m;
        mean[j] = m;
        square[j] = sum;
        left[j] = d;
        row[j] = r;
        variance[j] = known ? v : 0.0;
        scale[j] = known ? inverted : 0.0;
        doubled |= sum > 2.0 * old;
    }
    return doubled != 0;
}

/* Sum of scale (x - shift mean)^2. */
SKGD_VECTOR double SKGD_NAME(norm)(
    const SKGD_T *x, double shift, const double *mean, const double *scale, Py_ssize_t n)
{
    double s[8] = {0}, total;
    Py_ssize_t j = 0;
    for (; j + 8 <= n; j += 8)
        for (int q = 0; q < 8; q++) {
            double v = x[j + q] - shift * mean[j + q];
            s[q] += v * v * scale[j + q];
        }
    total = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
    for (; j < n; j++) {
        double v = x[j] - shift * mean[j];
        total += v * v * scale[j];
    }
    return total;
}

#ifdef SKGD_TILES

/* z[r, k] += x[r] . w[k] over features from `from` to `to`, of R rows and C outputs. */
SKGD_INLINE void SKGD_NAME(dot_tile)(
    const int R, const int C, const SKGD_T *const *x, Py_ssize_t from, Py_ssize_t to,
    const double *w, Py_ssize_t n_features, double *z, Py_ssize_t n_outputs)
{
    skgd_quad sum[4][3], a, b[3];
    Py_ssize_t j;
    int r, c;
    for (r = 0; r < R; r++)
        for (c = 0; c < C; c++)
            sum[r][c] = (skgd_quad){0.0, 0.0, 0.0, 0.0};
    for (j = from; j + 4 <= to; j += 4) {
        for (c = 0; c < C; c++)
            b[c] = SKGD_LOAD_double(w + c * n_features + j);
        for (r = 0; r < R; r++) {
            a = SKGD_LOAD_ONCE(x[r] + j);
            for (c = 0; c < C; c++)
                sum[r][c] += a * b[c];
        }
    }
    if (j < to) {
        /* The last features together with some of those before, times 0. */
        a = SKGD_LOAD_double(skgd_last + (to - j));
        for (c = 0; c < C; c++)
            b[c] = a * SKGD_LOAD_double(w + c * n_features + to - 4);
        for (r = 0; r < R; r++) {
            a = SKGD_LOAD_ONCE(x[r] + to - 4);
            for (c = 0; c < C; c++)
                sum[r][c] += a * b[c];
        }
    }
    for (r = 0; r < R; r++)
        for (c = 0; c < C; c++)
            z[r * n_outputs + c] +=
                (sum[r][c][0] + sum[r][c][2]) + (sum[r][c][1] + sum[r][c][3]);
}

/* g[k, j] += sum over rows of f[r, k] x[r, j], of 4 V features from j on and C outputs.

   The last four are those at `last`, some of which may be among the four before. */
SKGD_INLINE void SKGD_NAME(add_tile)(
    const int V, const int C, const SKGD_T *const *x, Py_ssize_t n_rows, Py_ssize_t j,
    Py_ssize_t last, const double *f, Py_ssize_t n_outputs, double *g,
    Py_ssize_t n_features)
{
    skgd_quad sum[4][3], a[4];
    Py_ssize_t r;
    int v, c;
    for (v = 0; v < V; v++)
        for (c = 0; c < C; c++)
            sum[v][c] = SKGD_LOAD_double(
                g + c * n_features + (v < V - 1 ? j + 4 * v : last));
    for (r = 0; r < n_rows; r++) {
        for (v = 0; v < V; v++)
            a[v] = SKGD_LOAD(x[r] + (v < V - 1 ? j + 4 * v : last));
        for (c = 0; c < C; c++)
            for (v = 0; v < V; v++)
                sum[v][c] += a[v] * f[r * n_outputs + c];
    }
    for (v = V - 1; v >= 0; v--)
        for (c = 0; c < C; c++)
            *(skgd_doubles *)(g + c * n_features + (v < V - 1 ? j + 4 * v : last)) =
                sum[v][c];
}

#define SKGD_CASES(tile, R, C, ...)                                                    \
    switch (3 * (R) + (C)) {                                                           \
    case 4: SKGD_NAME(tile)(1, 1, __VA_ARGS__); break;                                 \
    case 5: SKGD_NAME(tile)(1, 2, __VA_ARGS__); break;                                 \
    case 6: SKGD_NAME(tile)(1, 3, __VA_ARGS__); break;                                 \
    case 7: SKGD_NAME(tile)(2, 1, __VA_ARGS__); break;                                 \
    case 8: SKGD_NAME(tile)(2, 2, __VA_ARGS__); break;                                 \
    case 9: SKGD_NAME(tile)(2, 3, __VA_ARGS__); break;                                 \
    case 10: SKGD_NAME(tile)(3, 1, __VA_ARGS__); break;                                \
    case 11: SKGD_NAME(tile)(3, 2, __VA_ARGS__); break;                                \
    case 12: SKGD_NAME(tile)(3, 3, __VA_ARGS__); break;                                \
    case 13: SKGD_NAME(tile)(4, 1, __VA_ARGS__); break;                                \
    case 14: SKGD_NAME(tile)(4, 2, __VA_ARGS__); break;                                \
    case 15: SKGD_NAME(tile)(4, 3, __VA_ARGS__); break;                                \
    }

#endif

/* Z = X W^T for rows at x[0], x[1], ...; Z is (n_rows, K), W is (K, p).

   The rows behind these, up to x[n_ahead], are prefetched meanwhile. */
SKGD_VECTOR void SKGD_NAME(multiply)(
    const SKGD_T *const *x, Py_ssize_t n_rows, Py_ssize_t n_ahead,
    Py_ssize_t n_features, const double *w, Py_ssize_t n_outputs, double *z)
{
    Py_ssize_t r, k;
#ifdef SKGD_TILES
    Py_ssize_t R, C, next, last, from, to, width = SKGD_CACHED_COEFS / n_outputs;
    width = width < 128 ? 128 : width > 512 ? 512 : width & ~(Py_ssize_t)3;
    memset(z, 0, n_rows * n_outputs * sizeof(double));
    for (from = 0; from < n_features && n_features >= 4; from += width) {
        to = SKGD_MIN(from + width, n_features);
        for (r = 0; r < n_rows; r += R) {
            R = SKGD_MIN(4, n_rows - r);
            last = SKGD_MIN(r + R, n_ahead - n_rows);
            for (k = 0, next = r; k < n_outputs; k += C) {
                C = SKGD_OUTPUTS(n_outputs - k);
                /* A row for each tile, the rest before the last one. */
                while (next < last) {
                    SKGD_NAME(prefetch)(x[n_rows + next++], from, to);
                    if (k + C < n_outputs)
                        break;
                }
                SKGD_CASES(dot_tile, R, C, x + r, from, to, w + k * n_features,
                           n_features, z + r * n_outputs + k, n_outputs)
            }
        }
    }
    if (n_features >= 4)
        return;
#endif
    for (r = 0; r < n_rows; r++) {
        if (n_rows + r < n_ahead)
            SKGD_NAME(prefetch)(x[n_rows + r], 0, n_features);
        for (k = 0; k < n_outputs; k++)
            z[r * n_outputs + k] =
                SKGD_NAME(dot)(x[r], w + k * n_features, n_features, NULL);
    }
}

/* G += F^T X for rows at x[0], x[1], ...; F is (n_rows, K), G is (K, p).

   The rows behind these, up to x[n_ahead], are prefetched meanwhile. */
SKGD_VECTOR void SKGD_NAME(accumulate)(
    const SKGD_T *const *x, Py_ssize_t n_rows, Py_ssize_t n_ahead,
    Py_ssize_t n_features, const double *f, Py_ssize_t n_outputs, double *g)
{
    Py_ssize_t r, k, j = 0;
#ifdef SKGD_TILES
    Py_ssize_t to, V, C;
    for (; j < n_features && n_features >= 4; j = to) {
        V = SKGD_QUADS((n_features - j + 3) / 4);
        to = SKGD_MIN(j + 4 * V, n_features);
        for (r = n_rows; r < n_ahead; r++)
            SKGD_NAME(prefetch)(x[r], j, to);
        for (k = 0; k < n_outputs; k += C) {
            C = SKGD_OUTPUTS(n_outputs - k);
            SKGD_CASES(add_tile, V, C, x, n_rows, j, to - 4, f + k, n_outputs,
                       g + k * n_features, n_features)
        }
    }
#endif
    for (; j < n_features; j++)
        for (k = 0; k < n_outputs; k++)
            for (r = 0; r < n_rows; r++)
                g[k * n_features + j] += f[r * n_outputs + k] * x[r][j];
}

#undef SKGD_CASES
#undef SKGD_LINE

#endif
