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
