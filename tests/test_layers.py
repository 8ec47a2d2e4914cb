"""The layers of the package, held by reading the import statements of every module.

Imports run one way, compiler to codegen to ir; each layer has its own short list of third parties; SymPy is
known to its front end only; and nobody imports a folder by its bare name, which works by accident in the
project's root and nowhere else. Nothing is imported here, so an import inside a function counts too.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

import gradc

PACKAGE = Path(gradc.__file__).parent
LAYERS = ("ir", "codegen", "compiler")  # each may import those before it
NUMERICAL = {"numpy", "scipy"}
CODEGEN = NUMERICAL | {"llvmlite", "numba", "platformdirs"}
SYMPY_FRONT_END = "compiler/from_sympy"
INTERPRETER = "ir/interpret"
MODULES = sorted(
    (Path(folder) / name).relative_to(PACKAGE).as_posix()
    for folder, _, names in os.walk(PACKAGE, followlinks=True)  # links: an editable install has them
    for name in names
    if name.endswith(".py")
)


def declared() -> set[str]:
    """The import names of the distribution's own dependencies, without those of the extras."""
    lines = [line for line in requires("gradc") or [] if "extra ==" not in line]
    return {re.split(r"[^\w-]", line, maxsplit=1)[0].replace("-", "_") for line in lines}


def allowed_third_parties(module: str) -> set[str]:
    """The third-party packages that `module`, a path inside the package, may import."""
    if module.startswith("ir/"):
        return NUMERICAL if module.startswith(INTERPRETER) else set()
    if module.startswith("codegen/"):
        return CODEGEN
    if module.startswith("compiler/"):
        return declared() if module.startswith(SYMPY_FRONT_END) else declared() - {"sympy"}
    return set()


def imported_names(source: str, module: str) -> Iterator[str]:
    """Every module that an import statement in `source` may reach, by its absolute dotted name."""
    package = ("gradc", *module.split("/")[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *([node.module] if node.module else [])))
            # `from gradc import ir` reaches gradc.ir, so the names count; elsewhere they are only longer.
            yield from (f"{start}.{alias.name}" for alias in node.names)


def faults(source: str, module: str) -> list[str]:
    """What is wrong with the imports of `source`, were it the text of `module`."""
    layer, inside, _ = module.partition("/")
    layer = layer if inside else ""
    found = []
    for name in imported_names(source, module):
        top, *rest = name.split(".")
        if top == "gradc":
            reached = rest[0] if rest else ""
            if reached in LAYERS and layer in LAYERS and LAYERS.index(reached) > LAYERS.index(layer):
                found.append(f"{module} imports upwards: {name}")
            elif layer in LAYERS and reached not in LAYERS:
                found.append(f"{module} imports the public package, which imports it: {name}")
        elif top in LAYERS:
            found.append(f"{module} imports a folder by its bare name: {name}")
        elif top not in sys.stdlib_module_names and top not in allowed_third_parties(module):
            found.append(f"{module} imports a third party that its layer has no use for: {name}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_to_their_layer(module: str) -> None:
    assert faults((PACKAGE / module).read_text(encoding="utf-8"), module) == []


def test_every_layer_is_looked_at() -> None:
    assert {module.split("/")[0] for module in MODULES if "/" in module} >= set(LAYERS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ir/graph.py", "import gradc.codegen.printer"),
        ("ir/graph.py", "from gradc import compiler"),
        ("ir/graph.py", "from ..codegen import printer"),
        ("ir/graph.py", "def late():\n    import numpy"),
        ("codegen/printer.py", "from gradc.compiler.adjoint import derive"),
        ("codegen/printer.py", "import sympy"),
        ("codegen/printer.py", "from gradc import compile"),
        ("compiler/api.py", "from sympy.core import Expr"),
        ("compiler/api.py", "import pandas"),
        ("compiler/api.py", "import ir"),
        ("__init__.py", "from compiler.api import compile"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(faults(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ir/interpreter.py", "import numpy as np"),
        ("codegen/printer.py", "from gradc.ir.graph import Graph\nfrom .names import identifier"),
        ("compiler/from_sympy.py", "import sympy"),
        ("compiler/api.py", "from gradc.codegen.load import load\nimport rich.table\nimport ast"),
        ("__init__.py", "from gradc.compiler.api import compile"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert faults(source, module) == []
