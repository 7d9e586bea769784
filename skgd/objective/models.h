/* Losses of rows at the predictions of many models: z is (n_rows, n_models) and becomes
   the slopes, `totals` grow by the losses of each model. Loops without branches or calls,
   so that the compiler makes vectors of them. */

#include <math.h>

#include "exp.h"

/* `...` sets value and slope from z[k] and the target t. */
#define SKGD_MODELS(name, extra, ...)                                                  \
    SKGD_VECTOR void skgd_##name##_models(                                             \
        const double *__restrict y, const double *__restrict weight,                   \
        double *__restrict z, double *__restrict totals, Py_ssize_t n_rows,            \
        Py_ssize_t n_models, double extra)                                             \
    {                                                                                  \
        (void)extra;                                                                   \
        for (Py_ssize_t i = 0; i < n_rows; i++, z += n_models) {                       \
            double s = weight ? weight[i] : 1.0, t = y[i];                             \
            for (Py_ssize_t k = 0; k < n_models; k++) {                                \
                double value, slope;                                                   \
                __VA_ARGS__                                                            \
                totals[k] += s * value;                                                \
                z[k] = s * slope;                                                      \
            }                                                                          \
        }                                                                              \
    }

SKGD_MODELS(squared, unused, {
    slope = z[k] - t;
    value = 0.5 * slope * slope;
})

SKGD_MODELS(huber, epsilon, {
    /* With c the residual moved to [-epsilon, epsilon], c (r - c / 2) is both branches. */
    double r = z[k] - t;
    slope = r < -epsilon ? -epsilon : r;
    slope = slope > epsilon ? epsilon : slope;
    value = slope * (r - 0.5 * slope);
})

SKGD_MODELS(hinge, threshold, {
    double gap = threshold - t * z[k];
    value = gap >= 0.0 ? gap : 0.0;
    slope = gap >= 0.0 ? -t : 0.0;
})

SKGD_MODELS(log, unused, {
    /* log1p(e) is 2 artanh(q), with q = e / (2 + e) <= 1/3, by its series. */
    double margin = t * z[k], e = skgd_exp(-fabs(margin)), q = e / (2.0 + e), v = q * q;
    double p = 1.0 / 33.0;
    p = (p * v + 1.0 / 31.0) * v + 1.0 / 29.0;
    p = (p * v + 1.0 / 27.0) * v + 1.0 / 25.0;
    p = (p * v + 1.0 / 23.0) * v + 1.0 / 21.0;
    p = (p * v + 1.0 / 19.0) * v + 1.0 / 17.0;
    p = (p * v + 1.0 / 15.0) * v + 1.0 / 13.0;
    p = (p * v + 1.0 / 11.0) * v + 1.0 / 9.0;
    p = (p * v + 1.0 / 7.0) * v + 1.0 / 5.0;
    p = (p * v + 1.0 / 3.0) * v + 1.0;
    value = 2.0 * q * p - (margin >= 0.0 ? 0.0 : margin);
    slope = -t * (margin >= 0.0 ? e : 1.0) / (1.0 + e);
})
