from skgd.kernels.passes cimport Buffers, Pass
from skgd.kernels.rows cimport Rows
from skgd.objective.loss cimport Loss

cdef enum:
    NEAR_VALUES = 4096      # values of X in a block, to stay in the first level,
    CACHED_VALUES = 16384   # but of long rows, so many share the moves of the gradient
    BLOCK_LONG_ROW = 64     # features from which the gradient's product prefetches


cdef double batch_gradient(
    Rows X, Loss loss, Loss exact, Pass* p, Py_ssize_t start, Py_ssize_t stop,
    Buffers* buffers,
) noexcept nogil
