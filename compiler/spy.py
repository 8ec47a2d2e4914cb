"""The picture of a sparse matrix's pattern: a square for each entry, or for each tile of a large matrix, as SVG.

A tile is the darker the larger a part of it is filled. The picture says the shape and the number of entries. Where the
entries stand is given; colours follow the reader's light or dark scheme.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gradc.ir.errors import FormulaError

MOST = 160              # tiles along a side
SIDE = 480.0            # pixels of the longer side
STYLE = """\
.gradc .panel{fill:#ffffff;stroke:#d0d7de}
.gradc .entry{fill:#24292f}
.gradc text{font-family:Helvetica,Arial,"DejaVu Sans",sans-serif;font-size:13px;fill:#57606a}
@media (prefers-color-scheme:dark){
.gradc .panel{fill:#0d1117;stroke:#30363d}
.gradc .entry{fill:#e6edf3}
.gradc text{fill:#8b949e}
}
"""


class Spy:
    """A drawn pattern: `str` gives the SVG, Jupyter shows it, and `save` writes it to a file that ends in .svg."""

    def __init__(self, matrix: Any) -> None:
        self.shape, self.entries = matrix.shape, int(matrix.nnz)
        self._row, self._column = matrix.row, matrix.col

    def __str__(self) -> str:
        rows, columns = self.shape
        coarse = max(1, -(-max(rows, columns) // MOST))         # rows and columns of a tile
        down, across = -(-rows // coarse), -(-columns // coarse)
        tiles, counts = np.unique(self._row // coarse * max(across, 1) + self._column // coarse, return_counts=True)
        size = SIDE / max(down, across, 1)
        width, height = size * across, size * down
        squares = []
        for tile, count in zip(tiles.tolist(), counts.tolist(), strict=True):
            i, j = divmod(tile, across)
            filled = count / (min(coarse, rows - i * coarse) * min(coarse, columns - j * coarse))
            shade = "" if filled == 1.0 else f' fill-opacity="{0.25 + 0.75 * filled:.2f}"'
            squares.append(f'<rect class="entry" x="{j * size:.2f}" y="{i * size:.2f}" width="{size:.2f}" '
                           f'height="{size:.2f}"{shade}/>')
        label = f"{rows} × {columns}, {self.entries} {'entry' if self.entries == 1 else 'entries'}"
        return (f'<svg xmlns="http://www.w3.org/2000/svg" class="gradc" width="{max(width, 240.0) + 2:.0f}" '
                f'height="{height + 26:.0f}" role="img" aria-label="{label}"><style>{STYLE}</style>'
                f'<g transform="translate(1 1)"><rect class="panel" width="{width:.2f}" height="{height:.2f}"/>'
                f'{"".join(squares)}<text x="0" y="{height + 18:.2f}">{label}</text></g></svg>\n')

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> None:
        """Write the SVG; FormulaError for another ending."""
        if Path(path).suffix.lower() != ".svg":
            raise FormulaError(f"a pattern cannot be saved as {Path(path).suffix or 'a file without an ending'}: end "
                               "the path in .svg")
        Path(path).write_text(str(self), encoding="utf-8")
