"""README.md is true: its blocks print what it shows, tables and pictures are those of their commands."""

import importlib.util
import re

import pytest

import gradc
from gradc.ir.table import OPERATIONS

from .accuracy.programs import COMPOUNDS, of_operation
from .readme import PICTURES, README, ROOT, agree, blocks, machine_table, printed, speed_table, table_of, tables

PAGE = README.read_text("utf-8")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory where the commands may write."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def cells(head):
    """The rows of the table with that head."""
    found = [table[1:] for table in tables(PAGE) if table[0] == head]
    assert len(found) == 1
    return found[0]


def test_every_block_prints_what_is_shown_and_the_pictures_are_those_in_docs(elsewhere):
    shown = 0
    for block, text in printed(PAGE):
        assert agree(text, block.text), f"README.md, line {block.line}, prints\n{text}"
        shown += 1
    assert shown >= 10
    for picture in PICTURES:
        assert (elsewhere / picture).read_text("utf-8") == (ROOT / picture).read_text("utf-8")


def test_a_wrong_output_would_be_seen():
    assert agree("x 0.30000000000000004\n", "x 0.3\n")
    assert not agree("x 0.31\n", "x 0.3\n")
    assert not agree("x 0.3\n", "y 0.3\n")
    page = "```python\nprint(1 + 1)\n```\n\n<!-- output -->\n```text\n3\n```\n"
    assert [(block.text, text) for block, text in printed(page)] == [("3\n", "2\n")]


def test_a_block_that_prints_more_than_is_shown_is_seen():
    page = "```python\nprint(1)\n```\n\n```python\nprint(2)\n```\n"
    with pytest.raises(AssertionError, match="shows nothing of what is printed above line 6: 1"):
        list(printed(page))


def test_the_first_block_is_the_two_commands():
    assert blocks(PAGE)[0].text == (
        "pip install . && gradc \"(x + y) * z\" --at x=-2,y=5,z=-4\npip install '.[test]' && pytest\n"
    )


@pytest.mark.parametrize("row", cells(["formula", "at", "gradient"]), ids=lambda row: row[0])
def test_the_gradients_at_kinks_are_those_of_the_table(row):
    formula, at, gradient = row
    found = gradc.compile(formula.strip("`"), jit=False).grad(*map(float, at.split(",")))
    found = found if isinstance(found, tuple) else (found,)
    assert found == pytest.approx([float(g) for g in gradient.split(",")], abs=1e-6)


def test_the_members_of_a_function_are_there():
    named = re.findall(r"`f\.(\w+)`", "".join(row[0] for row in cells(["", ""])))
    assert {"grad", "jit", "save"} < set(named)
    function = gradc.compile("x * y", jit=False)
    assert [name for name in named if not hasattr(function, name)] == []


@pytest.mark.parametrize("row", cells(["", "for example"]), ids=lambda row: row[0])
def test_the_formulas_of_the_table_compile(row):
    shapes = {"A": "m n", "a": "n", "b": "m", "x": "n"}
    for formula in re.findall(r"`([^`]+)`", row[1]):
        is_array = any(mark in formula for mark in ("[", "A", "axis", "a * x"))
        names = {
            name: shapes.get(name, "")
            for name in re.findall(r"\b[A-Za-z]\b(?![(])", formula)
            if name not in ("e", "i", "n", "q", "f")
        }
        gradc.compile(formula, args=names if is_array else None)


def test_the_accuracy_table_names_formulas_that_are_measured_in_their_order():
    named = [line.split(" | ")[0][3:-1] for line in table_of(PAGE, "accuracy").splitlines()[2:]]
    measured = [program.formula for name in OPERATIONS if (program := of_operation(name)) is not None]
    measured += [program.formula for program in COMPOUNDS]
    assert len(named) > 60
    assert named == [formula for formula in measured if formula in named]  # what is exact has no row


def test_the_speed_table_is_that_of_the_benchmark():
    assert table_of(PAGE, "speed") == speed_table()
    assert table_of(PAGE, "machine") == machine_table()
    assert table_of(PAGE, "speed").count("\n") >= 8


def test_the_commands_that_are_named_exist():
    named = set(re.findall(r"python -m (tests\.\w+)", PAGE + (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert {"tests.accuracy", "tests.benchmarks"} <= named
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []
