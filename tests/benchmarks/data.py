"""The data of ADBench (github.com/microsoft/ADBench, MIT licence): where its files are, and how they are read.

The folder is the one that GRADC_BENCHMARK_DATA names, or `../shared/data` beside the repository. Without it the cases
make data of the same sizes and distributions, so that nothing depends on the files but the comparison with published
numbers. What is read: F. Srajer, Z. Kukelova, A. Fitzgibbon, "A benchmark of selected algorithmic differentiation
tools" (2018).
"""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def adbench(*parts: str) -> Path | None:
    """The path of a file or folder of ADBench's data, or None where it is not there."""
    folder = os.environ.get("GRADC_BENCHMARK_DATA") or ROOT.parent / "shared" / "data"
    path = Path(folder, "adbench", *parts)
    return path if path.exists() else None
