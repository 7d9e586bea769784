"""scikit-learn compatible linear models trained by gradient descent."""

from skgd._estimators import GDClassifier, GDRegressor

__all__ = ["GDClassifier", "GDRegressor"]
__version__ = "0.1.0"
