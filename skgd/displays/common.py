"""What the displays share: names, colours and lines."""

from sklearn.pipeline import Pipeline

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
