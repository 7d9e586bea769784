"""One pass over rows in memory."""

from skgd.kernels.epoch import (
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
    Rows,
    feature_moments,
    loss_at,
    loss_gradient,
    loss_totals,
    predictions_at,
    row_products,
    run_epoch,
    run_metric_epoch,
    run_stream,
    second_moments,
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
    "Rows",
    "by_blocks",
    "feature_moments",
    "loss_at",
    "loss_gradient",
    "loss_totals",
    "predictions_at",
    "row_products",
    "run_epoch",
    "run_metric_epoch",
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
