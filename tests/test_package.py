"""What an installed gradc carries besides code: version, type marker, script, and examples that are true."""

import doctest
import importlib
import pkgutil
from importlib.metadata import entry_points, version
from importlib.resources import files
from types import ModuleType

import pytest

import gradc

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(gradc.__path__, "gradc.")
    if not found.name.endswith("__main__")
)


def test_the_version_is_the_distributions() -> None:
    assert gradc.__version__ == version("gradc")


def test_the_type_marker_is_installed() -> None:
    assert files("gradc").joinpath("py.typed").is_file()


def test_the_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="gradc")
    assert script.value == "gradc.compiler.cli:main"


def examples_of(module: ModuleType) -> list[doctest.DocTest]:
    return [found for found in doctest.DocTestFinder().find(module) if found.examples]


@pytest.mark.parametrize("name", ["gradc", *MODULES])
def test_docstring_examples_print_what_they_say(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    for example in examples_of(importlib.import_module(name)):
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)
