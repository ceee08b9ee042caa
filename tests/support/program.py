"""The program, run in this process as people run it: arguments in, exit code, stdout and stderr
out.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from circuitome.cli import main

__all__ = ["Run", "run"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that `--json` printed."""
        return json.loads(self.out)


def run(*arguments: str | Path) -> Run:
    """Run the program with these arguments until it exits."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        main([str(argument) for argument in arguments])
    return Run(int(stop.value.code or 0), out.getvalue(), err.getvalue())
