"""Fixtures of several folders. This file puts the helpers beside it on the path."""

import pytest

from skgd.optim import streaming


@pytest.fixture
def sparse_is_sparse(monkeypatch):
    """Few sparse columns are learnt as sparse, as else only many are."""
    monkeypatch.setattr(streaming, "DENSE_FEATURES", 0)
