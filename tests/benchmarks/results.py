"""What a run found, as data: times by case and tool, on which machine, with which versions; to and from JSON."""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Row:
    """One tool in one case, in seconds; None for what the tool has not.

    form      which of the tool's forms was the fastest
    first     CPU time until the first derivative, in the process that had measured the cases before
    value     the value alone; gradient: the value and the derivative; into: the same into the caller's array
    drift     of the gradient's time, relative
    cold      to the first gradient with empty caches, warm: with what the first process left; imports not counted
    """

    tool: str
    form: str = ""
    value: float | None = None
    gradient: float | None = None
    into: float | None = None
    first: float | None = None
    drift: float | None = None
    cold: float | None = None
    warm: float | None = None

    @property
    def best(self) -> float | None:
        """Value and derivative, in fresh arrays or the caller's, whichever is faster."""
        return self.gradient if self.into is None or self.gradient is None else min(self.gradient, self.into)


@dataclass
class Section:
    """The tools in one case."""

    problem: str
    size: str
    rows: list[Row]

    @property
    def name(self) -> str:
        """The case's name."""
        return f"{self.problem} {self.size}".strip()

    def row(self, tool: str) -> Row | None:
        """The row of that tool, if it was measured."""
        return next((row for row in self.rows if row.tool == tool and row.gradient is not None), None)

    def ratio(self, tool: str, base: str = "gradc") -> float | None:
        """The tool's time for value and derivative over that of `base`."""
        row, own = self.row(tool), self.row(base)
        if row is None or own is None or row.best is None or own.best is None:
            return None
        return row.best / own.best


@dataclass
class Results:
    """A whole run."""

    machine: dict[str, str]
    versions: dict[str, str]
    order: list[str]
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def tools(self) -> list[str]:
        """Those that were measured somewhere, in their order."""
        measured = {row.tool for section in self.sections for row in section.rows if row.gradient is not None}
        return [tool for tool in self.order if tool in measured]

    def title(self) -> str:
        """The machine and the versions."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.machine['processor']}, {self.machine['system']}\n{versions}"

    def write(self, path: Path) -> None:
        """As JSON, seconds with five digits."""
        data = dataclasses.asdict(self)
        for section in data["sections"]:
            section["rows"] = [
                {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in row.items()}
                for row in section["rows"]
                if row["gradient"] is not None
            ]
        path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What `write` wrote."""
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        sections = [
            Section(section["problem"], section["size"], [Row(**row) for row in section["rows"]])
            for section in data["sections"]
        ]
        return cls(data["machine"], data["versions"], data["order"], sections, data["notes"])


def started(tools: list[str], libraries: Iterable[str]) -> Results:
    """A run of these tools that begins on this machine, with the versions of these libraries."""
    names = sorted({library.partition(".")[0] for library in libraries} | {"numpy", "llvmlite"})
    versions = {"Python": platform.python_version(), **{name: _version(name) for name in names}}
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"
    return Results({"processor": processor(), "system": system}, versions, tools)


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "(from its source folder)"


def processor() -> str:
    """The processor's name as the system gives it, and LLVM's name for it."""
    from llvmlite import binding

    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [line for line in information.read_text("utf-8").splitlines() if line.startswith("model name")]
        if models:
            name = models[0].partition(":")[2].strip()
    return f"{name} ({binding.get_host_cpu_name()})"
