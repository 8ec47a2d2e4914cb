"""`python -m gradc`: the command line, for where the `gradc` script is not on the path."""

from gradc.compiler.cli import main

raise SystemExit(main())
