"""What an example is: a file of one screen that uses the public names only and checks its result.

.ci/run runs them, each in a process of its own with warnings as errors.
"""

import ast
from pathlib import Path

import pytest

import gradc

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
OTHERS = {"rich", "numba", "numpy", "scipy", "sklearn", "sympy", "cyipopt", "itertools", "math", "pathlib", "sys", "tempfile"}

each = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@each
def test_it_has_20_to_80_lines(path):
    assert 20 <= len(path.read_text("utf-8").splitlines()) <= 80


@each
def test_it_takes_from_gradc_the_public_names_only(path):
    tree = ast.parse(path.read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_gradc = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "gradc"}
    assert "gradc" in modules
    assert {module.partition(".")[0] for module in modules - {"gradc"}} <= OTHERS
    assert of_gradc <= set(gradc.__all__)
    assert [node.attr for node in attributes if node.attr.startswith("_")] == []


@each
def test_it_says_what_it_shows_and_ends_by_checking_it(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree.body[-1]))
