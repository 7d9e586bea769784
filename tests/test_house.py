"""The order of the house: which folder may import which, and how long files are."""

import ast
import re
import runpy
from pathlib import Path

import pytest

import skgd

# Each imports only itself and those before it.
FOLDERS = (
    "objective", "kernels", "training", "optim", "distributed", "estimators",
    "search", "displays",
)  # fmt: skip
TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "skgd"
LINES = 420


def sources():
    """The files of the package, as they are committed."""
    return sorted(
        path
        for ending in ("py", "pyx", "pxd", "h")
        for path in SOURCES.rglob(f"*.{ending}")
    )


def imported_by(path):
    """The modules that a file imports; of Cython, those that it cimports, too."""
    text = path.read_text()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                start = "." * node.level + (node.module or "")
                yield from (f"{start}.{name.name}" for name in node.names)
            elif isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
        return
    # Headers by their names alone: those of the package differ.
    headers = {header.name: header for header in SOURCES.rglob("*.h")}
    for name in re.findall(r'^ *(?:cdef extern from|# *include) +"(.*)"', text, re.M):
        if name in headers:
            yield ".".join(("skgd", *headers[name].relative_to(SOURCES).parts[:-1]))
    text = re.sub(r"#.*", "", text)
    for start, names in re.findall(
        r"^ *(?:from +([\w.]+) +)?c?import +(\([^)]*\)|[^(\n]*)", text, re.M
    ):
        for name in re.split(r"[,()]", names):
            if name.strip():
                name = name.split()[0]  # not what it is imported as
                yield f"{start}.{name}" if start else name


def forbidden(folder, module):
    """Whether a file of `folder` may not import this module."""
    if module.startswith("."):
        return True  # relative: one does not see where it leads
    first, _, rest = module.partition(".")
    if first != "skgd":
        return False
    other = rest.partition(".")[0]
    return other not in FOLDERS[: FOLDERS.index(folder) + 1]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCES)))
def test_imports_run_one_way(path):
    folder = path.relative_to(SOURCES).parts[0]
    modules = list(imported_by(path))
    if folder == "__init__.py":
        return
    assert folder in FOLDERS
    assert not [module for module in modules if forbidden(folder, module)]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCES)))
def test_private_names_of_scikit_learn_are_imported_in_one_file(path):
    if path == SOURCES / "estimators" / "sklearn_private.py":
        return
    private = [
        module
        for module in imported_by(path)
        if module.startswith("sklearn.") and "._" in module
    ]
    assert not private


@pytest.mark.parametrize(
    "path",
    [*sources(), *sorted(TESTS.rglob("*.py"))],
    ids=lambda p: str(p.relative_to(TESTS.parent)),
)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LINES


@pytest.mark.parametrize(
    "name, text, modules",
    [
        (
            "a.py",
            "from skgd.optim.finish import Finish as F\nimport skgd.displays as d\n"
            "from . import loop\nfrom .. import optim\nfrom ..optim import choose\n",
            [
                "skgd.optim.finish.Finish", "skgd.displays", "..loop", "...optim",
                "..optim.choose",
            ],
        ),
        (
            "a.pyx",
            "cimport cython\nimport numpy as np, scipy\n"
            "from skgd.kernels.rows cimport (\n    Rows, dot as d,  # both\n)\n"
            "from .rows cimport Rows\n    from sklearn.base import _fit_context\n"
            'cdef extern from "vector.h" nogil:\n    int important\n',
            [
                "skgd.objective", "cython", "numpy", "scipy", "skgd.kernels.rows.Rows",
                "skgd.kernels.rows.dot", ".rows.Rows", "sklearn.base._fit_context",
            ],
        ),
        ("a.h", '#include <math.h>\n#include "products.h"\n', ["skgd.kernels"]),
    ],
)  # fmt: skip
def test_imports_are_found(tmp_path, name, text, modules):
    path = tmp_path / name
    path.write_text(text)
    assert list(imported_by(path)) == modules


@pytest.mark.parametrize(
    "folder, module, expected",
    [
        ("training", "skgd.optim.finish.Finish", True),
        ("kernels", "skgd.GDRegressor", True),
        ("kernels", ".rows.Rows", True),
        ("objective", "skgd.kernels", True),
        ("estimators", "skgd.optim.finish.Finish", False),
        ("kernels", "skgd.kernels.rows", False),
        ("objective", "numpy", False),
    ],
)
def test_what_is_forbidden(folder, module, expected):
    assert forbidden(folder, module) == expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_map_names_every_folder(folder):
    assert f"- `{folder}`:" in skgd.__doc__


EXAMPLES = sorted((TESTS.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_are_listed_and_run_by_ci(path):
    assert f"`{path.name}`" in (path.parent / "README.md").read_text()
    ci = (TESTS.parent / ".ci" / "run").read_text()
    if path.name != "figures.py":  # what others import
        # As a file, or as one of the plots that a loop there makes.
        name = path.stem.removeprefix("plot_")
        assert f"examples/{path.name}" in ci or re.search(rf"for .*\b{name}\b", ci)


def test_there_are_examples():
    assert len(EXAMPLES) > 10


def test_the_faults_of_the_mutants_are_in_the_sources():
    script = runpy.run_path(str(TESTS.parent / ".ci" / "mutants"))
    faults = script["table"]()
    assert len(faults) > 100
    assert not list(script["misfits"](TESTS.parent, faults))
