"""`import gradc` costs little: the heavy libraries are loaded when something first needs them."""

import subprocess
import sys

import pytest

HEAVY = ("sympy", "scipy", "numba", "llvmlite", "rich", "graphlay", "platformdirs")


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_gradc_loads_no_heavy_library() -> None:
    loaded = loaded_after("import gradc")
    assert "gradc" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["platformdirs", "graphlay"])
def test_a_loaded_library_would_be_seen(name: str) -> None:
    assert name in loaded_after(f"import gradc, {name}")
