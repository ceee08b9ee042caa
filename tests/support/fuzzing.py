"""Damage for the tests of bad input: broken files made from whole ones, and a run of the program that is looked at closely."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import struct
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from circuitome.cli import main

__all__ = [
    "BUNDLE_DAMAGE",
    "BYTE_DAMAGE",
    "SAFETENSORS_DAMAGE",
    "Tally",
    "Trial",
    "attempt",
    "damaged",
    "random_arguments",
    "random_cypher",
    "random_motif",
    "seeds",
    "snapshot",
]

Damage = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run of the program did."""

    code: int
    out: str
    err: str
    crash: str  # the traceback of an exception that came through, else empty
    changed: tuple[str, ...]  # files that came, went or changed

    def faults(self, *, names: str = "", may_change: bool = False) -> list[str]:
        """What a person would complain about; ``names`` is what a message must name where the program refuses."""
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
        """Fail with the first faults; else note the numbers where the page of the docs takes them from."""
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


def _truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_at_an_end(rng: random.Random, data: bytes) -> bytes:
    """Headers and footers are there: most of what can be wrong in a file."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 4])):
        place = rng.randrange(min(400, len(changed)))
        changed[place if rng.random() < 0.5 else -1 - place] = rng.randrange(256)
    return bytes(changed)


def _overwrite(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.randrange(1, 64)) + data[start + rng.randrange(64) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    start, size = rng.randrange(len(data)), rng.randrange(1, 512)
    return data[:start] + data[start : start + size] * rng.randrange(2, 5) + data[start + size :]


def _append(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 256))


def _noise(rng: random.Random, data: bytes) -> bytes:
    return rng.randbytes(rng.randrange(200))


def _zeros(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    size = rng.randrange(1, len(data) - start + 1)
    return data[:start] + bytes(size) + data[start + size :]


BYTE_DAMAGE: Final[Mapping[str, Damage]] = {
    "truncated": _truncate,
    "bits flipped": _flip,
    "bytes changed at an end": _flip_at_an_end,
    "overwritten": _overwrite,
    "repeated": _repeat,
    "appended": _append,
    "noise": _noise,
    "zeros": _zeros,
}
"""Ways to damage any file."""


def _headed(change: Callable[[random.Random, dict[str, Any]], Any]) -> Damage:
    """A damage of a safetensors file's header, the rest left as it is."""

    def damage(rng: random.Random, data: bytes) -> bytes:
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        text = change(rng, header)
        coded = (text if isinstance(text, str) else json.dumps(header)).encode()
        return struct.pack("<Q", len(coded)) + coded + data[8 + size :]

    return damage


def _tensor(rng: random.Random, header: dict[str, Any]) -> dict[str, Any]:
    return header[rng.choice([name for name in header if name != "__metadata__"])]


def _shape(rng: random.Random, header: dict[str, Any]) -> None:
    _tensor(rng, header)["shape"] = rng.choice(
        [
            [],
            [0],
            [-1],
            [1 << 62, 1 << 62],
            [1 << 40],
            ["x"],
            [1.5],
            None,
            [8] * 100,
            [2**70],
            [3, 3, 8, 3],
        ]
    )


def _dtype(rng: random.Random, header: dict[str, Any]) -> None:
    _tensor(rng, header)["dtype"] = rng.choice(
        ["F64", "F16", "BF16", "I8", "BOOL", "U64", "Q4", "", 7, None, "F8_E4M3"]
    )


def _offsets(rng: random.Random, header: dict[str, Any]) -> None:
    _tensor(rng, header)["data_offsets"] = rng.choice(
        [
            [0, 0],
            [0, 1 << 60],
            [-4, 4],
            [8, 4],
            [0],
            "all",
            None,
            [0.5, 4],
            [0, 4, 8],
            [1 << 70, 1 << 71],
        ]
    )


def _rename(rng: random.Random, header: dict[str, Any]) -> None:
    name = rng.choice([name for name in header if name != "__metadata__"])
    header[
        rng.choice(["", "x" * 10_000, "\u001b[31m", "head\u202e.weight", "0.weight", "'; DROP"])
    ] = header.pop(name)


def _drop(rng: random.Random, header: dict[str, Any]) -> None:
    del header[rng.choice(list(header))]


def _twice(rng: random.Random, header: dict[str, Any]) -> str:
    name = rng.choice([name for name in header if name != "__metadata__"])
    return json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"


def _odd_json(rng: random.Random, header: dict[str, Any]) -> str:
    return rng.choice(
        ["", "[]", "null", "7", "{", '{"a": 1}', "[" * 5000, '{"__metadata__": 3}', "NaN", "\u0000"]
    )


def _header_size(rng: random.Random, data: bytes) -> bytes:
    size = rng.choice(
        [0, 1, 7, len(data), len(data) * 2, 1 << 31, 1 << 40, (1 << 64) - 1, 100_000_001]
    )
    return struct.pack("<Q", size) + data[8:]


def _not_numbers(rng: random.Random, data: bytes) -> bytes:
    start = 8 + struct.unpack("<Q", data[:8])[0]
    count = (len(data) - start) // 4
    changed = bytearray(data)
    value = rng.choice([float("nan"), float("inf"), float("-inf"), 3e38])
    for _ in range(rng.choice([1, 3])):
        place = start + 4 * rng.randrange(count)
        changed[place : place + 4] = struct.pack("<f", value)
    return bytes(changed)


SAFETENSORS_DAMAGE: Final[Mapping[str, Damage]] = {
    **BYTE_DAMAGE,
    "another shape": _headed(_shape),
    "another dtype": _headed(_dtype),
    "other offsets": _headed(_offsets),
    "another name": _headed(_rename),
    "a tensor less": _headed(_drop),
    "a tensor twice": _headed(_twice),
    "an odd header": _headed(_odd_json),
    "a header's size": _header_size,
    "not a number": _not_numbers,
}
"""Ways to damage a safetensors file."""


class _Bundle:
    """A copy of a bundle that is to be damaged, with a manifest that may be made to fit."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self.rng = path, rng
        self.manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())

    def pick(self, *, suffix: str = "") -> str:
        return self.rng.choice([name for name in self.manifest["files"] if name.endswith(suffix)])

    def save(self) -> None:
        (self.path / "manifest.json").write_text(json.dumps(self.manifest))

    def fit(self, name: str, rows: int | None = None) -> None:
        """Let the manifest tell the truth about a changed file: what is wrong then lies deeper."""
        data = (self.path / name).read_bytes()
        entry = self.manifest["files"][name]
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if rows is not None:
            entry["rows"] = rows
        self.save()

    def rewrite(self, name: str, table: pa.Table, **options: Any) -> None:
        pq.write_table(table, self.path / name, **{"compression": "lz4", **options})
        self.fit(name, table.num_rows)


def _bytes_of_a_file(bundle: _Bundle) -> None:
    name = bundle.rng.choice([*bundle.manifest["files"], "manifest.json"])
    damage = bundle.rng.choice(list(BYTE_DAMAGE.values()))
    path = bundle.path / name
    path.write_bytes(damage(bundle.rng, path.read_bytes()))


def _bytes_with_checksum(bundle: _Bundle) -> None:
    name = bundle.pick()
    damage = bundle.rng.choice(list(BYTE_DAMAGE.values()))
    path = bundle.path / name
    path.write_bytes(damage(bundle.rng, path.read_bytes()))
    bundle.fit(name)


def _missing_file(bundle: _Bundle) -> None:
    name = bundle.pick()
    (bundle.path / name).unlink()
    if bundle.rng.random() < 0.5:
        del bundle.manifest["files"][name]
        bundle.save()


def _odd_entry(bundle: _Bundle) -> None:
    odd = bundle.rng.choice(
        [None, 7, -1, "x", [], {}, [1], {"a": 1}, 1e308, True, "\u001b[31m", {"key": 3}, 2**70]
    )
    places: list[tuple[Any, Any]] = [(bundle.manifest, name) for name in bundle.manifest]
    places += [(bundle.manifest["model"], name) for name in bundle.manifest["model"]] * 2
    places += [(entry, field) for entry in bundle.manifest["files"].values() for field in entry]
    places += [(bundle.manifest["files"], name) for name in bundle.manifest["files"]]
    places += [(entry, field) for entry in bundle.manifest["kernels"] for field in entry]
    where, name = bundle.rng.choice(places)
    where[name] = odd
    bundle.save()


def _entry_gone(bundle: _Bundle) -> None:
    where = bundle.rng.choice([bundle.manifest, bundle.manifest["model"]])
    del where[bundle.rng.choice(list(where))]
    bundle.save()


def _other_version(bundle: _Bundle) -> None:
    bundle.manifest["schema_version"] = bundle.rng.choice([0, 1, 2, 99, "3", None, -1, 3.5])
    bundle.save()


def _hostile_path(bundle: _Bundle) -> None:
    name = bundle.rng.choice(
        [
            "../stolen",
            "/etc/hostname",
            "tables/../../x",
            "..",
            "",
            ".",
            "a\\..\\b",
            "x\u0000y",
            "\u001b[31m",
            "tables/" * 400,
        ]
    )
    bundle.manifest["files"][name] = {"bytes": 1, "sha256": "0" * 64, "rows": 1}
    bundle.save()


def _a_link(bundle: _Bundle) -> None:
    name = bundle.pick()
    target = bundle.path.parent / "outside"
    target.write_bytes((bundle.path / name).read_bytes())
    (bundle.path / name).unlink()
    (bundle.path / name).symlink_to(target)


def _column(bundle: _Bundle, change: Callable[[random.Random, pa.Table, str], pa.Table]) -> None:
    name = bundle.pick(suffix=".parquet")
    table = pq.read_table(bundle.path / name)
    bundle.rewrite(name, change(bundle.rng, table, bundle.rng.choice(table.column_names)))


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _other_dtype(bundle: _Bundle) -> None:
    def change(rng: random.Random, table: pa.Table, name: str) -> pa.Table:
        values = rng.choice([1, "x", 1.5, True, b"\xff", [1.0], None])
        return _replaced(table, name, pa.array([values] * table.num_rows))

    _column(bundle, change)


def _columns_moved(bundle: _Bundle) -> None:
    def change(rng: random.Random, table: pa.Table, name: str) -> pa.Table:
        kept = [other for other in table.column_names if other != name]
        return rng.choice(
            [
                table.select(kept),
                table.select([*kept, name]),
                table.append_column("extra", table[name]),
            ]
        )

    _column(bundle, change)


def _other_rows(bundle: _Bundle) -> None:
    def change(rng: random.Random, table: pa.Table, name: str) -> pa.Table:
        return rng.choice(
            [
                pa.concat_tables([table, table]),
                table.slice(0, 0),
                table.slice(1),
                table.take([0] * 5),
            ]
        )

    _column(bundle, change)


def _other_values(bundle: _Bundle) -> None:
    """Nulls, NaN, keys of nobody, huge numbers: right in form, wrong in content."""

    def change(rng: random.Random, table: pa.Table, name: str) -> pa.Table:
        kind, count = table.schema.field(name).type, table.num_rows
        if pa.types.is_floating(kind):
            value: Any = rng.choice([float("nan"), float("inf"), -1e38, None])
        elif pa.types.is_integer(kind):
            value = rng.choice([-1, 2**62, 0, None])
        elif pa.types.is_boolean(kind):
            value = None
        elif pa.types.is_list(kind):
            value = (
                rng.choice([[], None, [None], [0] * 100])
                if not pa.types.is_string(kind.value_type)
                else ["\u001b"]
            )
        else:
            value = rng.choice(
                [
                    "",
                    "nobody",
                    None,
                    "x" * 10_000,
                    "\u001b[31m",
                    "' }) DETACH DELETE n //",
                    "\u0000",
                ]
            )
        old = table[name].to_pylist()
        chosen = {rng.randrange(count)} if rng.random() < 0.6 else set(range(count))
        return _replaced(
            table, name, pa.array([value if i in chosen else v for i, v in enumerate(old)], kind)
        )

    _column(bundle, change)


def _other_codec(bundle: _Bundle) -> None:
    name = bundle.pick(suffix=".parquet")
    table = pq.read_table(bundle.path / name)
    bundle.rewrite(name, table, compression=bundle.rng.choice(["zstd", "gzip", "snappy", "brotli"]))


def _odd_wiring(bundle: _Bundle) -> None:
    wiring = json.loads((bundle.path / "wiring.json").read_text())
    where: Any = wiring
    last: Any = wiring
    name: Any = "layers"
    for _ in range(bundle.rng.randrange(1, 6)):
        names = (
            list(where)
            if isinstance(where, dict)
            else list(range(len(where)))
            if isinstance(where, list)
            else []
        )
        if not names:
            break
        last, name = where, bundle.rng.choice(names)
        where = where[name]
    last[name] = bundle.rng.choice(
        [None, 7, -1, "x", [], {}, {"from": 0, "to": 1 << 40}, [1 << 40], 1 << 70, [[]], "conv"]
    )
    (bundle.path / "wiring.json").write_text(json.dumps(wiring))
    bundle.fit("wiring.json")


BUNDLE_DAMAGE: Final[Mapping[str, Callable[[_Bundle], None]]] = {
    "bytes of a file": _bytes_of_a_file,
    "bytes, with a checksum that fits": _bytes_with_checksum,
    "a missing file": _missing_file,
    "an odd entry of the manifest": _odd_entry,
    "an entry less": _entry_gone,
    "another schema version": _other_version,
    "a path that leads out": _hostile_path,
    "a link that leads out": _a_link,
    "another dtype": _other_dtype,
    "other columns": _columns_moved,
    "other rows": _other_rows,
    "other values": _other_values,
    "another codec": _other_codec,
    "an odd wiring": _odd_wiring,
}
"""Ways to damage a bundle."""


def damaged(path: Path, rng: random.Random, how: str) -> None:
    """Damage the bundle at ``path`` in place."""
    BUNDLE_DAMAGE[how](_Bundle(path, rng))


_WORDS: Final = (
    *(
        "extract",
        "annotate",
        "verify",
        "check",
        "load",
        "drop",
        "models",
        "query",
        "motifs",
        "neuron",
        "circuit",
    ),
    *(
        "families",
        "export",
        "schema",
        "-o",
        "--db",
        "-p",
        "--json",
        "--limit",
        "--timeout",
        "--model",
        "--layer",
    ),
    *(
        "--weights",
        "--name",
        "--keep",
        "--seed",
        "--input-size",
        "--mean",
        "--top",
        "--span",
        "--format",
        "-f",
        "--q",
    ),
    *(
        "--depth",
        "-k",
        "--least",
        "--direction",
        "--list",
        "--show",
        "--unsafe",
        "--help",
        "--version",
        "--",
        "-",
        "",
    ),
    *(
        "tiny.circuitome",
        "circuitome.db",
        "nets.py",
        "nets.py:tiny",
        "nets.py:nobody",
        "tiny",
        "other",
        "nowhere",
        ".",
    ),
    *(
        "inputs",
        "neuron=tiny/first:0",
        "neuron=first:99",
        "neurons",
        "layer=left",
        "superposition",
        "first:0",
        "left:2",
    ),
    *(
        "0",
        "1",
        "-1",
        "2",
        "1e9",
        "99999999999999999999",
        "nan",
        "inf",
        "0.5",
        "all",
        "none",
        "random",
        "3,16,16",
        "a=b",
    ),
    *(
        "networkx",
        "graphml",
        "bolt://127.0.0.1:9",
        "neo4j://",
        "://",
        "http://x",
        "=",
        "=x",
        "x=",
        "~",
        "..",
        "/",
        "/dev/null",
    ),
    *(
        "\u001b[31m",
        "caf\u00e9",
        "\u202e",
        "x" * 5000,
        "' OR 1=1 --",
        "${HOME}",
        "`ls`",
        "*",
        "\udcff",
        "a\nb",
        "[" * 3000,
    ),
)


def random_arguments(rng: random.Random) -> list[str]:
    """An argument line: any words, or one that is nearly right with a word that is not."""
    lines = (
        ["query", "inputs", "-p", "neuron=3:0", "--limit", "2", "--timeout", "5"],
        ["query", "neurons", "--limit", "3", "--json"],
        ["query", "strongest_paths", "-p", "source=input:0", "-p", "target=3:1", "-p", "k=3"],
        ["query", "look_up", "-p", 'neurons=["tiny/0:0"]'],
        ["query", "hubs", "-p", "strength=0.5", "-p", "limit=3"],
        ["circuit", "3:0", "--depth", "2", "-k", "3", "--least", "0.1"],
        ["neuron", "3:2", "--limit", "2", "--json"],
        ["families", "--layer", "0", "--model", "tiny"],
        ["export", "--format", "graphml", "--model", "tiny", "-o", "out.xml"],
        [
            "extract",
            "nets.py:tiny",
            "--input-size",
            "3,8,8",
            "--keep",
            "0.9",
            "--top",
            "3",
            "--seed",
            "4",
            "--name",
            "a",
        ],
        [
            "extract",
            "nets.py:tiny",
            "--input-size",
            "3,8,8",
            "--mean",
            "0,0,0",
            "--std",
            "1,1,1",
            "--span",
            "1",
            "-o",
            "b",
        ],
        ["annotate", "tiny.circuitome", "--families", "mine.csv"],
        ["motifs", "superposition", "--model", "tiny"],
        ["check", "tiny.circuitome"],
        ["models", "--db", "circuitome.db"],
        ["query", "hubs", "-p", "strength=0.5"],
        ["schema", "--json"],
        ["verify", "tiny.circuitome", "nets.py:tiny"],
        ["drop", "nobody"],
    )
    kind = rng.random()
    if kind < 0.2:
        return [rng.choice(_WORDS) for _ in range(rng.randrange(1, 7))]
    line = list(rng.choice(lines))
    for _ in range(rng.choice([1, 1, 2])):
        if kind < 0.4:
            place = rng.randrange(len(line))
            line[place : place + rng.randrange(2)] = [rng.choice(_WORDS)]
        else:  # another value for an option or an argument, so that the command itself is reached
            place = rng.randrange(1, len(line))
            if not line[place].startswith("-"):
                head, equals, _ = line[place].partition("=")
                line[place] = (
                    f"{head}{equals}{rng.choice(_VALUES)}" if equals else rng.choice(_VALUES)
                )
    return line


_VALUES: Final = (
    *(
        "0",
        "1",
        "2",
        "-1",
        "7",
        "0.5",
        "1e-300",
        "1e9",
        "nan",
        "inf",
        "99999999999999999999",
        "9223372036854775807",
        "",
        " ",
        "all",
    ),
    *(
        "first:0",
        "tiny/0:0",
        "0:0",
        "3:2",
        "0:99",
        "tiny/0",
        "3",
        "tiny",
        "nobody",
        "tiny.circuitome",
        "circuitome.db",
        "true",
    ),
    *(
        "random",
        "3,8,8",
        "[1, 2]",
        "[]",
        "{}",
        "null",
        "a,b",
        "\u001b[31m",
        "\u202e",
        "caf\u00e9",
        "x" * 5000,
        "' }) //",
        "[" * 3000,
    ),
)
_CYPHER: Final = (
    *(
        "MATCH",
        "OPTIONAL MATCH",
        "WHERE",
        "RETURN",
        "WITH",
        "UNWIND",
        "ORDER BY",
        "LIMIT",
        "SKIP",
        "UNION",
        "CALL",
        "AS",
    ),
    *(
        "CREATE",
        "MERGE",
        "SET",
        "DELETE",
        "DETACH DELETE",
        "REMOVE",
        "DROP",
        "FOREACH",
        "LOAD CSV FROM",
        "COPY",
        "PROFILE",
    ),
    *(
        "(n)",
        "(n:Neuron)",
        "(a)-[r:EXCITES]->(b)",
        "(a)-[r]-(b)",
        "(:Layer)",
        "[n IN [1,2] | n]",
        "{ MATCH (m) RETURN m }",
    ),
    *(
        "n",
        "n.key",
        "n.bias",
        "r.weight",
        "count(*)",
        "collect(n.key)",
        "sum(r.weight)",
        "n.nothing",
        "$x",
        "$y",
        "x",
        "*",
    ),
    *(
        "1",
        "-1",
        "0.5",
        "1e400",
        "99999999999999999999",
        "'a'",
        '"b"',
        "`c`",
        "'",
        '"',
        "`",
        "null",
        "true",
        "[1, 2]",
        "{a: 1}",
    ),
    *(
        "=",
        "<>",
        "<",
        "IN",
        "AND",
        "NOT",
        "CONTAINS",
        "=~",
        "+",
        "/",
        "%",
        ",",
        ";",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "//",
        "/*",
        "*/",
    ),
    *(
        "all(x IN [1] WHERE x > 0)",
        "\\u0043",
        "\u200b",
        "\u0000",
        "\n",
        "range(1, 3)",
        "size([1])",
        "type(r)",
        "label(r)",
    ),
    *(
        "EXISTS { MATCH (n) }",
        "CASE WHEN 1 THEN 2 END",
        "[:EXCITES*1..3]",
        "CALL db.labels()",
        "CALL show_tables()",
        "IN TRANSACTIONS",
    ),
    *(
        "DISTINCT",
        "n:Neuron",
        "\u00e9",
        "\U0001f600",
        "// params:\n//   x (integer): it\n",
        "//   y (nothing = 3): that\n",
        "date()",
    ),
)
_CYPHER_OF_NEO4J: Final = (
    *(
        "CALL { MATCH (m) RETURN m }",
        "CALL (n) { MATCH (n)-->(m) RETURN m }",
        "CALL (*) {",
        "} IN 2 CONCURRENT TRANSACTIONS",
    ),
    *(
        "CALL { CREATE (x) } IN TRANSACTIONS OF 10 ROWS",
        "EXISTS { (n)-->() }",
        "COUNT { (n)-->(:Neuron) }",
    ),
    *(
        "COLLECT { MATCH (n)-->(m) RETURN m.key }",
        "COLLECT {",
        "((a)-[:EXCITES]->(b)){1,3}",
        "(()-->())+",
        "-[:EXCITES]->+",
    ),
    *(
        "shortestPath((n)-[*..3]-(m))",
        "ANY SHORTEST (n)-->+(m)",
        "ALL SHORTEST",
        "SHORTEST 2 PATHS",
        "FOREACH (x IN [1] | SET n.bias = x)",
    ),
    *(
        "LOAD CSV WITH HEADERS FROM 'file:///etc/passwd' AS row",
        "USE system",
        "USE graph.byName('system')",
        "SHOW TRANSACTIONS",
    ),
    *(
        "SHOW USERS",
        "SHOW INDEXES YIELD *",
        "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
        "CREATE USER u SET PASSWORD 'p'",
    ),
    *(
        "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
        "ALTER USER neo4j SET PASSWORD 'p'",
        "DROP USER neo4j",
        "DROP DATABASE neo4j",
    ),
    *(
        "CREATE DATABASE d",
        "STOP DATABASE neo4j",
        "CREATE CONSTRAINT c FOR (n:Neuron) REQUIRE n.bias IS UNIQUE",
    ),
    *(
        "DROP CONSTRAINT Neuron_key",
        "DROP INDEX Neuron_kind IF EXISTS",
        "CREATE INDEX i FOR (n:Neuron) ON (n.bias)",
    ),
    *(
        "CALL dbms.listConfig()",
        "CALL dbms.killQuery('x')",
        "CALL dbms.security.createUser('u', 'p')",
        "CALL db.createLabel('x')",
    ),
    *(
        "CALL db.awaitIndexes(1)",
        "CALL apoc.load.json('file:///etc/passwd')",
        "apoc.cypher.runFirstColumn('RETURN 1', {})",
    ),
    *(
        "CALL tx.setMetaData({a: 1})",
        "CALL db.schema.visualization()",
        "CYPHER runtime=slotted",
        "CYPHER 5",
        "EXPLAIN",
        "PROFILE",
    ),
    *(
        "n{.*}",
        "n{.key, x: 1}",
        "[(n)-->(m) | m.key]",
        "reduce(s = 0, x IN [1, 2] | s + x)",
        "properties(n)",
        "labels(n)",
    ),
    *(
        "n:Neuron&!Layer",
        "n IS :: STRING",
        "point({x: 1, y: 2})",
        "duration('P1D')",
        "datetime()",
        "elementId(n)",
        "n[$x]",
        "$$x",
    ),
    *(
        "SET n += {bias: 7}",
        "SET n:Layer",
        "REMOVE n:Neuron",
        "NODETACH DELETE n",
        "ON CREATE SET n.bias = 1",
        "INSERT (x)",
        "FINISH",
    ),
    *(
        "`n`",
        "`CREATE`",
        "`a``b`",
        "/* ' */",
        '// "\n',
        "\r",
        "\t",
        "1LOAD",
        "0CALL",
        "1SET",
        "$xDELETE",
        "as",
        ";;",
    ),
)
"""What only Neo4j knows, or what an attacker would try on it."""
_ATTACKS: Final = (
    "CREATE (x:Model {key: 'evil'})",
    "MATCH (n:Neuron) SET n.bias = 7.0 RETURN n.key",
    "MATCH (n) DETACH DELETE n",
    "MATCH (as:Neuron) WITH as DELETE as",
    "MERGE (m:Model {key: 'evil'}) RETURN m.key",
    "MATCH (n:Neuron) CALL (n) { DETACH DELETE n } RETURN 1 AS x",
    "LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "UNWIND [1] AS x WITH x WHERE x = 1 LOAD FROM '/etc/passwd' RETURN *",
    "MATCH (n:Model) CALL dbms.killTransaction('neo4j-transaction-1') YIELD message RETURN message",
    "MATCH (n:Model) RETURN n.key UNION CALL db.createProperty('evil')",
    "DROP CONSTRAINT Neuron_key IF EXISTS",
    "CREATE USER evil SET PASSWORD 'evilevil' CHANGE NOT REQUIRED",
    "EXPLAIN MATCH (n) DELETE n",
    "PROFILE COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "CALL { USE system MATCH (u) RETURN u } RETURN u",
)
_QUERIES: Final = (
    "MATCH (n:Neuron) WHERE n.channel > $x RETURN n.key AS key ORDER BY key LIMIT 5",
    "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) WHERE r.share > 0.1 RETURN a.key AS a, b.key AS b, r.weight AS w ORDER BY w",
    "MATCH (l:Layer) WITH l.op AS op, count(*) AS n RETURN op, n ORDER BY op",
    "// Title.\n//\n// params:\n//   x (integer = 3): least\n\nMATCH (n:Neuron) WHERE n.channel >= $x RETURN n AS n LIMIT 2",
)


def _query(rng: random.Random) -> str:
    """A text that an engine may well understand."""

    def some(items: Sequence[str], most: int = 3) -> list[str]:
        return [rng.choice(items) for _ in range(rng.randrange(1, most + 1))]

    values = (
        "n.key",
        "n.bias",
        "n.channel",
        "n.layer",
        "n.kernel",
        "n.nothing",
        "$x",
        "$y",
        "1",
        "-0.5",
        "'a'",
        "null",
        "[1, 2]",
    )
    shapes = (
        "abs({})",
        "-{}",
        "{} + {}",
        "{} / {}",
        "{} % {}",
        "coalesce({}, {})",
        "size({})",
        "count({})",
        "collect({})",
        "sum({})",
    )
    shapes = (
        *shapes,
        "{} IN {}",
        "{} CONTAINS {}",
        "{} =~ {}",
        "{} IS NULL",
        "max({})",
        "avg({})",
        "toUpper({})",
        "{}",
        "{}",
        "{}",
    )

    def value() -> str:
        shape = rng.choice(shapes)
        return shape.format(*(rng.choice(values) for _ in range(shape.count("{}"))))

    pattern = rng.choice(
        (
            "(n:Neuron)",
            "(n)",
            "(n:Layer)",
            "(n:Neuron)-[r:EXCITES]->(m:Neuron)",
            "(n)-[r]->(m)",
            "(n:Neuron)-[r]-(m)<--(o)",
        )
    )
    tests = some([f"{value()} {rng.choice(['=', '<>', '<', '>='])} {value()}" for _ in range(3)], 2)
    where = (
        f" WHERE {rng.choice([' AND ', ' OR ', ' XOR ']).join(tests)}" if rng.random() < 0.6 else ""
    )
    stage = f" WITH n, {value()} AS v" if rng.random() < 0.3 else ""
    columns = ", ".join(f"{value()} AS c{number}" for number in range(rng.randrange(1, 4)))
    order = rng.choice(["", "", " ORDER BY c0", " ORDER BY c0 DESC"]) + rng.choice(
        ["", " LIMIT 5", " LIMIT $x", " SKIP 1 LIMIT 3"]
    )
    return f"MATCH {pattern}{where}{stage} RETURN {rng.choice(['', 'DISTINCT '])}{columns}{order}"


def _disguised(rng: random.Random, text: str) -> str:
    """The same for an engine, or nearly, and another thing for who looks at its words."""
    words = text.split(" ")
    place = rng.randrange(len(words))
    word = words[place]
    start = rng.randrange(max(1, len(word)))
    code = ord(word[start]) if word else 32
    words[place] = rng.choice(
        (
            word.swapcase(),
            f"{word[:start]}\\u{code:04x}{word[start + 1 :]}",
            f"{word[:start]}\\uu{code:04X}{word[start + 1 :]}",
            f"/* MATCH */{word}/**/",
            f"// '\n{word}",
            f"{word} // `\r",
            f"\u00a0{word}",
            f"\u200b{word}",
            chr(code + 0xFEE0) + word[1:] if 32 < code < 127 else word,
            f"1{word}",
            f"'{word}'",
            f"`{word}`",
            f"{word};",
            f"as {word}",
        )
    )
    head = rng.choice(
        (
            "",
            "",
            "",
            "EXPLAIN ",
            "PROFILE ",
            "CYPHER runtime=slotted ",
            "WITH 1 AS as ",
            ";",
            "/*",
            "USE neo4j ",
        )
    )
    return head + " ".join(words)


def _wide(rng: random.Random) -> str:
    """Any word of either engine."""
    return rng.choice(_CYPHER if rng.random() < 0.5 else _CYPHER_OF_NEO4J)


def random_motif(rng: random.Random) -> str:
    """The text of a motif's file, whose header is right."""
    middle = rng.choice(
        (
            "",
            "",
            _wide(rng),
            _disguised(rng, rng.choice(_ATTACKS)),
            " ".join(_wide(rng) for _ in range(3)),
        )
    )
    return (
        "// Odd.\n//\n// params:\n//   model (model): where\n// returns:\n//   neuron: a neuron\n//   score: a number\n"
        "MATCH (n:Neuron)-[r:EXCITES]->(m:Neuron) WHERE n.model = $model AND m.model = $model\n"
        f"{middle}\nRETURN n.key AS neuron, max(r.share) AS score ORDER BY neuron\n"
    )


def random_cypher(rng: random.Random) -> tuple[str, list[str]]:
    """A query text, and the ``-p`` options that come with it."""
    kind = rng.random()
    if kind < 0.1:
        text = " ".join(_wide(rng) for _ in range(rng.randrange(1, 14)))
    elif kind < 0.3:
        text = _disguised(rng, rng.choice(_ATTACKS) if rng.random() < 0.7 else _query(rng))
    else:
        text = _query(rng) if kind < 0.85 else rng.choice(_QUERIES)
        if kind < 0.5 or kind > 0.9:
            words: list[str] = list(map(str, text.split(" ")))
            for _ in range(rng.choice([1, 1, 2, 3])):
                place = rng.randrange(len(words))
                words[place : place + rng.randrange(3)] = [_wide(rng)]
            text = " ".join(words)
    common = ("1", "2", "-1", "0.25", "x", "tiny/0:0", "[1, 2]", "true")
    odd = (
        "nan",
        "[]",
        "{}",
        "null",
        "1e400",
        "2" * 30,
        "\u001b[31m",
        "' }) //",
        "[" * 3000,
        '{"a": [1]}',
        "",
        "[null]",
        '[1, "a"]',
    )
    used = {name for name in ("x", "y") if (f"${name}" in text) != (rng.random() < 0.05)}
    values = {name: rng.choice(common if rng.random() < 0.6 else odd) for name in sorted(used)}
    return text, [part for name, value in values.items() for part in ("-p", f"{name}={value}")]


def seeds(number: int, start: int = 0) -> Iterator[random.Random]:
    """So many generators, each from its own seed, so that one trial can be made again."""
    for seed in range(start, start + number):
        yield random.Random(seed)
