"""Ways to damage the bytes of a file, and of a safetensors file with understanding."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["BYTE_DAMAGE", "SAFETENSORS_DAMAGE", "Damage"]

Damage = Callable[[random.Random, bytes], bytes]


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
