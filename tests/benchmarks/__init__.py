"""gradc beside its peers: one table, measured in one run by `python -m tests.benchmarks`, never by pytest."""
