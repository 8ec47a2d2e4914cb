"""The operation reference under docs/ says what the table says."""

from pathlib import Path

from gradc.compiler.reference import page
from gradc.ir.table import OPERATIONS, REDUCTIONS

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


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
