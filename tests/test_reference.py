"""The operation reference under docs/ says what the table says."""

from pathlib import Path

from gradc.compiler.reference import OF_A_FUNCTION, OF_GRADC, derivatives, page
from gradc.ir.table import OPERATIONS, REDUCTIONS

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
DERIVATIVES = PAGE.with_name("derivatives.md")


def test_the_page_is_as_fresh_as_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "write it again: python -m gradc.compiler.reference > docs/operations.md"
    )


def test_every_operation_and_reduction_has_its_row() -> None:
    rows = {line.split("`")[1] for line in page().splitlines() if line.startswith("| `")}
    assert rows == set(OPERATIONS) | set(REDUCTIONS)


def test_a_row_shows_the_rule_the_kink_and_the_edges() -> None:
    (row,) = [line for line in page().splitlines() if line.startswith("| `relu`")]
    assert "∂x: `1.0` *if* `x > 0.0`" in row
    assert "relu'(0) = 0" in row
    (row,) = [line for line in page().splitlines() if line.startswith("| `sqrt`")]
    assert "∂x: `0.5 / f`" in row
    assert "(0): f = 0, ∂x = inf" in row


def test_the_page_of_derivatives_is_as_fresh_as_the_docstrings() -> None:
    assert DERIVATIVES.read_text(encoding="utf-8") == derivatives(), (
        "write it again: python -m gradc.compiler.reference derivatives > docs/derivatives.md"
    )


def test_every_derivative_has_an_example() -> None:
    entries = derivatives().split("\n### ")[1:]
    assert len(entries) == len(OF_A_FUNCTION) + len(OF_GRADC)
    assert [entry.splitlines()[0] for entry in entries if "```python\n>>> " not in entry] == []
