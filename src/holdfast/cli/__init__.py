"""The command line: arguments in, text or JSON out.

Rule: imports are lazy, so that `--help` answers at once, and nothing is decided
here. Exit codes: 0 done, 1 a negative answer, 2 bad input.
"""

from holdfast.cli.main import main

__all__ = ["main"]
