cdef class Loss:
    cdef readonly double max_curvature
    cdef readonly double max_slope

    cdef double point(self, double y, double z, double* slope) noexcept nogil
    cdef double envelope(
        self, double y, double z, double width, double* slope) noexcept nogil
    cdef double rows(
        self,
        const double* y,
        const double* z,
        const double* weight,
        double* slopes,
        Py_ssize_t n_rows,
        Py_ssize_t n_outputs,
        double* totals,
    ) noexcept nogil
    cdef void models(
        self, const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models,
    ) noexcept nogil


cdef class Wrapper(Loss):
    cdef readonly Loss loss


cdef class Outputs(Wrapper):
    cdef const Py_ssize_t[::1] classes
    cdef const double[::1] widths


cdef inline double kink(
    double r, double low, double high, double width, double* slope
) noexcept nogil:
    """The envelope of max(low r, high r), with low <= 0 <= high.

    Beck and Teboulle, "Smoothing and first order methods", SIAM J. Optim. 22, 2012,
    section 4.2: its slope is r / width within [low, high]. Without a branch that noise
    would mispredict.
    """
    cdef double s = r / width
    s = low if s < low else s
    s = high if s > high else s
    slope[0] = s
    return s * (r - 0.5 * width * s)
