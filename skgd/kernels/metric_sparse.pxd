from skgd.kernels.metric cimport Metric
from skgd.kernels.passes cimport Buffers, Pass
from skgd.kernels.rows cimport Rows
from skgd.objective.loss cimport Loss


cdef double metric_cells(
    Rows X, Loss loss, Pass* p, Metric* metric, Buffers* buffers
) noexcept nogil
