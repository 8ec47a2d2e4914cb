"""C by hand: compiles a C file beside the cases with the system's compiler and loads it through ctypes.

The library is made anew in a temporary folder for every run; nothing is kept.
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = {"-O3": (), "-O3 -ffast-math": ("-ffast-math",)}


def compiler() -> str | None:
    """The C compiler of the system, or None."""
    return shutil.which("gcc") or shutil.which("cc")


@functools.cache
def library(source: Path, *flags: str) -> ctypes.CDLL:
    """The compiled file."""
    command = compiler()
    assert command is not None
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    target = Path(folder.name) / f"{source.stem}.so"
    subprocess.run(
        [command, "-O3", "-march=native", *flags, "-fPIC", "-shared", "-o", target, source, "-lm"], check=True
    )
    loaded = ctypes.CDLL(str(target))
    loaded.folder = folder  # lives as long as the library
    return loaded


def pointer(array: np.ndarray) -> Any:
    """To the data of a contiguous array of float64, as C takes it."""
    assert array.flags.c_contiguous and array.dtype == np.float64
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
