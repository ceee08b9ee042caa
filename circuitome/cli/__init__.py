"""The command line: a command parses, calls the library, prints.

Data goes to stdout, messages and progress to stderr. Exit codes: 0 fine, 1 a check failed, 2 wrong
use or bad input.
"""

from __future__ import annotations

from circuitome.cli.app import app, main

__all__ = ["app", "main"]
