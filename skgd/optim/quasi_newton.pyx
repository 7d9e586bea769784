# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""What the finish does with short vectors, where NumPy's calls take longer than sums.

Everything runs on the calling thread, so that sums do not depend on the number of
threads.
"""

from libc.math cimport INFINITY, copysign, fabs, sqrt

import numpy as np


cdef inline double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    cdef Py_ssize_t j = 0
    while j + 4 <= n:
        s0 += a[j] * b[j]
        s1 += a[j + 1] * b[j + 1]
        s2 += a[j + 2] * b[j + 2]
        s3 += a[j + 3] * b[j + 3]
        j += 4
    while j < n:
        s0 += a[j] * b[j]
        j += 1
    return (s0 + s2) + (s1 + s3)


def inner(a, b):
    """The inner product of two arrays of float64 of one shape."""
    cdef const double[::1] x = a.ravel()
    cdef const double[::1] y = b.ravel()
    if x.shape[0] != y.shape[0]:
        raise ValueError("Arrays must have the same shape.")
    return dot(&x[0], &y[0], x.shape[0]) if x.shape[0] else 0.0


def largest_eigenvalue(
    const double[:, ::1] matrix,
    const double[::1] ratio,
    const double[::1] start,
    Py_ssize_t n_iter=20,
):
    """The largest eigenvalue of D matrix D, D = diag(ratio), by the power method."""
    cdef Py_ssize_t n = ratio.shape[0], i, _
    cdef double[::1] v = np.array(start)
    cdef double[::1] w = np.empty(n)
    cdef double norm = sqrt(dot(&v[0], &v[0], n))
    for _ in range(n_iter):
        if not 0.0 < norm < INFINITY:
            break
        for i in range(n):
            v[i] *= ratio[i] / norm
        for i in range(n):
            w[i] = ratio[i] * dot(&matrix[i, 0], &v[0], n)
        v, w = w, v
        norm = sqrt(dot(&v[0], &v[0], n))
    return norm


cdef class Pairs:
    """The last moves s, and changes y of the gradient: the Hessian that they imply.

    Parameters
    ----------
    size : int
        Moves remembered.
    dimension : int
    """

    cdef Py_ssize_t size, newest
    cdef public Py_ssize_t count
    cdef double[:, ::1] s, y
    cdef double[::1] sy, weight

    def __init__(self, Py_ssize_t size, Py_ssize_t dimension):
        self.size = size
        self.count = 0
        self.newest = -1
        self.s = np.empty((size, dimension))
        self.y = np.empty((size, dimension))
        self.sy = np.empty(size)
        self.weight = np.empty(size)

    def add(self, move, change):
        """Remember a move, in place of the oldest if there is no room."""
        cdef const double[::1] s = move.ravel()
        cdef const double[::1] y = change.ravel()
        cdef Py_ssize_t k = (self.newest + 1) % self.size
        self.s[k, :] = s
        self.y[k, :] = y
        self.sy[k] = dot(&s[0], &y[0], s.shape[0])
        self.newest = k
        self.count = min(self.count + 1, self.size)

    def times(self, gradient, solve=None):
        """The inverse Hessian times an array, by the two loops of Nocedal (1980).

        J. Nocedal, "Updating quasi-Newton matrices with limited storage", Math. Comp.
        35, section 2. It starts from `solve`, the inverse of another Hessian times an
        array, or from the array, scaled so that it is right for the last move.
        """
        out = np.array(gradient, order="C")
        cdef double[::1] q = out.reshape(-1)
        cdef Py_ssize_t n = q.shape[0], i, j, k
        cdef double factor
        cdef const double[::1] changed
        if self.count == 0:
            return out if solve is None else solve(out)
        for i in range(self.count):
            k = (self.newest - i + self.size) % self.size
            factor = dot(&self.s[k, 0], &q[0], n) / self.sy[k]
            self.weight[k] = factor
            for j in range(n):
                q[j] -= factor * self.y[k, j]
        k = self.newest
        changed = self.y[k, :]
        if solve is not None:
            out = np.ascontiguousarray(solve(out))
            q = out.reshape(-1)
            last = np.asarray(self.y[k, :]).reshape(out.shape)
            changed = np.ascontiguousarray(solve(last)).reshape(-1)
        factor = self.sy[k] / dot(&self.y[k, 0], &changed[0], n)
        for j in range(n):
            q[j] *= factor
        for i in range(self.count - 1, -1, -1):
            k = (self.newest - i + self.size) % self.size
            factor = self.weight[k] - dot(&self.y[k, 0], &q[0], n) / self.sy[k]
            for j in range(n):
                q[j] += factor * self.s[k, j]
        return out


cdef inline double shrink(double w, double threshold) noexcept nogil:
    cdef double size = fabs(w) - threshold
    return copysign(size, w) if size > 0.0 else 0.0


def quadratic_with_l1(
    const double[:, ::1] B,
    const double[::1] g,
    const double[::1] u,
    const double[::1] l1,
    double tol=1e-6,
    Py_ssize_t max_sweeps=100,
):
    """The v that minimises g'(v - u) + (v - u)'B(v - u)/2 + sum_j l1_j |v_j|.

    By coordinate descent from u, until a sweep gains no more than `tol` of the first.
    """
    cdef Py_ssize_t n = u.shape[0], i, j, sweep
    out, slopes = np.array(u), np.array(g)
    cdef double[::1] v = out
    cdef double[::1] slope = slopes
    cdef double change, moved, first = 0.0
    with nogil:
        for sweep in range(max_sweeps):
            moved = 0.0
            for j in range(n):
                if not B[j, j] > 0.0:
                    continue
                change = shrink(v[j] - slope[j] / B[j, j], l1[j] / B[j, j]) - v[j]
                if change != 0.0:
                    v[j] += change
                    moved += B[j, j] * change * change
                    for i in range(n):
                        slope[i] += change * B[j, i]
            if sweep == 0:
                first = moved
            if moved <= tol * first:
                break
    return out
