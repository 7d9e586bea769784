"""The order of the house: which folder may import which, and how long files are."""

import ast
import re
from pathlib import Path

import pytest

import skgd

# Each imports only itself and those before it.
FOLDERS = ("objective", "kernels", "training", "optim", "estimators", "displays")
SOURCES = Path(__file__).parents[1] / "skgd"
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
                assert node.level == 0, "relative import"
                yield from (f"{node.module}.{name.name}" for name in node.names)
            elif isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
    else:
        for start, names in re.findall(
            r"^ *(?:from +([\w.]+) +)?c?import +(\([^)]*\)|[^(\n]*)", text, re.M
        ):
            for name in re.split(r"[\s,()]+", names):
                if name:
                    yield f"{start}.{name}" if start else name


def forbidden(folder, module):
    """Whether a file of `folder` may not import this module."""
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
    if path.name == "sklearn_private.py":
        return
    private = [
        module
        for module in imported_by(path)
        if module.startswith("sklearn.") and "._" in module
    ]
    assert not private


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCES)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LINES


def test_what_the_tests_above_would_notice(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("from skgd.optim.finish import Finish\nimport skgd.displays\n")
    assert list(imported_by(path)) == ["skgd.optim.finish.Finish", "skgd.displays"]
    path = tmp_path / "a.pyx"
    path.write_text(
        "cimport cython\nfrom skgd.kernels.rows cimport (\n    Rows, dot,\n)\n"
        "    from sklearn.base import _fit_context\n"
    )
    assert list(imported_by(path)) == [
        "cython", "skgd.kernels.rows.Rows", "skgd.kernels.rows.dot",
        "sklearn.base._fit_context",
    ]  # fmt: skip
    assert forbidden("training", "skgd.optim.finish.Finish")
    assert forbidden("kernels", "skgd.GDRegressor")
    assert not forbidden("estimators", "skgd.optim.finish.Finish")
    assert not forbidden("objective", "numpy")


def test_the_map_names_every_folder():
    for folder in FOLDERS:
        assert f"- `{folder}`:" in skgd.__doc__
