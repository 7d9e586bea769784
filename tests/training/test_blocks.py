"""Large memory maps: visited in blocks, with the same results as an array."""

import mmap

import numpy as np
import pytest

from samples import linear
from skgd import GDClassifier, GDRegressor
from skgd.training import blocks
from skgd.training.blocks import blocks_of


@pytest.fixture
def small_blocks(monkeypatch):
    """Maps of 3 kB and more are large; a block is 10 rows of 4 features."""
    monkeypatch.setattr(blocks, "LARGE", 3000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 330)
    monkeypatch.setattr(blocks, "BUFFER", 3)


def mapped(tmp_path, X, offset=64):
    path = tmp_path / "X.bin"
    path.write_bytes(bytes(offset) + X.tobytes())
    return np.memmap(path, X.dtype, "r", offset, X.shape)


def test_which_arrays_have_blocks(tmp_path, small_blocks):
    X, _ = linear(200)
    Z = mapped(tmp_path, X)
    assert blocks_of(X) is None
    assert blocks_of(Z).size == 10
    assert blocks_of(np.asarray(Z)[5:]).size == 10
    assert blocks_of(Z[:50]) is None


@pytest.mark.parametrize("n_rows", [1, 9, 10, 185, 200])
def test_an_order_is_a_permutation_by_the_seed(n_rows, tmp_path, small_blocks):
    own = blocks_of(mapped(tmp_path, linear(200)[0]))
    order = own.order(n_rows, np.random.default_rng(3))
    assert sorted(order) == list(range(n_rows))
    again = own.order(n_rows, np.random.default_rng(3))
    np.testing.assert_array_equal(order, again)
    if n_rows == 200:
        other = own.order(n_rows, np.random.default_rng(4))
        assert not np.array_equal(order, other)
        for start in range(0, 200, 30):
            assert len(np.unique(order[start : start + 30] // 10)) <= 3
        # Rows of its blocks are mixed.
        assert len(np.unique(order[:10] // 10)) > 1


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_pieces_are_whole_batches_of_all_visits(batch_size, tmp_path, small_blocks):
    own = blocks_of(mapped(tmp_path, linear(200)[0]))
    rows, y = np.random.default_rng(0).permutation(200), np.arange(200.0)[:, None]
    pieces = list(own.pieces((rows, y, None), batch_size))
    assert all(len(piece[0]) % batch_size == 0 for piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate([p[0] for p in pieces]), rows)
    np.testing.assert_array_equal(np.concatenate([p[1] for p in pieces]), y)
    assert all(piece[2] is None for piece in pieces)


class Told(mmap.mmap):
    """A map that keeps what it is advised of."""

    def madvise(self, *advice):
        super().madvise(*advice)  # which raises if it cannot be
        self.advice = [*getattr(self, "advice", []), advice]


def test_what_is_read_ahead_covers_the_rows(tmp_path, small_blocks):
    """Of a file in which they do not begin at a page."""
    path, start = tmp_path / "X.bin", mmap.PAGESIZE + 32
    path.write_bytes(bytes(start + 5000 * 32))
    with path.open("rb") as file:
        told = Told(file.fileno(), 0, access=mmap.ACCESS_READ)
    X = np.frombuffer(told, offset=start).reshape(5000, 4)
    own = blocks_of(X)
    if own is None:  # a view of bytes lies between
        own = blocks.Blocks(X, told)
    rows = np.array([0, 17, 4999])
    own.read_ahead(rows)
    advised = [range(first, first + length) for _, first, length in told.advice]
    for byte in np.concatenate([start + 32 * rows, start + 32 * rows + 31]):
        assert any(byte in pages for pages in advised)
    assert len(told.advice) == 3


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"solver": "sgd"},
        {"solver": "sgd", "eta0": 0.01, "average": 30},
        {"eta0": 0.01, "batch_size": 7},
        {"eta0": 0.01, "shuffle": False},
        {"eta0": 0.01, "record": "update"},
        {"finish": False, "max_iter": 20},
        {"solver": "batch"},
        {"penalty": "l1", "alpha": 0.01},
    ],
)
def test_map_and_array_give_the_same_bits(kwargs, tmp_path, small_blocks, monkeypatch):
    X, y = linear(200)
    kwargs = {"max_iter": 10, "tol": None, "random_state": 0} | kwargs
    model = GDRegressor(**kwargs).fit(mapped(tmp_path, X), y)
    own = blocks_of(mapped(tmp_path, X))
    monkeypatch.setattr("skgd.training.data.blocks_of", lambda X: own)
    array = GDRegressor(**kwargs).fit(X, y)
    np.testing.assert_array_equal(model.coef_, array.coef_)
    assert model.history_["objective"] == array.history_["objective"]
    if kwargs.get("record"):
        np.testing.assert_array_equal(
            model.update_history_["objective"], array.update_history_["objective"]
        )


def test_one_piece_is_as_without_blocks(tmp_path, small_blocks, monkeypatch):
    """In the order of the file, a textbook epoch does not depend on pieces."""
    X, y = linear(200)
    fit = {"eta0": 0.01, "shuffle": False, "max_iter": 5, "tol": None, "average": True}
    pieces = GDRegressor(**fit).fit(mapped(tmp_path, X), y)
    monkeypatch.setattr(blocks, "LARGE", np.inf)
    whole = GDRegressor(**fit).fit(mapped(tmp_path, X), y)
    np.testing.assert_allclose(pieces.coef_, whole.coef_, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_file_sorted_by_the_target_ends_at_the_optimum(
    weighted, tmp_path, small_blocks
):
    X, y = linear(200)
    order = np.argsort(y)
    X, y = X[order], y[order]
    weight = np.arange(200) % 3.0 if weighted else None
    for cls, target in ((GDRegressor, y), (GDClassifier, y > 0)):
        want = cls(random_state=0, tol=1e-8).fit(X, target, weight)
        model = cls(random_state=0, tol=1e-8).fit(mapped(tmp_path, X), target, weight)
        assert model.objective_ == pytest.approx(want.objective_, rel=1e-6)
