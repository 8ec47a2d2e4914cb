"""The tables of a run: ratios in one table, times in another; as plain text, and as Markdown for README.md."""

from collections.abc import Sequence

from .results import Results, Row, Section

COLUMNS = (
    "", "value", "value+grad", "/ hand", "with out", "/ hand", "grad/value", "drift", "first s", "cold s", "warm s",
)  # fmt: skip
ABSENT = "-"


def microseconds(seconds: float | None) -> str:
    """Three significant digits, in microseconds."""
    if seconds is None:
        return ABSENT
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float | None, base: float | None = 1.0) -> str:
    """Two digits after the point below ten, one below a hundred, none from there on."""
    if value is None or base is None:
        return ABSENT
    quotient = value / base
    return f"{quotient:.2f}" if quotient < 9.995 else f"{quotient:.1f}" if quotient < 99.95 else f"{quotient:,.0f}"


def percent(value: float | None) -> str:
    """Whole ones."""
    return ABSENT if value is None else f"{value:.0%}"


def seconds(value: float | None) -> str:
    """Two decimals."""
    return ABSENT if value is None else f"{value:.2f}"


def ratio_rows(results: Results, base: str = "gradc") -> list[list[str]]:
    """The table of ratios, its head first: a row a case, a column a tool; above 1, `base` is the faster."""
    tools = [tool for tool in results.tools if tool != base]
    rows = [["", f"{base}, µs", "grad/value", "drift", *tools]]
    for section in results.sections:
        own = section.row(base) or Row(base)
        rows.append(
            [
                section.name,
                microseconds(own.best),
                ratio(own.best, own.value),
                percent(own.drift),
                *(ratio(section.ratio(tool, base)) for tool in tools),
            ]
        )
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the head first, as a Markdown table."""
    head, *body = rows
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(rows: Sequence[Sequence[str]]) -> str:
    """The rows in columns; one with a single cell is a heading."""
    full = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]).rstrip()

    return "\n".join(line(row) if len(row) > 1 else "".join(row) for row in rows) + "\n"


def time_rows(results: Results, hand: str) -> list[list[str]]:
    """The table of times: a section a case, a row a tool."""
    rows = [list(COLUMNS)]
    for section in results.sections:
        rows += [[""], [section.name], *([f"  {row[0]}", *row[1:]] for row in _times(section, hand))]
    return rows


def _times(section: Section, hand: str) -> list[list[str]]:
    base = section.row(hand) or Row(hand)
    return [
        [
            f"{row.tool}, {row.form}" if row.form else row.tool,
            microseconds(row.value),
            microseconds(row.gradient),
            ratio(row.gradient, base.gradient),
            microseconds(row.into),
            ratio(row.into, base.into),
            ratio(row.gradient, row.value),
            percent(row.drift),
            seconds(row.first),
            seconds(row.cold),
            seconds(row.warm),
        ]
        for row in section.rows
        if row.gradient is not None
    ]


def text(results: Results, hand: str) -> str:
    """All that a run prints: ratios, times, and notes."""
    return "\n".join(
        [
            results.title(),
            "",
            "Time of value with derivative over gradc's (above 1: gradc is faster). Least process CPU time, one core,",
            "one thread; every tool in its fastest form, with fresh arrays or the caller's. Drift: the two halves",
            "of the run beside each other.",
            "",
            plain(ratio_rows(results)),
            "Microseconds a call. Seconds of CPU time until the first derivative: first, in the process of this run;",
            "cold and warm, in processes of their own with empty caches and with what the first one left.",
            "",
            plain(time_rows(results, hand)),
            *results.notes,
            "",
        ]
    )
