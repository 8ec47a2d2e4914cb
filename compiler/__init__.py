"""Front ends, passes, the adjoint and the public `Function`.

This layer turns what a user writes (a formula string, a SymPy expression) into a graph of
`gradc.ir`, derives its adjoint, and hands graphs to `gradc.codegen`.
"""
