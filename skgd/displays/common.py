"""What the displays share: names, colours and lines."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

# Colours of different lightness and lines of different kinds, to be told apart in grey.
STYLES = (
    {"color": "#0b3c6f", "linestyle": "-"},
    {"color": "#e07b00", "linestyle": "--"},
    {"color": "#2e8b57", "linestyle": "-."},
    {"color": "#b5446e", "linestyle": ":"},
    {"color": "#555555", "linestyle": (0, (6, 1, 1, 1, 1, 1))},
    {"color": "#38a3c9", "linestyle": (0, (8, 2))},
)


def named(estimators, names):
    """Estimators and their names, which may be the keys of a dict."""
    if hasattr(estimators, "items"):
        if names is not None:
            raise ValueError("names are the keys of estimators if that is a dict.")
        names, estimators = zip(*estimators.items(), strict=True)
    estimators = list(estimators)
    if names is None:
        names = [type(last_step(estimator)).__name__ for estimator in estimators]
        if len(set(names)) < len(names):
            names = [f"{name} {i}" for i, name in enumerate(names)]
    if len(names) != len(estimators):
        raise ValueError(
            f"{len(names)} names are given for {len(estimators)} estimators."
        )
    return estimators, [str(name) for name in names]


def last_step(estimator):
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def history_of(estimator):
    """The fitted model that has the history of an estimator, and that history.

    Raises NotFittedError or TypeError where there is none.
    """
    model = estimator
    while True:
        if isinstance(model, Pipeline):
            model = last_step(model)
        check_is_fitted(model)
        if hasattr(model, "best_estimator_"):  # of a search
            model = model.best_estimator_
        elif hasattr(model, "history_"):
            return model, model.history_
        elif hasattr(model, "loss_curve_"):  # of MLPRegressor and MLPClassifier
            history = {"objective": model.loss_curve_}
            if scores := getattr(model, "validation_scores_", None):
                history["validation_score"] = scores
            return model, history
        else:
            raise TypeError(
                f"{type(model).__name__} has no history_ of its training. Curves are "
                "drawn of GDRegressor, GDClassifier, MLPRegressor and MLPClassifier, "
                "pipelines that end in one of them, and searches with refit=True over "
                "these."
            )


def add_legend(ax, beside):
    """A legend of the lines that show: beside the axes, or where it hides least."""
    limits = zip(ax.get_xlim(), ax.get_ylim(), strict=True)
    low, high = np.sort(list(limits), axis=0)
    handles, _ = ax.get_legend_handles_labels()
    shown = []
    for handle in handles:
        if hasattr(handle, "get_xydata"):
            points = np.asarray(handle.get_xydata(), dtype=np.float64)
            if not ((points >= low) & (points <= high)).all(axis=1).any():
                continue
        shown.append(handle)
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if beside else {}
    ax.legend(handles=shown, **place)
