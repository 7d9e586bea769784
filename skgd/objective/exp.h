/* exp without branches or calls, so that loops over it become vectors. */

#ifndef SKGD_EXP_H
#define SKGD_EXP_H

#include <stdint.h>

#include "vector.h"

/* exp(x), for x <= 0; below exp(-708), exp(-708).

   exp(x) = 2^n exp(r) with n the integer nearest to x / log(2) and |r| <= log(2) / 2,
   where the Taylor series to r^13 / 13! is exact to 1e-17. Adding 1.5 * 2^52 rounds to an
   integer and leaves it in the low bits, from where it goes to the exponent. log(2) is
   split in two, the first of which n times is exact (Cody and Waite, 1980). */
static inline double skgd_exp(double x)
{
    const double round = 6755399441055744.0;
    double shifted, n, r, p, power;
    uint64_t bits;
    x = x < -708.0 ? -708.0 : x;
    shifted = x * 1.4426950408889634 + round;
    n = shifted - round;
    r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

#endif
