from skgd.kernels.rows cimport Rows
from skgd.kernels.stream cimport Stream
from skgd.objective.loss cimport Loss


cdef inline double sparse_scale(Stream* s, Py_ssize_t j) noexcept nogil:
    return s.ratio[j] * s.root


cdef double stream_of_sparse(
    Rows X, const Py_ssize_t* order, Py_ssize_t n_order, const double* y,
    Py_ssize_t y_columns, const double* weight, Loss loss, Stream* s, double* losses,
) noexcept nogil
