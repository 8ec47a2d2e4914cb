"""From graph to running code: the loop program, its printing as Python, loading and caching.

This layer takes a graph of `gradc.ir` and gives readable text and callable functions. It knows
nothing of front ends or of the chain rule.
"""
