from skgd.kernels.lazy cimport Lazy
from skgd.kernels.passes cimport Pass
from skgd.kernels.rows cimport Rows
from skgd.objective.loss cimport Loss


cdef double row_epoch(Rows X, Loss loss, Pass* p, Lazy* lazy) noexcept nogil
