"""Curves of the objective."""

from itertools import cycle
from typing import Any, Self

import numpy as np

from skgd.displays.common import STYLES, add_legend, history_of, named
from skgd.estimators.base import BaseGD
from skgd.estimators.sklearn_private import check_matplotlib_support

X_AXES = {"epoch": "Epoch", "update": "Update", "second": "Seconds"}
# Times the objective at the start: how far up a curve that diverged is drawn.
LOG_ROOM, ROOM = 1e3, 3.0


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
    returned : list of (dict or None), default=None
        The model that each fit returned: 'objective', its objective over all rows;
        'n_updates', those before it; 'diverged', whether training did. None: the best
        epoch by validation score, or the last one.

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
        The stars at the models returned.
    clipped_ : list of (matplotlib Line2D or None)
        The arrowheads where curves that diverged leave the axes.

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

    ax_: Any
    figure_: Any
    lines_: list[Any]
    validation_lines_: list[Any]
    update_lines_: list[Any]
    best_: list[Any]
    clipped_: list[Any]

    def __init__(
        self,
        *,
        histories: list[dict[str, Any]],
        names: list[str],
        update_histories: list[Any] | None = None,
        returned: list[Any] | None = None,
    ) -> None:
        self.histories = histories
        self.names = names
        self.update_histories = update_histories
        self.returned = returned

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None, **kwargs: Any
    ) -> Self:
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
    def from_estimators(
        cls,
        estimators: Any,
        *,
        names: list[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
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
        fits = [history_of(estimator) for estimator in estimators]
        models = [model for model, _ in fits]
        display = cls(
            histories=[history for _, history in fits],
            names=names,
            update_histories=[getattr(m, "update_history_", None) for m in models],
            returned=[_returned(model) for model in models],
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        x: str = "epoch",
        yscale: str = "log",
        xscale: str | None = None,
        optimum: float = 0.0,
        validation: bool = True,
        mark_best: bool = True,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        The objective of an epoch is drawn at its end. It is the mean over the epoch's
        batches; for solver 'batch', it is that before the update. A curve that diverged
        leaves the axes, with an arrowhead, rather than stretching them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones, with the legend beside them, if None.
        x : {'epoch', 'update', 'second'}, default='epoch'
            What to draw against. With 'update', the objective of each update's batch
            is drawn as well, thinly, if it was recorded (record='update').
        yscale : str, default='log'
            Scale of the objective: 'log', 'linear' or another one of matplotlib.
        xscale : str, default=None
            Scale of `x`, likewise. None: 'log' for 'update', of which an epoch of
            stochastic descent has as many as there are rows, and one of batch descent
            one; else 'linear'.
        optimum : float, default=0.0
            Subtracted from the objective and the validation loss: on a logarithmic
            scale, the distance from the optimum tells methods apart.
        validation : bool, default=True
            Whether to draw the validation loss, of estimators with early stopping.
        mark_best : bool, default=True
            Whether a star marks the model that `fit` returned: the last one or, of
            early stopping and of training that diverged, the best one. It is at the
            objective over all rows, where that is known.
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
        xscale = xscale or ("log" if x == "update" else "linear")
        beside = ax is None
        if beside:
            _, ax = plt.subplots(figsize=(8.0, 4.8), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.validation_lines_ = [], []
        self.update_lines_, self.best_, self.clipped_ = [], [], []
        updates = self.update_histories or [None] * len(self.histories)
        returned = self.returned or [None] * len(self.histories)
        curves = [np.asarray(history["objective"]) for history in self.histories]
        top = _top(curves, returned, LOG_ROOM if yscale == "log" else ROOM)
        for history, objective, name, recorded, model, style in zip(
            self.histories, curves, self.names, updates, returned, cycle(STYLES),
            strict=False,
        ):  # fmt: skip
            style = {**style, "linewidth": 1.8, **(line_kw or {})}
            mark = {
                "color": style["color"], "markeredgecolor": "black", "zorder": 3,
                "linestyle": "none",
            }  # fmt: skip
            at = _positions(history, name, x)
            self.update_lines_.append(None)
            if x == "update" and recorded is not None:
                (self.update_lines_[-1],) = ax.plot(
                    recorded["update"], recorded["objective"] - optimum,
                    color=style["color"], alpha=0.35, linewidth=0.6, zorder=1.5,
                    label=f"{name}, each update",
                )  # fmt: skip
            # A curve of one epoch is a point.
            marker = "o" if len(at) == 1 else None
            self.lines_ += ax.plot(
                at, objective - optimum, marker=marker, label=name, **style
            )
            self.validation_lines_.append(None)
            loss = history.get("validation_loss")
            if validation and loss is not None:
                # One entry of the legend says it for all.
                is_first = not any(self.validation_lines_)
                (self.validation_lines_[-1],) = ax.plot(
                    at, np.asarray(loss) - optimum,
                    label="validation loss" if is_first else None,
                    **{**style, "linewidth": 0.9, "marker": "x", "markersize": 5},
                    markevery=max(1, len(at) // 12),
                )  # fmt: skip
            self.best_.append(None)
            place, height = _star(history, at[0] if xscale == "log" else 0, at, model)
            if mark_best and np.isfinite(height):
                (self.best_[-1],) = ax.plot(
                    place, height - optimum, marker="*", markersize=11, **mark
                )
            self.clipped_.append(None)
            beyond = np.flatnonzero(~(objective <= top))
            if len(beyond) and np.isfinite(top):
                # An automatic step may be undone, and training recover.
                ended = not objective[-1] <= top or (model or {}).get("diverged")
                label = f"{name}, {'diverged' if ended else 'off the axes'}"
                (self.clipped_[-1],) = ax.plot(
                    at[beyond[0]], top - optimum, marker="^", markersize=8,
                    clip_on=False, label=label, **mark,
                )  # fmt: skip
        if x == "epoch":
            ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xscale(xscale)
        ax.set_yscale(yscale)
        if any(line is not None for line in self.clipped_):
            ax.set_ylim(*_limits(ax, yscale, top - optimum))
        ax.set_xlabel(X_AXES[x])
        label = "Objective"
        if any(line is not None for line in self.validation_lines_):
            label = "Objective, validation loss"
        ax.set_ylabel(label + (" - optimum" if optimum else ""))
        ax.grid(alpha=0.3)
        add_legend(ax, beside)
        return self


def _positions(history, name, x):
    if x == "epoch":
        return np.arange(1, len(history["objective"]) + 1)
    column = "n_updates" if x == "update" else "seconds"
    if column not in history:
        raise ValueError(f"{name!r} has no {column} of its epochs: draw x='epoch'.")
    return np.asarray(history[column])


def _returned(model):
    """The model that a fit of skgd returned; None for others."""
    if not isinstance(model, BaseGD):
        return None
    return {
        "objective": model.objective_,
        "n_updates": model.t_ - 1,
        "diverged": model.stop_reason_ == "diverged",
    }


def _star(history, start, at, returned):
    """Where the model returned is."""
    if returned is None:
        scores = history.get("validation_score")
        epoch = -1 if scores is None else int(np.argmax(scores))
        return at[epoch], history["objective"][epoch]
    n_updates = returned["n_updates"]
    epochs = np.flatnonzero(np.asarray(history["n_updates"]) == n_updates)
    place = start if n_updates == 0 else at[epochs[-1] if len(epochs) else -1]
    return place, returned["objective"]


def _top(curves, returned, room):
    """Where curves that diverged leave the axes; infinity if there are none."""
    starts, ends = [], []
    for curve, model in zip(curves, returned, strict=True):
        start = curve[0]
        diverged = not (np.isfinite(curve).all() and curve[-1] <= 1e3 * start)
        if model is not None:
            diverged = diverged or model["diverged"]
        if not diverged:
            ends.append(curve.max())
        elif model is not None:
            start = np.fmin(start, model["objective"])
        starts.append(start)
    starts = [start for start in starts if np.isfinite(start)]
    if len(ends) == len(curves) or not starts:
        return np.inf
    return max(room * max(starts), *ends, -np.inf)


def _limits(ax, scale, top):
    """Limits of y that hold what the lines have below `top`."""
    values = np.concatenate([np.ravel(line.get_ydata()) for line in ax.get_lines()])
    values = values[(values <= top) & ((values > 0.0) | (scale != "log"))]
    low = values.min(initial=top)
    if scale == "log":
        return low * (low / top) ** 0.05, top
    return low - 0.05 * (top - low), top
