"""One module per library; `installed` returns the methods of those that are there.

To add a library, write a module with a list METHODS and name it here.
"""

import importlib

MODULES = {  # module -> what it needs
    "skgd_": "skgd",
    "sklearn_sgd": "scikit-learn",
    "sklearn_mlp": "scikit-learn",
    "sklearn_linear": "scikit-learn",
    "mlxtend_": "mlxtend",
    "vowpal_wabbit": "vowpalwabbit",
    "torch_": "torch",
    "cyanure_": "cyanure",
}


def installed(verbose=True):
    """Methods of the libraries that are installed; prints which are not."""
    methods = []
    for module, package in MODULES.items():
        try:
            methods += importlib.import_module(f"adapters.{module}").METHODS
        except ImportError as error:
            if verbose:
                print(f"{package} skipped: {error}")
    return methods
