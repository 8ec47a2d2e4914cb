"""The intermediate representation: scalars with named axes.

The graph (`graph`), its dimensions and axes (`dims`), the operation table (`table` and the entries
beside it), the verifier, the text form and the interpreter that serves as the oracle. This layer
imports nothing but the standard library (and NumPy inside the interpreter); it knows nothing of
front ends, derivatives as programs, loops or Numba.
"""
