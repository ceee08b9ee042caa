"""Processes that end at a chosen moment, as by `kill -9`, and what is left of them."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from circuitome.cli import main

__all__ = ["Ended", "Moment", "moments", "run_until", "torn"]

_FILES: Final = frozenset(
    {
        "os.rename",
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "shutil.rmtree",
    }
)
_NOBODY: Final = 65534
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_HEAVY: Final = [
    "tests.support.killing",
    "circuitome.extract",
    "circuitome.extract.annotate.pipeline",
    "circuitome.graphdb.export",
    "circuitome.graphdb.stores.embedded",
    "circuitome.graphdb.stores.neo4j",
    "circuitome.universality.destinations",
]

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([*_HEAVY, "circuitome.networks", "torchvision"])


@dataclass(frozen=True, slots=True)
class Moment:
    """When a process is killed: right before its so-manieth change of the file system, or after
    some seconds.
    """

    event: int = 0
    seconds: float = 0.0

    def earlier(self, share: float) -> Moment:
        """The same moment of a process that takes this share of the time."""
        return replace(self, seconds=self.seconds * share)


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that came to its end, or was brought to it."""

    killed: bool
    code: int
    said: str
    seconds: float
    events: int  # changes of the file system by Python; none counted where it was killed


def run_until(
    arguments: Sequence[str | Path],
    folder: Path,
    moment: Moment | None = None,
    *,
    largest: int | None = None,
    nobody: bool = False,
) -> Ended:
    """Run the program in ``folder`` in a process of its own that is killed at a moment; None: it
    comes to its end.

    ``largest`` (bytes) is where a file cannot grow further, as on a full disk; ``nobody`` takes the
    rights of root away.
    """
    with tempfile.TemporaryDirectory() as aside:
        said, events = Path(aside, "said"), Path(aside, "events")
        line = [str(argument) for argument in arguments]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("NEO4J_", "CIRCUITOME_"))
        }
        stop = moment.event if moment else 0
        process = _server.Process(
            target=_child,
            args=(line, str(folder), environment, str(said), str(events), stop, largest, nobody),
        )
        start = time.monotonic()
        process.start()
        process.join(moment.seconds if moment and moment.seconds else 240)
        if process.exitcode is None:
            process.kill()
            process.join()
        seconds = time.monotonic() - start
        code = process.exitcode
        assert code is not None
        counted = int(events.read_text() or 0) if events.exists() else 0
        text = said.read_text() if said.exists() else ""
        return Ended(code == -signal.SIGKILL, code, text, seconds, counted)


def _child(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    said: str,
    events: str,
    stop: int,
    largest: int | None,
    nobody: bool,
) -> None:
    os.environ.update(environment)
    os.environ["TMPDIR"] = str(Path(folder, "tmp"))
    tempfile.tempdir = None
    os.chdir(folder)
    log, note = os.open(said, os.O_WRONLY | os.O_CREAT), os.open(events, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    count = 0

    def listen(event: str, values: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _FILES or (
            event == "open" and isinstance(values[2], int) and values[2] & _WRITES
        ):
            count += 1
            if count == stop:
                os.kill(os.getpid(), signal.SIGKILL)

    if nobody and os.geteuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.addaudithook(listen)
    try:
        main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(note, str(count).encode())


def moments(whole: Ended, number: int, *, seed: int) -> list[Moment]:
    """So many random moments of an undisturbed run: by turns at a change of the file system and at
    any time.
    """
    rng = random.Random(seed)
    found = []
    for place in range(number):
        if place % 2 == 0 and whole.events >= 5:
            found.append(Moment(event=rng.randint(1, whole.events)))
        else:
            found.append(Moment(seconds=rng.uniform(0.02, whole.seconds)))
    return found


def torn(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    before: Callable[[], None],
    look: Callable[[], None],
    after: Callable[[], Any],
    number: int,
    seed: int,
) -> int:
    """Kill a command at random moments, and each time look what is there, run it again, and compare
    with an undisturbed run.

    ``folder`` is emptied and ``before`` makes what is there at first; ``look`` fails where
    something torn is taken for whole; ``after`` is what has to be equal. Files and folders that an
    undisturbed run does not leave are a failure, too. The number of runs that were really killed.
    """

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        before()

    def names() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*")}

    prepare()
    whole = run_until(arguments, folder)
    assert whole.code == 0, whole.said
    wanted, left = after(), names()
    prepare()  # the first run pays for what is cached: the second one says how long it takes
    whole = run_until(arguments, folder)
    assert (whole.code, after(), names()) == (0, wanted, left), whole.said
    killed, lasts = 0, whole.seconds  # on a busy machine the run that was timed may be a slow one
    for moment in moments(whole, number, seed=seed):
        prepare()
        ended = run_until(arguments, folder, moment.earlier(lasts / whole.seconds))
        assert ended.killed or ended.code == 0, (moment, ended.said)
        killed += ended.killed
        lasts = lasts if ended.killed else min(lasts, ended.seconds)
        look()
        again = run_until(arguments, folder)
        assert again.code == 0, (moment, again.said)
        assert after() == wanted, moment
        assert names() == left, (moment, names() ^ left)
    return killed
