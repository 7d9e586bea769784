"""scikit-learn compatible linear models trained by gradient descent."""

from skgd._comparison import compare_estimators
from skgd._estimators import GDClassifier, GDRegressor
from skgd._plotting import DescentPathDisplay, LossCurveDisplay

__all__ = [
    "DescentPathDisplay",
    "GDClassifier",
    "GDRegressor",
    "LossCurveDisplay",
    "compare_estimators",
]
__version__ = "0.1.0"
