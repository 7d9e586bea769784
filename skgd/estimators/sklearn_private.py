"""Every private import from scikit-learn, and nothing else.

A new version that moves one of them is met here.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call as check_partial_fit_first_call,
)
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

try:
    # What searches run as tasks; without it, they are not trained together.
    from sklearn.metrics._scorer import _PassthroughScorer as DefaultScorer
    from sklearn.model_selection._validation import _fit_and_score as fit_and_score
except ImportError:
    fit_and_score = DefaultScorer = None

Method = TypeVar("Method", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """scikit-learn's, which keeps what a type checker knows of the method."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


__all__ = [
    "DefaultScorer",
    "HasMethods",
    "Interval",
    "SparseCoefMixin",
    "StrOptions",
    "check_matplotlib_support",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "fit_and_score",
    "fit_context",
    "safe_indexing",
]
