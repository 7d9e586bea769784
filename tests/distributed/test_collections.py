"""What dask collections may be, and what is said of those that may not."""

import subprocess
import sys
import warnings

import dask
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from partitions import collection, one_thread  # noqa: F401
from samples import classification, linear
from skgd import GDClassifier, GDRegressor
from skgd.training.data import LocalData

dd = pytest.importorskip("dask.dataframe", exc_type=ImportError)
pytestmark = pytest.mark.usefixtures("one_thread")


def frame(n=400):
    X, y = linear(n)
    return pd.DataFrame(X, columns=list("abcd")).assign(y=y, w=np.arange(n) % 3 + 1.0)


@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_dataframes(as_array, weighted):
    table = frame()
    lazy = dd.from_pandas(table, npartitions=5)
    X, y, w = table[list("abcd")], table["y"], table["w"] if weighted else None
    model = GDRegressor(solver="batch", random_state=0)
    coef = model.fit(X, y, w).coef_.copy()
    now, score = model.predict(X), model.score(X, y, w)
    X, y, w = lazy[list("abcd")], lazy["y"], lazy["w"] if weighted else None
    if as_array:
        y, w = (None if a is None else a.to_dask_array(lengths=True) for a in (y, w))
    model.fit(X, y, w)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-10)
    assert list(model.feature_names_in_) == list("abcd")
    np.testing.assert_allclose(model.predict(X).compute(), now, rtol=1e-9)
    assert model.score(X, y, w) == pytest.approx(score)


def test_a_table_of_one_target_is_two_dimensional_as_in_memory():
    lazy = dd.from_pandas(frame(), npartitions=2)
    model = GDRegressor(random_state=0).fit(lazy[list("abcd")], lazy[["y"]])
    assert model.coef_.shape == (1, 4)


@pytest.mark.filterwarnings("ignore")  # of pandas, of what dask does
def test_parquet_whose_y_is_narrow(tmp_path):
    """Optimised apart, y would come in other partitions than X."""
    pytest.importorskip("pyarrow")
    table = frame(2000).assign(**{f"x{k}": 1.0 * k for k in range(40)})
    dd.from_pandas(table, npartitions=16).to_parquet(tmp_path)
    lazy = dd.read_parquet(tmp_path)
    model = GDRegressor(random_state=0).fit(lazy[list("abcd")], lazy["y"])
    want = GDRegressor(random_state=0).fit(table[list("abcd")], table["y"])
    np.testing.assert_allclose(model.coef_, want.coef_, atol=1e-3)


def test_labels_of_text():
    X, y = classification(400, n_classes=2)
    table = pd.DataFrame(X).rename(columns=str).assign(label=y)
    lazy = dd.from_pandas(table, npartitions=3)
    names = list(table.columns[:-1])
    model = GDClassifier(random_state=0).fit(lazy[names], lazy["label"])
    assert list(model.classes_) == ["a", "b"]
    found = model.predict(lazy[names]).compute()
    assert (found == model.predict(table[names])).all()
    assert model.score(lazy[names], lazy["label"]) == pytest.approx((found == y).mean())


X, Y = linear(400)
_, LABELS = classification(400)


def holes(array, at):
    array = np.array(array)
    array[at] = np.nan
    return array


BAD = {
    "y in memory": (
        GDRegressor(), lambda: (collection(X), Y),
        "must all be dask collections, got y of type ndarray",
    ),
    "X in memory": (
        GDRegressor(), lambda: (X, collection(Y)),
        "must all be dask collections, got X of type ndarray",
    ),
    "weights in memory": (
        GDRegressor(), lambda: (collection(X), collection(Y), np.ones(400)),
        "must all be dask collections, got sample_weight",
    ),
    "NaN in X": (
        GDRegressor(), lambda: (collection(holes(X, 100)), collection(Y)),
        "Input X in partition 1 contains NaN",
    ),
    "NaN in y": (
        GDRegressor(), lambda: (collection(X), collection(holes(Y, 399))),
        "Input y in partition 4 contains NaN",
    ),
    "y of other length": (
        GDRegressor(), lambda: (collection(X), collection(Y[:-1])),
        "inconsistent numbers of samples: \\[400, 399\\]",
    ),
    "a partition of other length": (
        GDRegressor(),
        lambda: (
            collection(X), collection(Y).map_blocks(lambda b: b[:80], dtype=float)
        ),
        "inconsistent numbers of samples: \\[90, 80\\] in partition",
    ),
    "no y": (
        GDRegressor(), lambda: (collection(X), None),
        "requires y to be passed, but the target y is None",
    ),
    "y of three dimensions": (
        GDRegressor(), lambda: (collection(X), collection(Y)[:, None, None]),
        "Found array with dim 3",
    ),
    "complex y": (
        GDRegressor(), lambda: (collection(X), collection(Y + 1j)),
        "Complex data not supported",
    ),
    "complex weight": (
        GDRegressor(), lambda: (collection(X), collection(Y), collection(Y**2 + 1j)),
        "Complex data not supported",
    ),
    "NA among labels": (
        GDClassifier(),
        lambda: (
            dd.from_pandas(pd.DataFrame(X), npartitions=2),
            dd.from_pandas(
                pd.Series(LABELS, dtype="string").where(Y < 3.0, pd.NA), npartitions=2
            ),
        ),
        "Input y in partition . contains NaN",
    ),
    "one column of a dataframe": (
        GDRegressor(),
        lambda: (
            dd.from_pandas(pd.Series(Y), npartitions=2),
            dd.from_pandas(pd.Series(Y), npartitions=2),
        ),
        "Expected 2D array, got 1D array",
    ),
    "a delayed array": (
        GDRegressor(), lambda: (dask.delayed(X), collection(Y)),
        "X must be a dask array or dataframe, got Delayed",
    ),
    "delayed targets": (
        GDRegressor(), lambda: (collection(X), dask.delayed(Y)),
        "y must be a dask array or dataframe, got Delayed",
    ),
    "weights whose sum overflows": (
        GDRegressor(),
        lambda: (collection(X), collection(Y), collection(np.full(400, 1e308))),
        "sum of sample_weight is too large",
    ),
    "negative weight": (
        GDRegressor(), lambda: (collection(X), collection(Y), collection(Y)),
        "Negative values in data passed to `sample_weight` in partition",
    ),
    "no weight": (
        GDRegressor(), lambda: (collection(X), collection(Y), collection(0 * Y)),
        "at least one non-zero number",
    ),
    "no rows": (
        GDRegressor(), lambda: (collection(X)[:0], collection(Y)[:0]),
        "Found array with 0 sample",
    ),
    "one column": (
        GDRegressor(), lambda: (collection(Y), collection(Y)), "Expected 2D array",
    ),
    "one class": (
        GDClassifier(), lambda: (collection(X), collection(0 * Y)),
        "number of classes has to be greater than one; got 1",
    ),
    "no classes": (
        GDClassifier(), lambda: (collection(X), collection(Y)), "Unknown label type",
    ),
    "other partitions": (
        GDRegressor(),
        lambda: (
            dd.from_pandas(pd.DataFrame(X), npartitions=2),
            dd.from_pandas(pd.Series(Y), npartitions=3),
        ),
        "X has 2 partitions and y or sample_weight 3",
    ),
    "text": (
        GDRegressor(),
        lambda: (
            dd.from_pandas(pd.DataFrame({"a": LABELS}), npartitions=2),
            dd.from_pandas(pd.Series(Y), npartitions=2),
        ),
        "Columns \\['a'\\] in partition . are not numbers",
    ),
    "categories": (
        GDRegressor(),
        lambda: (
            dd.from_pandas(
                pd.DataFrame({"a": pd.Categorical(LABELS)}), npartitions=2
            ),
            dd.from_pandas(pd.Series(Y), npartitions=2),
        ),
        "Encode them",
    ),
    "steps of one's own": (
        GDRegressor(eta0=0.1), lambda: (collection(X), collection(Y)),
        "Set eta0='auto' and learning_rate='auto', or solver='batch'",
    ),
    "perceptron": (
        GDClassifier("perceptron"), lambda: (collection(X), collection(LABELS)),
        "or solver='batch'",
    ),
    "no finish": (
        GDRegressor(finish=False), lambda: (collection(X), collection(Y)),
        "Set finish=True",
    ),
    "rows to stop by": (
        GDRegressor(early_stopping=True), lambda: (collection(X), collection(Y)),
        "pass X_val and y_val",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_and_the_model_stays(kind):
    model, arguments, message = BAD[kind]
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(*arguments())
    assert vars(model) == before


def test_partitions_of_other_storage_width_or_outputs():
    blocks = collection(X)
    mixed = blocks.map_blocks(
        lambda b, block_info=None: (
            sp.csr_array(b) if block_info[0]["chunk-location"][0] else b
        ),
        meta=X[:0],
    )
    with pytest.raises(ValueError, match="differ in storage"):
        GDRegressor().fit(mixed, collection(Y))
    narrow = blocks.map_blocks(
        lambda b, block_info=None: b[:, min(block_info[0]["chunk-location"][0], 1) :],
        meta=X[:0],
    )
    with pytest.raises(ValueError, match="differ in number of features"):
        GDRegressor().fit(narrow, collection(Y))


@pytest.mark.parametrize("data", [linear, classification])
def test_a_score_needs_rows(data):
    X, y = data(400)
    cls = GDRegressor if data is linear else GDClassifier
    model = cls(random_state=0).fit(X, y)
    X, y = collection(X), collection(y)
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.score(X[:0], y[:0])
    with pytest.raises(ValueError, match="at least one non-zero number"):
        model.score(X, y, collection(np.zeros(400)))
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        model.set_params(solver="batch", early_stopping=True).fit(
            X, y, X_val=X[:0], y_val=y[:0]
        )


def test_predictions_of_what_has_no_columns():
    table = frame()
    lazy = dd.from_pandas(table, npartitions=2)
    model = GDRegressor(random_state=0).fit(lazy[list("abcd")], lazy["y"])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        model.predict(lazy["a"])
    with pytest.warns(UserWarning, match="valid feature names") as warned:
        model.predict(collection(table[list("abcd")].to_numpy())).compute()
    assert len(warned) == 1  # and not one for each partition


def test_columns_in_another_order():
    table = frame()
    lazy = dd.from_pandas(table, npartitions=2)
    model = GDRegressor(random_state=0).fit(lazy[list("abcd")], lazy["y"])
    for use in (model.predict, lambda X: model.score(X, lazy["y"])):
        with pytest.raises(ValueError, match="must be in the same order"):
            use(lazy[list("badc")])
    one = lazy[list("abcd")].map_partitions(
        lambda part: part[list("badc")],
        meta=table[list("abcd")].iloc[:0],
        enforce_metadata=False,
    )
    with pytest.raises(ValueError, match="in another order"):
        GDRegressor().fit(one, lazy["y"])


def test_partial_fit_names_fit():
    model = GDRegressor(random_state=0)
    with pytest.raises(TypeError, match="fit takes collections"):
        model.partial_fit(collection(X), collection(Y))
    model.fit(collection(X), collection(Y))
    n_steps, coef = model.t_, model.coef_.copy()
    model.partial_fit(X[:5], Y[:5] + 1.0)
    # The fit still weighs as many rows as it had.
    assert 0 < np.abs(model.coef_ - coef).max() < 0.1
    assert model.t_ > n_steps


class OwnLoss:
    def value_and_slope(self, y, z):
        return 0.5 * (z - y) ** 2, z - y


def test_what_wants_rows_in_memory():
    lazy = collection(X), collection(Y)
    model = GDRegressor().fit(*lazy)
    for call in (
        lambda: model.fit(*lazy, offset=np.ones(len(Y))),
        lambda: model.predict(lazy[0], np.ones(len(Y))),
        lambda: model.score(*lazy, offset=np.ones(len(Y))),
    ):
        with pytest.raises(ValueError, match="offset is not supported for dask"):
            call()
    with pytest.raises(ValueError, match="loss of your own is not supported for dask"):
        GDRegressor(OwnLoss()).fit(*lazy)


@pytest.mark.parametrize("nesterovs", [False, True])
def test_momentum(nesterovs):
    model = GDRegressor(
        solver="batch", eta0=0.1, learning_rate="constant", momentum=0.9, max_iter=9,
        nesterovs_momentum=nesterovs, tol=None, alpha=0.1,
    )  # fmt: skip
    coef = model.fit(X, Y).coef_.copy()
    np.testing.assert_allclose(
        model.fit(collection(X), collection(Y)).coef_, coef, rtol=1e-10
    )


def test_a_pipeline_without_transformers_takes_collections():
    model = make_pipeline(GDRegressor(random_state=0))
    model.fit(collection(X), collection(Y))
    assert model.predict(collection(X)).shape == (400,)


def test_grid_search_of_arrays_trains_on_parts_of_them():
    """scikit-learn takes rows of an array by number; those are a collection, too."""
    search = GridSearchCV(
        GDRegressor(random_state=0), {"alpha": [1e-4, 10.0]}, cv=2, refit=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dask, of the cost of slices
        search.fit(collection(X), collection(Y))
    want = GridSearchCV(GDRegressor(random_state=0), search.param_grid, cv=2)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"],
        want.fit(X, Y).cv_results_["mean_test_score"],
        atol=1e-3,
    )


def test_the_model_holds_numpy_only():
    model = GDRegressor(random_state=0)
    model.fit(collection(X), collection(Y))
    for value in vars(model).values():
        assert not dask.is_dask_collection(value)
    assert type(model.coef_) is np.ndarray
    assert LocalData(X, Y[:, None]).close() is None


def test_dask_is_not_imported_for_arrays(tmp_path):
    code = (
        "import sys, numpy as np, skgd\n"
        "m = skgd.GDRegressor().fit(np.eye(20), np.arange(20.0))\n"
        "m.predict(np.eye(20)); m.score(np.eye(20), np.arange(20.0))\n"
        "assert 'dask' not in sys.modules and 'distributed' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        timeout=120,
        cwd=tmp_path,  # not where the uncompiled sources are
    )
    assert run.returncode == 0
