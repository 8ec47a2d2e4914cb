"""A small generated module, as the printer would give it, and the means to load it in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradc
from gradc.codegen.load import Entry, Module

SOURCE = '''"""f = sum(lambda * x[i]**2 for i in range(n)) + jv(1/2, lambda) + expn(2, lambda)"""
from typing import NamedTuple

import numpy as np
from scipy.special import erfinv, expn as exponential_integral, jv


class Gradient(NamedTuple):
    x: np.ndarray
    arg_lambda: float


def square(v):
    return v * v


def value(x, lam):
    s = 0.0
    for i in range(x.shape[0]):
        s += lam * square(x[i])
    return s + jv(0.5, lam) + exponential_integral(2, lam) + erfinv(0.0)


def value_and_grad_into(x, lam, d_x):
    s = 0.0
    d_lam = 0.0
    for i in range(x.shape[0]):
        s += lam * square(x[i])
        d_lam += square(x[i])
        d_x[i] = 2.0 * x[i] * lam
    return s, d_lam


def value_and_grad(x, lam):
    d_x = np.empty(x.shape[0])
    s, d_lam = value_and_grad_into(x, lam, d_x)
    return s, Gradient(d_x, d_lam)
'''

SAMPLE = Module(
    SOURCE,
    helpers=("square",),
    entries=(
        Entry("value", ("float64[::1]", "float64")),
        Entry("value_and_grad_into", ("float64[::1]", "float64", "float64[::1]")),
        Entry("value_and_grad", ("float64[::1]", "float64")),
    ),
    results=(("Gradient", ("x", "lambda")),),
)

# What `run` executes first: the module is there as SAMPLE, and `report` prints values for the parent.
_PREAMBLE = """
import json, os, pickle, sys
import numpy as np
from gradc.codegen import cache, load as loading
from gradc.codegen.load import Entry, Module, load

SAMPLE = {sample!r}
x = np.arange(1.0, 5.0)

def report(**values):
    print(json.dumps(dict(values, events=cache.cache_events())))
"""


def start(body: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that runs `body` after the preamble, with more environment variables."""
    paths = [str(Path(gradc.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PREAMBLE.format(sample=SAMPLE) + body],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a started process and give what it reported."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    reported: dict[str, Any] = json.loads(output)
    return reported


def run(body: str, **environment: str) -> dict[str, Any]:
    """Run `body` in another process and give what it reported."""
    return finish(start(body, **environment))
