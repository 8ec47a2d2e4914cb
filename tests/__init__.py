"""The test suite; run `pytest` in the project's root against an installed gradc."""
