"""Runs of the program that are looked at closely: what a person would complain about, counted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitome.cli import main

__all__ = ["Tally", "Trial", "attempt", "seeds", "snapshot"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run of the program did."""

    code: int
    out: str
    err: str
    crash: str  # the traceback of an exception that came through, else empty
    changed: tuple[str, ...]  # files that came, went or changed

    def faults(self, *, names: str = "", may_change: bool = False) -> list[str]:
        """What a person would complain about; ``names`` is what a message must name where the
        program refuses.
        """
        found = [f"exit code {self.code}"] * (self.code not in (0, 1, 2))
        found += [self.crash] * bool(self.crash)
        found += ["a traceback on stderr"] * ("Traceback (most recent call last)" in self.err)
        if self.code == 2:
            found += ["no message"] * (not self.err.strip())
            found += [f"{len(self.err)} characters of message"] * (len(self.err) > 4000)
            found += [f"the message does not name {names}: {self.err[:300]}"] * (
                names not in self.err
            )
            found += [f"left behind: {', '.join(self.changed)}"] * bool(self.changed)
        found += ["a raw control character"] * any(
            ord(char) < 32 and char not in "\n\t" for char in self.out + self.err
        )
        if not may_change and self.code != 2 and self.changed:
            found.append(f"changed: {', '.join(self.changed)}")
        return found


@dataclass
class Tally:
    """Trials of one kind, and what went wrong in them."""

    kind: str
    tried: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, what: str, trial: Trial, **expected: Any) -> None:
        """Count one trial."""
        self.tried += 1
        self.refused += trial.code != 0
        self.look(what, trial, **expected)

    def look(self, what: str, trial: Trial, **expected: Any) -> None:
        """Look at one more run of a trial that was counted."""
        self.faults += [f"{what}: {fault}" for fault in trial.faults(**expected)]

    def report(self) -> None:
        """Fail with the first faults; else note the numbers where the page of the docs takes them
        from.
        """
        assert not self.faults, f"{len(self.faults)} faults in {self.tried} trials:\n" + "\n".join(
            self.faults[:8]
        )
        assert self.tried
        if place := os.environ.get("CIRCUITOME_TORTURE"):
            line = {
                "kind": self.kind,
                "tried": self.tried,
                "refused": self.refused,
                "survived": self.tried,
            }
            with Path(place).open("a") as file:
                file.write(json.dumps(line) + "\n")


def snapshot(folder: Path) -> dict[str, str]:
    """Every path below a folder with a digest of its content; links as what they point to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
            )
    return found


def attempt(*arguments: str | Path, watch: Path | None = None) -> Trial:
    """Run the program in this process; ``watch`` is a folder in which nothing may be left."""
    before = snapshot(watch) if watch else {}
    out, err, code, crash = io.StringIO(), io.StringIO(), 0, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            crash = "".join(traceback.format_exc().splitlines(keepends=True)[-8:])
    after = snapshot(watch) if watch else {}
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    return Trial(code, out.getvalue(), err.getvalue(), crash, tuple(changed))


def seeds(number: int, start: int = 0) -> Iterator[random.Random]:
    """So many generators, each from its own seed, so that one trial can be made again."""
    for seed in range(start, start + number):
        yield random.Random(seed)
