"""The Op of PyTensor, in the environment of its own that its version of Numba asks for.

GRADC_PYTENSOR names the Python of an environment with PyTensor (`python -m venv there; there/bin/pip install pytensor`);
without it, and where PyTensor is not beside gradc, the tests that run it are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_allclose

import gradc

PYTHON = os.environ.get("GRADC_PYTENSOR") or (sys.executable if importlib.util.find_spec("pytensor") else "")
needed = pytest.mark.skipif(not PYTHON, reason="PyTensor is not installed: GRADC_PYTENSOR names a Python that has it")


def compiled(*args: Any, **options: Any) -> Any:
    return gradc.compile(*args, jit=False, **options)


LOSS = compiled("sum((y - k * sin(x))**2) * w", {"x": "n", "y": "n", "k": "", "w": "int"})
SEVERAL = compiled("x * sin(x), sum(x), w", {"x": "n", "w": "int"})
SINGLE = compiled("sum(x * x)", {"x": "float32 n"})


def ran(directory: Path, script: str) -> str:
    """What a script prints that runs beside the files, where gradc cannot be imported."""
    code = "import sys; sys.modules['gradc'] = None\nimport numpy as np, pytensor, pytensor.tensor as pt\n" + script
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False, cwd=directory,
                          env={**os.environ, "PYTENSOR_FLAGS": "cxx=,mode=FAST_COMPILE", "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout


@needed
def test_value_gradient_and_hessian_are_those_of_the_function(tmp_path: Path) -> None:
    LOSS.pytensor(tmp_path / "loss.py")
    x, y = [0.1, 0.2], [1.0, 2.0]
    found = ran(tmp_path, f"""
from loss import op
x, y, k = pt.dvector(), pt.dvector(), pt.dscalar()
value = op(x, y, k, 2)
results = [value, *pytensor.grad(value, [x, k]), pytensor.gradient.hessian(value, x)]
print([np.asarray(r).tolist() for r in pytensor.function([x, y, k], results)({x}, {y}, 3.0)])
print(value.owner.op)
""")
    first, name = found.strip().splitlines()
    gradient, by_x = LOSS.grad(x, y, 3.0, 2), LOSS.by("x")
    wanted = [LOSS(x, y, 3.0, 2), gradient.x.tolist(), gradient.k, by_x.hessian(x, y, 3.0, 2).tolist()]
    for one, other in zip(json.loads(first), wanted, strict=True):
        assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    assert name == "loss"


@needed
def test_several_results_pass_the_checks_of_pytensor(tmp_path: Path) -> None:
    SEVERAL.pytensor(tmp_path / "several.py")
    SINGLE.pytensor(tmp_path / "single.py")
    found = ran(tmp_path, """
from several import op
import single
rng = np.random.default_rng(0)
x = np.array([0.1, 0.2])
pytensor.gradient.verify_grad(lambda x: op(x, 3)[0], [x], rng=rng)
pytensor.gradient.verify_grad(lambda x: op(x, 3)[0].sum() * op(x, 2)[1], [x], rng=rng)
v = pt.dvector()
print(pytensor.function([v], [*op(v, 3), pytensor.grad(op(v, 3)[1], v)])(x))
f = pt.fvector()
print(pytensor.function([f], pytensor.grad(single.op(f), f))(np.ones(2, np.float32)).dtype)
""")
    assert "array(3)" in found and "array([1., 1.])" in found and "float32" in found


@needed
def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    LOSS.pytensor(tmp_path / "loss.py")
    found = ran(tmp_path, """
from loss import op
x = pt.dvector()
for args in (x, x, 1.0), (x, pt.dmatrix(), 1.0, 2), (x, x, 1.0, pt.dscalar()):
    try:
        op(*args)
    except TypeError as error:
        print(error)
try:
    third = op(x, x, 1.0, 2)
    for _ in range(3):
        third = pytensor.grad(third, x).sum()
except NotImplementedError as error:
    print(error)
""")
    lines = found.strip().splitlines()
    assert lines[0] == "loss takes 4 arguments, not 3"
    assert lines[1].startswith("argument 2 of loss is a float64 of 1 dimensions, and Matrix(float64")
    assert lines[2].startswith("argument 4 of loss is a int64 of 0 dimensions, and ")
    assert lines[3].endswith("has no further derivatives here: gradc writes first and second ones")


def test_the_file_runs_without_gradc_and_checks_its_values(tmp_path: Path) -> None:
    LOSS.pytensor(tmp_path / "loss.py")
    text = (tmp_path / "loss.py").read_text("utf-8")
    assert "import gradc" not in text and "type: ignore" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    start = text.index("def operation")
    done = subprocess.run([sys.executable, "-c", text[:start].replace("from __future__ import annotations", "") +
                           text[text.index("def _example"):]], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok"


def test_functions_that_give_no_op_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(gradc.ArgumentError, match="an Op is made of a function, and this is its grad"):
        LOSS.grad.pytensor(tmp_path / "grad.py")
    with pytest.raises(gradc.DerivativeError, match="an Op needs a real argument and a real result"):
        compiled("k + 1", {"k": "int"}).pytensor(tmp_path / "whole.py")
    monkeypatch.setitem(sys.modules, "pytensor", None)
    with pytest.raises(gradc.UnsupportedError, match=r"f.pytensor\(\) needs pytensor, .*: give a path, and import"):
        LOSS.pytensor()
