"""The table: a rich one in a terminal, plain text with the same cells elsewhere."""

import sys
from collections.abc import Sequence

COLUMNS = (
    "", "value", "value+grad", "/ hand", "with out", "/ hand", "grad/value", "cold s", "warm s",
)  # fmt: skip
ABSENT = "-"

Section = tuple[str, list[list[str]]]


def microseconds(seconds: float | None) -> str:
    """Three significant digits, in microseconds."""
    if seconds is None:
        return ABSENT
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float | None, base: float | None) -> str:
    """Two decimals below ten, none from there on."""
    if value is None or base is None:
        return ABSENT
    return f"{value / base:.2f}" if value < 10 * base else f"{value / base:,.0f}"


def seconds(value: float | None) -> str:
    """Two decimals."""
    return ABSENT if value is None else f"{value:.2f}"


def print_table(title: str, sections: Sequence[Section], notes: Sequence[str]) -> None:
    """Prints one table: a section a case, a row a tool, then the notes."""
    if sys.stdout.isatty():
        _print_rich(title, sections)
    else:
        _print_plain(title, sections)
    for note in notes:
        print(note)


def _print_rich(title: str, sections: Sequence[Section]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for at, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if at else "left", no_wrap=True)
    for name, rows in sections:
        table.add_row(f"[bold]{name}[/bold]")
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:], style="green" if row[0] == "gradc" else None)
        table.add_section()
    Console().print(table)


def _print_plain(title: str, sections: Sequence[Section]) -> None:
    rows = [row for _, section in sections for row in section]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    widths[0] = max(widths[0], *(len(name) for name, _ in sections)) + 2

    def line(cells: Sequence[str]) -> str:
        return "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]).rstrip()

    print(title, "", line(COLUMNS), sep="\n")
    for name, section in sections:
        print("", name, *(line([f"  {row[0]}", *row[1:]]) for row in section), sep="\n")
    print()
