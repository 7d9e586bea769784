"""Paths of descent on the contours of the objective."""

import warnings
from itertools import cycle
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd.displays.common import STYLES, add_legend, last_step, named
from skgd.displays.sections import (
    beginning_of,
    columns_of,
    features_of,
    limits_of,
    state_at,
)
from skgd.estimators.base import BaseGD
from skgd.estimators.sklearn_private import check_matplotlib_support

# What the objective depends on, among parameters.
OBJECTIVE = (
    "loss", "penalty", "alpha", "l1_ratio", "fit_intercept", "epsilon", "quantile",
    "class_weight", "early_stopping", "validation_fraction",
)  # fmt: skip


class DescentPathDisplay:
    """The paths of two coefficients on the contours of the objective.

    Make one by :meth:`from_estimator` or :meth:`from_estimators`, which fit clones.

    Parameters
    ----------
    x, y : ndarray of shape (n_grid,)
        Values of the first and of the second coefficient.
    objective : ndarray of shape (n_grid, n_grid)
        The objective: `objective[i, j]` is that at `y[i]` and `x[j]`.
    paths : list of ndarray of shape (n_points, 2)
        The path of each estimator, from its start.
    names : list of str
        Their names in the legend.
    labels : tuple of two str
        Names of the coefficients.
    returned : list of ndarray of shape (2,), default=None
        The model that each fit returned; the end of its path if None.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the paths.
    figure_ : matplotlib Figure
        Figure of the axes.
    contours_ : matplotlib QuadContourSet
        The contours.
    lines_ : list of matplotlib Line2D
        The path of each estimator.

    See Also
    --------
    LossCurveDisplay : The objective as training goes on.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skgd import DescentPathDisplay, GDRegressor
    >>> X, y = make_regression(200, 2, noise=20.0, random_state=0)
    >>> models = {
    ...     solver: GDRegressor(
    ...         solver=solver, eta0=0.1, max_iter=5, tol=None, random_state=0
    ...     )
    ...     for solver in ("batch", "minibatch")
    ... }
    >>> display = DescentPathDisplay.from_estimators(models, X, y)
    >>> [len(path) for path in display.paths]
    [6, 36]
    """

    ax_: Any
    figure_: Any
    contours_: Any
    lines_: list[Any]

    def __init__(
        self,
        *,
        x: np.ndarray,
        y: np.ndarray,
        objective: np.ndarray,
        paths: list[np.ndarray],
        names: list[str],
        labels: tuple[str, str],
        returned: list[np.ndarray] | None = None,
    ) -> None:
        self.x = x
        self.y = y
        self.objective = objective
        self.paths = paths
        self.names = names
        self.labels = labels
        self.returned = returned

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Fit a clone of an estimator and draw its path.

        Parameters
        ----------
        estimator : GDRegressor, GDClassifier or Pipeline that ends in one
            The estimator, whose parameters alone count.
        X, y : array-like
            Training data.
        name : str, default=None
            Its name in the legend; the name of its class if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones if None.
        **kwargs
            Further arguments of :meth:`from_estimators`.

        Returns
        -------
        display : DescentPathDisplay
        """
        names = None if name is None else [name]
        return cls.from_estimators([estimator], X, y, names=names, ax=ax, **kwargs)

    @classmethod
    def from_estimators(
        cls,
        estimators: Any,
        X: Any,
        y: Any,
        *,
        names: list[str] | None = None,
        coefficients: tuple[int | str, int | str] | None = None,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        grid_resolution: int = 50,
        limits: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Fit clones of estimators from the same start and draw their paths.

        With a number for `eta0`, a path has one point per update. Otherwise it has one
        per epoch: the model that `fit` would return after that epoch.

        Parameters
        ----------
        estimators : list or dict of GDRegressor, GDClassifier or Pipeline
            Estimators of the same objective, or pipelines that end in one and hand it
            the same features. Their parameters alone count. Keys of a dict are names.
        X, y : array-like
            Training data: one target or two classes.
        names : list of str, default=None
            Names in the legend.
        coefficients : tuple of two of int or str, default=None
            The coefficients to draw, by number or name of the feature, or 'intercept_'.
            The contours are a section: the other coefficients, if any, keep the values
            that they have at the end of the best path. None: the first two, or that of
            the only feature and the intercept.
        coef_init : array-like of shape (n_features,), default=None
            Coefficients to start from, as of `fit`.
        intercept_init : array-like of shape (1,), default=None
            Intercept to start from, as of `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        grid_resolution : int, default=50
            Points of the grid along each axis. For each of its points, the objective
            is evaluated on all rows.
        limits : tuple of two pairs of float, default=None
            Smallest and largest value of each coefficient. None: what holds the paths;
            of one that diverged, only its beginning.
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones if None.
        **kwargs
            Further arguments of :meth:`plot`.

        Returns
        -------
        display : DescentPathDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the estimators minimise different objectives, if there are several
            outputs or if there is no such coefficient.

        Warns
        -----
        ConvergenceWarning
            As `fit`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimators")
        estimators, names = named(estimators, names)
        models = [last_step(clone(estimator)) for estimator in estimators]
        for model in models:
            if not isinstance(model, BaseGD):
                raise TypeError(
                    "estimators must be of GDRegressor or GDClassifier. Got "
                    f"{type(model).__name__} instead."
                )
            if _objective_of(model) != _objective_of(models[0]):
                raise ValueError(
                    "The estimators must minimise the same objective: the same "
                    f"{', '.join(OBJECTIVE)}, as far as they have them."
                )
        X, names_in = features_of(estimators, X, y)
        first = clone(models[0])
        problem, *_ = first._prepare(X, y, sample_weight)
        if problem.n_outputs > 1:
            raise ValueError("There must be one target, or two classes.")
        if names_in is None:
            names_in = getattr(first, "feature_names_in_", None)
        columns, labels = columns_of(first, coefficients, names_in)
        paths, ends, shown, best, least = [], [], [], None, np.inf
        for model in models:
            path = _Path()
            model.set_params(record="path")
            complaint = model._fit(
                X, y, sample_weight, coef_init=coef_init,
                intercept_init=intercept_init, watch=path.add,
            )  # fmt: skip
            if complaint:
                warnings.warn(complaint, ConvergenceWarning, stacklevel=2)
            start = np.append(model.path_["coef"][0], model.path_["intercept"][0])
            points = [start.astype(np.float64), *path.points]
            paths.append(np.array(points)[:, columns])
            end = np.append(model.coef_, model.intercept_).astype(np.float64)
            ends.append(end[columns])
            objective = problem.objective(state_at(end, problem))
            if objective < least:
                best, least = end, objective
            if model.stop_reason_ == "diverged":
                points = beginning_of(points, problem)
            shown += [point[columns] for point in (*points, end)]

        if limits is None:
            limits = limits_of(np.array(shown))
        x, y = (np.linspace(*ends, grid_resolution) for ends in limits)
        grid = np.empty((len(y), len(x)))
        point = best.copy()
        for i, second in enumerate(y):
            for j, first in enumerate(x):
                point[columns] = first, second
                grid[i, j] = problem.objective(state_at(point, problem))
        display = cls(
            x=x, y=y, objective=grid, paths=paths, names=names, labels=labels,
            returned=ends,
        )  # fmt: skip
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        levels: Any = 12,
        contour_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw contours and paths.

        A dot is the start of a path, a square the model that `fit` returned: its end
        or, of training that diverged and of early stopping, the best one.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; new ones, with the legend beside them, if None.
        levels : int or array-like, default=12
            Number of contours, whose distances from the least objective of the grid
            grow geometrically; or their objectives.
        contour_kw : dict, default=None
            Arguments of `Axes.contour`.
        line_kw : dict, default=None
            Arguments of `Axes.plot` for the paths.

        Returns
        -------
        display : DescentPathDisplay
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        beside = ax is None
        if beside:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if np.ndim(levels) == 0:
            least, most = self.objective.min(), self.objective.max()
            levels = least + (most - least) * np.geomspace(2e-3, 1.0, levels)
        contour_kw = {"colors": "0.75", "linewidths": 0.8, **(contour_kw or {})}
        self.contours_ = ax.contour(
            self.x, self.y, self.objective, levels=levels, **contour_kw
        )
        self.lines_ = []
        returned = self.returned or [path[-1] for path in self.paths]
        for path, end, name, style in zip(
            self.paths, returned, self.names, cycle(STYLES), strict=False
        ):
            style = {**style, "linewidth": 1.4, **(line_kw or {})}
            marker = "." if len(path) <= 200 else None
            self.lines_ += ax.plot(*path.T, marker=marker, label=name, **style)
            ends = {"color": style["color"], "markeredgecolor": "black", "zorder": 4}
            ax.plot(*end, marker="s", markersize=7, **ends)
            # On top: of training that diverged, the start may be the best there was.
            start = {**ends, "color": "white", "zorder": 5}
            ax.plot(*path[0], marker="o", markersize=5, **start)
        ax.set(
            xlabel=self.labels[0], ylabel=self.labels[1],
            xlim=(self.x[0], self.x[-1]), ylim=(self.y[0], self.y[-1]),
        )  # fmt: skip
        add_legend(ax, beside)
        return self


class _Path:
    """The coefficients, and behind them the intercept, of one output."""

    def __init__(self):
        self.points = []

    def add(self, state):
        coef, intercept = state.result()
        self.points.append(np.append(coef[0], intercept))


def _objective_of(model):
    parameters = model.get_params()
    return type(model), [parameters.get(name) for name in OBJECTIVE]
