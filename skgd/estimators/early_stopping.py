"""Early stopping: the rows to validate on, and the score there."""

from copy import copy

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skgd.estimators.fitted import coefficients
from skgd.estimators.inputs import check_data, check_offset, row_weights
from skgd.kernels import loss_totals

# Validation rows are copied, so that they are scored a few at a time.
VALIDATION_ROWS = 1024


def validation(
    estimator, X, y, sample_weight, offset, rows,
    X_val, y_val, sample_weight_val, offset_val,
):  # fmt: skip
    """Rows to train on, and the function that judges a state (or None).

    It returns the score, and the mean loss of the validation rows, as columns of
    `history_`.
    """
    for name, value in (
        ("y_val", y_val),
        ("sample_weight_val", sample_weight_val),
        ("offset_val", offset_val),
    ):
        if X_val is None and value is not None:
            raise ValueError(f"{name} is provided, but X_val was not provided.")
    if X_val is not None and y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is not None and (offset is None) != (offset_val is None):
        raise ValueError("With X_val, offset and offset_val must be given together.")
    if X_val is not None and not estimator.early_stopping:
        raise ValueError(
            "X_val and y_val are passed to fit while at the same time "
            "early_stopping is False. When passing X_val and y_val to fit, "
            "early_stopping should be True."
        )
    if not estimator.early_stopping:
        return rows, None
    if X_val is not None:
        X_val, y_val, weight = check_data(
            estimator, X_val, y_val, sample_weight_val, reset=False
        )
        val_rows = np.arange(len(y_val))
        offset = check_offset(
            offset_val, len(y_val), estimator._n_outputs, "offset_val"
        )
    else:
        if rows is None:
            rows = np.arange(len(y))
        rows, val_rows = split(estimator, rows, y)
        X_val, y_val = X, y[val_rows]
        weight = None if sample_weight is None else sample_weight[val_rows]
        offset = None if offset is None else offset[val_rows]
    targets = np.ascontiguousarray(estimator._encode(y_val), dtype=np.float64)
    loss_weight = row_weights(estimator, y_val, weight, balance=True)
    total_weight = len(targets) if loss_weight is None else loss_weight.sum()
    loss = estimator._loss()
    scorer = None
    if estimator.scoring not in (None, "loss"):
        if offset is not None:
            raise ValueError(
                "Scorers predict without an offset: set scoring=None or 'loss'."
            )
        scorer = check_scoring(estimator, estimator.scoring)
        X_scored = X_val[val_rows]
        scored_with = {} if weight is None else {"sample_weight": weight}

    def score(state):
        coef, intercept = state.result()
        total, predictions = 0.0, []
        for batch in gen_batches(len(val_rows), VALIDATION_ROWS):
            z = safe_sparse_dot(X_val[val_rows[batch]], coef.T) + intercept
            if offset is not None:
                z = z + offset[batch]
            predictions.append(estimator._predictions(z))
            batch_weight = None if loss_weight is None else loss_weight[batch]
            z = np.ascontiguousarray(z, dtype=np.float64)
            total += loss_totals(loss, targets[batch], batch_weight, z).sum()
        mean_loss = total / total_weight if total_weight > 0.0 else np.nan
        if estimator.scoring == "loss":
            value = -mean_loss
        elif scorer is None:
            value = estimator._score_predictions(
                targets, np.concatenate(predictions), weight
            )
        else:
            model = copy(estimator)
            vars(model).update(coefficients(estimator, state, X.dtype))
            value = scorer(model, X_scored, y_val, **scored_with)
        if np.isnan(value):
            raise ValueError("The validation score is NaN.")
        return {"validation_score": float(value), "validation_loss": mean_loss}

    return rows, score


def split(estimator, rows, y):
    """Split rows into those to train on and those to validate on."""
    stratify = not isinstance(estimator, RegressorMixin) and y.ndim == 1
    splitter = (StratifiedShuffleSplit if stratify else ShuffleSplit)(
        test_size=estimator.validation_fraction, random_state=estimator.random_state
    )
    try:
        train, val = next(splitter.split(np.zeros((len(rows), 1)), y[rows]))
    except ValueError as error:  # which speaks of the splitter's parameters
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction} of {len(rows)} rows "
            f"is no validation set for early_stopping: {error} Please either change "
            "validation_fraction, increase the number of samples, pass X_val and "
            "y_val, or disable early_stopping."
        ) from error
    if isinstance(estimator, RegressorMixin) and len(val) < 2:
        raise ValueError(
            f"The validation set has {len(val)} samples, but the R^2 score is not "
            "well-defined with less than two samples. Please either change "
            "validation_fraction, increase the number of samples, or disable "
            "early_stopping."
        )
    return np.sort(rows[train]), np.sort(rows[val])
