"""How many units in the last place a value and its first two derivatives are off, for every operation.

`truth` gives values in ball arithmetic, `points` where to look, `sweep` derives an operation by its own
rule, `measure` compares; `python -m tests.accuracy` prints the table. Finite differences play no part.
"""
