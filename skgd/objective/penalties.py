"""Penalties alpha * [(1 - r)/2 |W|_F^2 + r |W|_1], as two strengths."""

import numpy as np


def strengths(penalty, alpha, l1_ratio):
    """Return (l1, l2), the strengths of |W|_1 and of |W|_F^2 / 2."""
    if penalty is None:
        return 0.0, 0.0
    ratio = {"l2": 0.0, "l1": 1.0, "elasticnet": l1_ratio}[penalty]
    return alpha * ratio, alpha * (1.0 - ratio)


def shrink(coef, threshold):
    """Move each coefficient towards zero by `threshold`, and not beyond it."""
    return np.sign(coef) * np.maximum(np.abs(coef) - threshold, 0.0)


def value(coef, l1, l2):
    """Return l1 |W|_1 + l2/2 |W|_F^2."""
    total = 0.0
    if l1:
        total += l1 * np.abs(coef).sum()
    if l2:
        coef = coef.ravel("K")  # of any order; BLAS would sum by threads
        total += 0.5 * l2 * np.einsum("i,i->", coef, coef)
    return float(total)
