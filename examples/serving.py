"""Save a model, load it elsewhere, and serve it without skgd.

    pip install ".[serve]"
    python examples/serving.py

Three ways, each checked against the model itself, of two and of three classes. A pickle
keeps everything, so that `partial_fit` goes on from it bit for bit; but who loads one
runs what is in it. skops loads the types that it is told to trust, and no others. ONNX
is a file of formulas, for runtimes that need no Python.
"""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import skops.io
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.operator_converters.linear_classifier import (
    convert_sklearn_linear_classifier,
)
from skl2onnx.operator_converters.sgd_classifier import convert_sklearn_sgd_classifier
from skl2onnx.shape_calculators.linear_classifier import (
    calculate_linear_classifier_output_shapes,
)
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier


def convert(scope, operator, container):
    """As SGDClassifier, but for the softmax of log_loss with more than two classes."""
    model = operator.raw_operator
    softmax = model.loss == "log_loss" and len(model.classes_) > 2
    converter = (
        convert_sklearn_linear_classifier if softmax else convert_sklearn_sgd_classifier
    )
    converter(scope, operator, container)


OPTIONS = ("zipmap", "nocl", "output_class_labels", "raw_scores")  # SGDClassifier's
update_registered_converter(
    GDClassifier,
    "SkgdGDClassifier",
    calculate_linear_classifier_output_shapes,
    convert,
    options={name: [True, False] for name in OPTIONS},
)
TRUSTED = [
    "numpy.dtype",
    "skgd.estimators.classifier.GDClassifier",
    "skgd.training.state.Memory",
]


def by_pickle(model, X, folder):
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    return pickle.loads(path.read_bytes()).predict_proba(X)


def by_skops(model, X, folder):
    path = folder / "model.skops"
    skops.io.dump(model, path)
    # Of any other type in the file, this raises.
    return skops.io.load(path, trusted=TRUSTED).predict_proba(X)


def by_onnx(model, X, folder):
    path = folder / "model.onnx"
    options = {GDClassifier: {"zipmap": False}}
    path.write_bytes(to_onnx(model, X[:1], options=options).SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"X": X})[0]


def main():
    for load in (load_breast_cancer, load_wine):
        X, X_new, y, y_new = train_test_split(*load(return_X_y=True), random_state=0)
        for loss in ("log_loss", "modified_huber"):
            model = make_pipeline(
                StandardScaler(), GDClassifier(loss, alpha=1e-3, random_state=0)
            ).fit(X, y)
            expected = model.predict_proba(X_new)
            print(
                f"{load.__name__[5:]}, {loss}: {expected.shape[1]} classes, "
                f"accuracy {model.score(X_new, y_new):.3f}"
            )
            for serve in (by_pickle, by_skops, by_onnx):
                with tempfile.TemporaryDirectory() as folder:
                    served = serve(model, X_new, Path(folder))
                error = np.abs(served - expected).max()
                assert error < 1e-6, (serve.__name__, error)
                print(f"    {serve.__name__}: probabilities to {error:.0e}")


if __name__ == "__main__":
    main()
