"""scikit-learn compatible linear models trained by gradient descent.

Folders, each of which imports only those above it:

- `objective`: what is minimised, losses and penalties;
- `kernels`: one pass over rows in memory, compiled; what knows storage and dtype;
- `training`: the loop over epochs, for any method and any data;
- `optim`: methods, or how an epoch steps;
- `distributed`: rows in the partitions of dask collections;
- `estimators`: what users of scikit-learn see;
- `search`: their fits in a grid search, trained together;
- `displays`: plots and tables of fitted estimators.
"""

from skgd.displays.compare import compare_estimators
from skgd.displays.curves import LossCurveDisplay
from skgd.displays.paths import DescentPathDisplay
from skgd.estimators.classifier import GDClassifier
from skgd.estimators.regressor import GDRegressor
from skgd.search.searches import GridSearchCV, RandomizedSearchCV

__all__ = [
    "DescentPathDisplay",
    "GDClassifier",
    "GDRegressor",
    "GridSearchCV",
    "LossCurveDisplay",
    "RandomizedSearchCV",
    "compare_estimators",
]
__version__ = "0.1.0"
