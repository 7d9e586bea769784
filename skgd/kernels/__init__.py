"""One pass over rows in memory, compiled.

Design
------
A pass takes the rows to visit and one step size per update. Storage and dtype of X are
known here and nowhere else: `Rows` holds pointers, and `Values` x `Index` are the only
fused types. Everything but X is double. W has K rows and p columns. Loops over dense
rows walk along features and want W and the averages C-ordered; loops over sparse rows
walk along the K outputs of one feature and want them Fortran-ordered: `Rows.order` says
which. Everything runs on the calling thread, so that sums do not depend on the number
of threads.

Textbook updates (`Epoch`) apply to every batch B

    W <- shrink(max(0, 1 - eta l2) W - eta R, eta l1)
    b <- b - eta r

where R and r are means over B of the slopes times the rows. Those in a metric
(`MetricEpoch`) are in metric.pxd, those of streams in stream.pxd.

Map
---
==================  ==================================================================
products.h, .pxd    products of dense rows, in tiles of sums that stay in registers
rows                `Rows`; dot, add, prefetch: inline, in loops of all other modules
passes              arguments of the loops, checked; prefetching ahead
batch               the gradient of a batch; losses and gradients over all rows
block               updates whose gradient is summed before W moves, of both kinds
textbook, lazy      textbook updates row by row; what sparse features have missed
metric_dense        updates in a metric, row by row: one output
metric_sparse       updates in a metric, of features that a sparse batch holds
epoch               `Epoch`, `MetricEpoch`: options, and which of these loops
moments             moments and products of features
stream              rows learnt one by one: what is shared, `run_stream`
stream_dense, ...   and its two loops
==================  ==================================================================
"""

from skgd.kernels.batch import loss_at, loss_gradient, loss_totals, predictions_at
from skgd.kernels.epoch import Epoch, MetricEpoch
from skgd.kernels.metric_dense import row_products
from skgd.kernels.moments import feature_moments, second_moments
from skgd.kernels.rows import Rows
from skgd.kernels.stream import (
    AVERAGE_VALUES,
    DUE,
    FIRST_SPARSE,
    LARGEST,
    N_ROWS,
    N_SCALARS,
    NOW,
    PAST,
    PENDING,
    POWER,
    WEIGHT,
    run_stream,
    stream_result,
)

__all__ = [
    "AVERAGE_VALUES",
    "DUE",
    "FIRST_SPARSE",
    "LARGEST",
    "NOW",
    "N_ROWS",
    "N_SCALARS",
    "PAST",
    "PENDING",
    "POWER",
    "WEIGHT",
    "Epoch",
    "MetricEpoch",
    "Rows",
    "by_blocks",
    "feature_moments",
    "loss_at",
    "loss_gradient",
    "loss_totals",
    "predictions_at",
    "row_products",
    "run_stream",
    "second_moments",
    "stream_result",
]


def by_blocks(X, batch_size, n_outputs):
    """Whether the block kernel is faster than the row kernel.

    A block update touches all of W. On sparse rows that is worth it once a batch
    holds as many values as there are features; the row kernel's slopes, of which it
    keeps a whole batch, then never take more memory than W.

    On dense rows, ms of an epoch by row / by block kernel, shuffled, for a batch size
    of 1, 2, 4, 8, 16, 64 (examples/bench_epoch.py --kernels, 2 cores of an AMD EPYC):

        1,000,000 x 10,  K =  1    18/108   26/59    23/34   21/20   21/14   21/12
        1,000,000 x 10,  K =  2    44/117   39/64    34/36   34/23   37/18   42/21
        1,000,000 x 10,  K = 10   103/146  103/87   102/63  103/50  107/49  107/49
        400,000 x 54,    K =  1    18/61    33/39    31/25   28/21   27/20   28/18
        400,000 x 54,    K =  4    42/83    39/51    47/34   50/31   53/29   55/29
        200,000 x 100,   K =  1    12/43    23/26    22/17   19/17   18/16   19/12
        200,000 x 100,   K =  2    30/47    25/29    26/19   26/17   25/16   27/14
        200,000 x 100,   K = 10    63/142   62/80    63/51   64/39   65/33   65/29
        20,000 x 1000,   K =  1    11/23    17/15    16/11   16/11   16/11   17/11
        20,000 x 1000,   K = 10    67/134   67/78    66/44   66/32   66/26   66/22

    Several outputs share the reading of a block; a block update of W has to pay off.
    """
    if X.sparse:
        return batch_size > 1 and batch_size * X.mean_stored >= X.n_features
    return batch_size * min(n_outputs, 2) >= 8
