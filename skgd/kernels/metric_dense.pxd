from skgd.kernels.metric cimport Metric
from skgd.kernels.passes cimport Pass
from skgd.kernels.rows cimport Rows
from skgd.objective.loss cimport Loss


cdef double metric_rows(Rows X, Loss loss, Pass* p, Metric* metric) noexcept nogil
