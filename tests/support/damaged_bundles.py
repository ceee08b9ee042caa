"""Ways to damage a bundle, with a manifest that may be made to fit."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.damaged_files import BYTE_DAMAGE

__all__ = ["BUNDLE_DAMAGE", "damaged", "fit_manifest"]


def fit_manifest(bundle: Path, name: str, rows: int | None = None) -> None:
    """Let a bundle's manifest tell the truth about a file that was changed."""
    data = (bundle / name).read_bytes()
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if rows is not None:
        manifest["files"][name]["rows"] = rows
    (bundle / "manifest.json").write_text(json.dumps(manifest))


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
