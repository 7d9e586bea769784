/* exp for many numbers at a time: what takes the time of softmax with many classes. */

#include "exp.h"

/* e[k] = exp(z[k] - largest), for z[k] <= largest. */
SKGD_VECTOR void skgd_exps(double *e, const double *z, double largest, Py_ssize_t size)
{
    for (Py_ssize_t k = 0; k < size; k++)
        e[k] = skgd_exp(z[k] - largest);
}
