"""Curves of the objective."""

from itertools import cycle

import numpy as np

from skgd.displays.common import STYLES, history_of, named
from skgd.estimators.sklearn_private import check_matplotlib_support

X_AXES = {"epoch": "Epoch", "update": "Update", "second": "Seconds"}


class LossCurveDisplay:
    """The objective of one or several fitted estimators as training went on.

    Make one by :meth:`from_estimator` or :meth:`from_estimators`.

    Parameters
    ----------
    histories : list of dict
        The `history_` of each estimator.
    names : list of str
        Their names in the legend.
    update_histories : list of (dict or None), default=None
        The `update_history_` of each estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        The objective of each estimator.
    validation_lines_ : list of (matplotlib Line2D or None)
        The validation loss of each estimator fitted with early stopping.
    update_lines_ : list of (matplotlib Line2D or None)
        The objective of each update, of estimators with record='update'.
    best_ : list of (matplotlib Line2D or None)
        The marks at the best epochs.

    See Also
    --------
    DescentPathDisplay : The path of two coefficients.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skgd import GDClassifier, LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = {
    ...     solver: GDClassifier(solver=solver, random_state=0).fit(X, y)
    ...     for solver in ("batch", "sgd")
    ... }
    >>> display = LossCurveDisplay.from_estimators(models, x="update")
    >>> display.ax_.get_xlabel()
    'Update'
    """

    def __init__(self, *, histories, names, update_histories=None):
        self.histories = histories
        self.names = names
        self.update_histories = update_histories

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw the curve of a fitted estimator.

        Parameters
        ----------
        estimator : GDRegressor, GDClassifier, MLPRegressor or MLPClassifier
            A fitted estimator, a pipeline that ends in one, or a search over these,
            whose `best_estimator_` is drawn.
        name : str, default=None
            Its name in the legend; the name of its class if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones if None.
        **kwargs
            Further arguments of :meth:`plot`.

        Returns
        -------
        display : LossCurveDisplay
        """
        names = None if name is None else [name]
        return cls.from_estimators([estimator], names=names, ax=ax, **kwargs)

    @classmethod
    def from_estimators(cls, estimators, *, names=None, ax=None, **kwargs):
        """Draw the curves of several fitted estimators.

        Parameters
        ----------
        estimators : list or dict of estimators
            Fitted estimators, as of :meth:`from_estimator`. Keys of a dict are names.
        names : list of str, default=None
            Their names in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones if None.
        **kwargs
            Further arguments of :meth:`plot`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If an estimator has no history of its training.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimators")
        estimators, names = named(estimators, names)
        models, histories = zip(*map(history_of, estimators), strict=True)
        display = cls(
            histories=list(histories),
            names=names,
            update_histories=[getattr(m, "update_history_", None) for m in models],
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax=None,
        *,
        x="epoch",
        yscale="log",
        optimum=0.0,
        validation=True,
        mark_best=True,
        line_kw=None,
    ):
        """Draw the curves.

        The objective of an epoch is drawn at its end. It is the mean over the epoch's
        batches; for solver 'batch', it is that before the update.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones if None.
        x : {'epoch', 'update', 'second'}, default='epoch'
            What to draw against. With 'update', the objective of each update's batch
            is drawn as well, thinly, if it was recorded (record='update').
        yscale : {'log', 'linear'}, default='log'
            Scale of the objective.
        optimum : float, default=0.0
            Subtracted from the objective and the validation loss: on a logarithmic
            scale, the distance from the optimum tells methods apart.
        validation : bool, default=True
            Whether to draw the validation loss, of estimators with early stopping.
        mark_best : bool, default=True
            Whether to mark the best epoch: that of the best validation score, or of
            the lowest objective.
        line_kw : dict, default=None
            Arguments of `Axes.plot` for the curves.

        Returns
        -------
        display : LossCurveDisplay
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if x not in X_AXES:
            raise ValueError(f"x must be one of {set(X_AXES)}. Got {x!r} instead.")
        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.validation_lines_ = [], []
        self.update_lines_, self.best_ = [], []
        updates = self.update_histories or [None] * len(self.histories)
        for history, name, recorded, style in zip(
            self.histories, self.names, updates, cycle(STYLES), strict=False
        ):
            style = {**style, "linewidth": 1.8, **(line_kw or {})}
            at = _positions(history, name, x)
            objective = np.asarray(history["objective"]) - optimum
            self.update_lines_.append(None)
            if x == "update" and recorded is not None:
                (self.update_lines_[-1],) = ax.plot(
                    recorded["update"], recorded["objective"] - optimum,
                    color=style["color"], alpha=0.35, linewidth=0.6, zorder=1.5,
                )  # fmt: skip
            # A curve of one epoch is a point.
            marker = "o" if len(at) == 1 else None
            self.lines_ += ax.plot(at, objective, marker=marker, label=name, **style)
            self.validation_lines_.append(None)
            loss = history.get("validation_loss")
            if validation and loss is not None:
                (self.validation_lines_[-1],) = ax.plot(
                    at, np.asarray(loss) - optimum, label=f"{name}, validation loss",
                    **{**style, "linewidth": 0.9, "marker": "x", "markersize": 5},
                    markevery=max(1, len(at) // 12),
                )  # fmt: skip
            self.best_.append(None)
            best = _best_epoch(history)
            if mark_best and best is not None:
                (self.best_[-1],) = ax.plot(
                    at[best], objective[best], marker="*", markersize=11,
                    color=style["color"], markeredgecolor="black", linestyle="none",
                    zorder=3,
                )  # fmt: skip
        if x == "epoch":
            ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_yscale(yscale)
        ax.set_xlabel(X_AXES[x])
        label = "Objective"
        if any(line is not None for line in self.validation_lines_):
            label = "Objective, validation loss"
        ax.set_ylabel(label + (" - optimum" if optimum else ""))
        ax.grid(alpha=0.3)
        ax.legend()
        return self


def _positions(history, name, x):
    if x == "epoch":
        return np.arange(1, len(history["objective"]) + 1)
    column = "n_updates" if x == "update" else "seconds"
    if column not in history:
        raise ValueError(f"{name!r} has no {column} of its epochs: draw x='epoch'.")
    return np.asarray(history[column])


def _best_epoch(history):
    """Index of the best epoch; None if no objective is finite."""
    values = -np.asarray(history["objective"])
    if "validation_score" in history:
        values = np.asarray(history["validation_score"])
    values = np.where(np.isfinite(values), values, -np.inf)
    best = int(np.argmax(values))
    return best if np.isfinite(values[best]) else None
