"""The textbook circuit (x + y) * z: its value, its gradient, how that comes about, and its picture."""

import sys
import tempfile
from pathlib import Path

import gradc

f = gradc.compile("q = x + y; f = q * z")

value, gradient = f.value_and_grad(x=-2, y=5, z=-4)
print(f"f = {value}, gradient {gradient}")

print(f.explain())                        # the chain rule in symbols
print(f.explain(x=-2, y=5, z=-4))        # the same table in numbers

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
picture = f.draw(x=-2, y=5, z=-4)        # green: forward values, red: gradients
picture.save(folder / "circuit.svg")
print(f"drawn to {folder / 'circuit.svg'}")

print(f.value_and_grad.source)           # the Python text behind it

assert value == -12.0
assert gradient == (-4.0, -4.0, 3.0)
table = f.explain(x=-2, y=5, z=-4)
assert [row.value for row in table.rows] == [-2.0, 5.0, -4.0, 3.0, -12.0]
assert [row.derivative for row in table.rows] == [-4.0, -4.0, 3.0, -4.0, 1.0]
assert f.explain()["x"].rule == "df/dx = df/dq · dq/dx = z"
