"""The three solvers on real data, next to SGDRegressor and SGDClassifier.

    python examples/quickstart.py

Each solver in a pipeline, with no step size given; then a grid search over eta0 and
solver, which trains together what shares its rows. The data sets come with
scikit-learn. Scores are R^2 or accuracy on rows kept apart.
"""

import time
import warnings

from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, GridSearchCV

# The batch solver and small steps may use up their epochs, which the table shows.
warnings.simplefilter("ignore", ConvergenceWarning)

DATA = {
    "diabetes": (load_diabetes, GDRegressor, SGDRegressor, {}),
    "breast_cancer": (
        load_breast_cancer,
        GDClassifier,
        SGDClassifier,
        {"loss": "log_loss"},
    ),
    "digits": (load_digits, GDClassifier, SGDClassifier, {"loss": "log_loss"}),
}
GRID = {"eta0": [0.001, 0.01, 0.1], "solver": ["batch", "minibatch", "sgd"]}


def row(name, label, model, split):
    """Fit a pipeline and print a line of the table."""
    X_train, X_test, y_train, y_test = split
    start = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), model).fit(X_train, y_train)
    seconds = time.perf_counter() - start
    score = pipeline.score(X_test, y_test)
    print(
        f"{name:14}{label:26}{score:8.3f}{model.n_iter_:8}{int(model.t_) - 1:10}"
        f"{seconds:9.3f}"
    )


def main():
    print(
        f"{'data':14}{'model':26}{'score':>8}{'epochs':>8}{'updates':>10}{'seconds':>9}"
    )
    for name, (load, ours, theirs, parameters) in DATA.items():
        X, y = load(return_X_y=True)
        split = train_test_split(X, y, test_size=0.25, random_state=0)
        for solver in ("batch", "minibatch", "sgd"):
            model = ours(**parameters, solver=solver, random_state=0)
            row(name, f"{ours.__name__} {solver}", model, split)
        row(name, theirs.__name__, theirs(**parameters, random_state=0), split)
        print()

    print("Grid search over eta0 and solver, 5 folds of the training rows")
    for name, (load, ours, _, parameters) in DATA.items():
        X, y = load(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, random_state=0
        )
        prefix = f"{ours.__name__.lower()}__"
        model = ours(**parameters, max_iter=100, random_state=0)
        start = time.perf_counter()
        search = GridSearchCV(
            make_pipeline(StandardScaler(), model),
            {prefix + key: values for key, values in GRID.items()},
            n_jobs=2,
        ).fit(X_train, y_train)
        seconds = time.perf_counter() - start
        best = ", ".join(
            f"{key.removeprefix(prefix)}={value}"
            for key, value in search.best_params_.items()
        )
        print(
            f"{name:14}{best:26}   score {search.score(X_test, y_test):.3f}"
            f"   {seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
