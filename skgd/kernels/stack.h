/* Products of dense rows and the coefficients of many models, which lie side by side: W is
   (p, K), K a multiple of 8. So no sum runs across a vector, and a value of X is read once
   for all models. Tiles of sums stay in registers: of 8 or 4 rows (or features) times as
   many groups of 8 models as there is room for.

   The file includes itself, once for each type of X. */

#ifndef SKGD_STACK_T

#include "vector.h"

#ifdef SKGD_GNU
#define SKGD_LANES 8
typedef double skgd_octet __attribute__((vector_size(64)));
typedef double skgd_octets __attribute__((vector_size(64), aligned(8), may_alias));
#define SKGD_TILE static inline __attribute__((always_inline)) void
#else
#define SKGD_LANES 1
typedef double skgd_octet, skgd_octets;
#define SKGD_TILE static void
#endif
#define SKGD_OCTET(x) (*(skgd_octets *)(x))
/* Whether there are 32 registers of 8 doubles, or half as many of 4. */
#if defined(SKGD_GNU) && !defined(__clang__) && __GNUC__ >= 11 && defined(__x86_64__)
#define SKGD_WIDE (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
#else
#define SKGD_WIDE 0
#endif

#define SKGD_STACK_JOIN_(a, b) skgd_stack_##a##_##b
#define SKGD_STACK_JOIN(a, b) SKGD_STACK_JOIN_(a, b)
#define SKGD_STACK(name) SKGD_STACK_JOIN(name, SKGD_STACK_T)
/* Coefficients that stay in the first-level cache. */
#define SKGD_STACK_CACHED 2048

/* Groups of models, then rows or features of a tile: what is left of `n` from i on. */
#define SKGD_STACK_TILES(tile, n, ...)                                                 \
    for (Py_ssize_t k = 0, L = SKGD_LANES, Q; k < K; k += L * Q) {                     \
        Q = !SKGD_WIDE || K - k < 2 * L ? 1 : K - k < 4 * L ? 2 : 4;                   \
        for (Py_ssize_t i = 0, R; i < (n); i += R) {                                   \
            Py_ssize_t most = SKGD_WIDE && Q < 4 ? 8 : 4;                              \
            R = (n) - i >= most ? most : (n) - i >= 4 ? 4 : 1;                         \
            switch (10 * R + Q) {                                                      \
            case 81: SKGD_STACK(tile)(8, 1, __VA_ARGS__); break;                       \
            case 82: SKGD_STACK(tile)(8, 2, __VA_ARGS__); break;                       \
            case 41: SKGD_STACK(tile)(4, 1, __VA_ARGS__); break;                       \
            case 42: SKGD_STACK(tile)(4, 2, __VA_ARGS__); break;                       \
            case 44: SKGD_STACK(tile)(4, 4, __VA_ARGS__); break;                       \
            case 11: SKGD_STACK(tile)(1, 1, __VA_ARGS__); break;                       \
            case 12: SKGD_STACK(tile)(1, 2, __VA_ARGS__); break;                       \
            default: SKGD_STACK(tile)(1, 4, __VA_ARGS__);                              \
            }                                                                          \
        }                                                                              \
    }

#define SKGD_STACK_T float
#include "stack.h"
#undef SKGD_STACK_T
#define SKGD_STACK_T double
#include "stack.h"
#undef SKGD_STACK_T

/* By the type of the rows at x[0], ... */
#define skgd_stack_multiply(single, ...)                                               \
    ((single) ? skgd_stack_multiply_float(__VA_ARGS__)                                 \
              : skgd_stack_multiply_double(__VA_ARGS__))
#define skgd_stack_accumulate(single, ...)                                             \
    ((single) ? skgd_stack_accumulate_float(__VA_ARGS__)                               \
              : skgd_stack_accumulate_double(__VA_ARGS__))

/* Sums over the rows of z, (n_rows, K), added to `sums`. */
SKGD_VECTOR void skgd_stack_sums(
    const double *__restrict z, double *__restrict sums, Py_ssize_t n_rows, Py_ssize_t K)
{
    for (Py_ssize_t r = 0; r < n_rows; r++)
        for (Py_ssize_t k = 0; k < K; k++)
            sums[k] += z[r * K + k];
}

#else

/* z[r] = b + x[r] . W of R rows and Q groups of models, over features from `from` to `to`:
   what comes before is in z. */
SKGD_TILE SKGD_STACK(dot_tile)(
    const int R, const int Q, const void *const *x, Py_ssize_t from, Py_ssize_t to,
    const double *w, Py_ssize_t K, const double *b, double *z)
{
    skgd_octet sum[8][4], v[4];
    int r, q;
    for (r = 0; r < R; r++)
        for (q = 0; q < Q; q++)
            sum[r][q] = SKGD_OCTET((from ? z + r * K : b) + SKGD_LANES * q);
    for (Py_ssize_t j = from; j < to; j++) {
        for (q = 0; q < Q; q++)
            v[q] = SKGD_OCTET(w + j * K + SKGD_LANES * q);
        for (r = 0; r < R; r++) {
            double a = ((const SKGD_STACK_T *)x[r])[j];
            for (q = 0; q < Q; q++)
                sum[r][q] += a * v[q];
        }
    }
    for (r = 0; r < R; r++)
        for (q = 0; q < Q; q++)
            SKGD_OCTET(z + r * K + SKGD_LANES * q) = sum[r][q];
}

/* Sums over rows of x[r, j] f[r], of R features from j on, behind those in g unless it is
   the `first` block of a batch. With `decay`, W = decay W - factor sums; else to g. */
SKGD_TILE SKGD_STACK(add_tile)(
    const int R, const int Q, const void *const *x, Py_ssize_t n_rows, Py_ssize_t j,
    const double *f, Py_ssize_t K, int first, double *g, const double *decay,
    const double *factor, double *w)
{
    skgd_octet sum[8][4], v[4], none = {0};
    int r, q;
    for (r = 0; r < R; r++)
        for (q = 0; q < Q; q++)
            sum[r][q] = first ? none
                              : (skgd_octet)SKGD_OCTET(g + (j + r) * K + SKGD_LANES * q);
    for (Py_ssize_t i = 0; i < n_rows; i++) {
        for (q = 0; q < Q; q++)
            v[q] = SKGD_OCTET(f + i * K + SKGD_LANES * q);
        for (r = 0; r < R; r++) {
            double a = ((const SKGD_STACK_T *)x[i])[j + r];
            for (q = 0; q < Q; q++)
                sum[r][q] += a * v[q];
        }
    }
    for (r = 0; r < R; r++)
        for (q = 0; q < Q; q++) {
            double *to = (decay ? w : g) + (j + r) * K + SKGD_LANES * q;
            if (decay)
                sum[r][q] = SKGD_OCTET(decay + SKGD_LANES * q) * SKGD_OCTET(to)
                    - SKGD_OCTET(factor + SKGD_LANES * q) * sum[r][q];
            SKGD_OCTET(to) = sum[r][q];
        }
}

/* Z = X W + b for rows at x[0], ...; those behind, up to x[n_ahead], are prefetched. */
SKGD_VECTOR void SKGD_STACK(multiply)(
    const void *const *x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t p,
    const double *w, Py_ssize_t K, const double *b, double *z)
{
    Py_ssize_t width = SKGD_STACK_CACHED / K < 64 ? 64 : SKGD_STACK_CACHED / K;
    for (Py_ssize_t from = 0, to; from < p; from = to) {
        to = from + width < p ? from + width : p;
        for (Py_ssize_t r = n_rows; r < n_ahead; r++)
            for (Py_ssize_t j = from; j < to; j += 64 / (Py_ssize_t)sizeof(SKGD_STACK_T))
                SKGD_PREFETCH((const SKGD_STACK_T *)x[r] + j);
        SKGD_STACK_TILES(dot_tile, n_rows, x + i, from, to, w + k, K, b + k, z + i * K + k)
    }
}

/* G (+)= X^T F, for F (n_rows, K); with `decay`, that of a batch goes into W at once. */
SKGD_VECTOR void SKGD_STACK(accumulate)(
    const void *const *x, Py_ssize_t n_rows, Py_ssize_t p, const double *f, Py_ssize_t K,
    int first, double *g, const double *decay, const double *factor, double *w)
{
    SKGD_STACK_TILES(add_tile, p, x, n_rows, i, f + k, K, first, g + k,
                     decay ? decay + k : NULL, factor + k, w + k)
}

#endif
