"""Steps of a query that each engine takes in its own form, so that the query has one text.

::

    WITH case_1, case_2, cosine_of_fan_ins(case_1, case_2) AS fan_in

stands for the file ``cosine_of_fan_ins.ENGINE.cypher`` of this folder, in which ``one`` and
``other`` are the two keys, ``cosine`` is the result, and ``kept`` is all that the line keeps. Rows
that are equal in all of it become one. Pairs that have nothing in common, and so no cosine, are
left out. The query needs a parameter ``model``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from circuitome.graphdb.cypher import code_of
from circuitome.queries.errors import QueryError

__all__ = ["FRAGMENTS", "expanded"]

_FOLDER: Final = Path(__file__).parent
FRAGMENTS: Final = tuple(sorted({file.name.split(".")[0] for file in _FOLDER.glob("*.cypher")}))
"""Names of all fragments."""
_NAMED: Final = re.compile(rf"\b(?:{'|'.join(FRAGMENTS)})\s*\(")
_STEP: Final = re.compile(
    rf"^[ \t]*WITH\s+(?P<kept>\w+(?:,\s*\w+)*),\s*(?P<fragment>{'|'.join(FRAGMENTS)})"
    r"\(\s*(?P<one>\w+)\s*,\s*(?P<other>\w+)\s*\)\s+AS\s+(?P<cosine>\w+)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)


def expanded(cypher: str, engine: str, *, where: str) -> str:
    """The text with each step in the form of the engine, ``kuzu`` or ``neo4j``.

    `QueryError` if a fragment is named in another place than a `WITH` of its own.
    """
    if not _NAMED.search(cypher.lower()):  # as most queries
        return cypher
    text = _STEP.sub(lambda step: _form(step.groupdict(), engine, where), cypher)
    if found := _NAMED.search(code_of(text)):
        name = found[0].rstrip("( ")
        raise QueryError(
            f"{where}: `{name}` needs a WITH of its own, of names alone, with nothing "
            f"behind; write `WITH one, other, {name}(one, other) AS cosine` and go on from there"
        )
    return text


def _form(step: Mapping[str, str], engine: str, where: str) -> str:
    """A fragment with the names of one step."""
    text, kept = _text(step["fragment"].lower(), engine), re.split(r",\s*", step["kept"])
    _check_names(step, kept, _own(text), where)
    names = {**step, "kept": ", ".join(kept)}
    return re.sub(r"\b(?:kept|one|other|cosine)\b", lambda name: names[name[0]], text)


def _check_names(step: Mapping[str, str], kept: list[str], own: set[str], where: str) -> None:
    """`QueryError` if a neuron of the step is not kept, or a name is one of the fragment's own."""
    fragment = step["fragment"]
    for name in (step["one"], step["other"]):
        if name not in kept:
            raise QueryError(f"{where}: `{fragment}` needs `{name}` kept; name it behind WITH")
    for name in (*kept, step["cosine"]):
        if name in own:
            raise QueryError(f"{where}: `{name}` is a name that `{fragment}` uses; take another")


@functools.cache
def _text(fragment: str, engine: str) -> str:
    """A fragment's Cypher, without what its first line says."""
    file = _FOLDER / f"{fragment}.{engine}.cypher"
    return file.read_text(encoding="utf-8").partition("\n")[2].rstrip("\n")


def _own(text: str) -> set[str]:
    """Names that a fragment gives to what is its own."""
    return set(re.findall(r"(?:\bAS |[(\[])([a-z_0-9]+)\b", text)) - {"one", "other", "cosine"}
