"""Queries as files: one `.cypher` file is one query, and its leading comment is its documentation.

::

    // The strongest inputs of a neuron.
    //
    // params:
    //   neuron (neuron): the receiving neuron
    //   limit (integer = 20): at most so many rows
    // renamed: most -> limit
    // returns:
    //   sender: key of the sending neuron
    //   share: share of the receiver's squared fan-in norm
    //
    // A page of prose for people, if it needs one.
    MATCH (n:Neuron {key: $neuron})<-[r:EXCITES|INHIBITS]-(a:Neuron)
    RETURN a.key AS sender, r.share AS share ORDER BY share DESC, sender LIMIT $limit

What the header declares and what the text uses must agree both ways, or the file is refused. The
line ``renamed:`` is for parameters that had another name before: that name is refused, and the
message has the new one. A line ``kuzu: HINT ...`` goes into the text of that engine before
``RETURN``. Steps such as ``WITH one, other, cosine_of_fan_ins(one, other) AS cosine`` stand for
`fragments`, which each engine has in its own form. If two engines truly part, ``name.kuzu.cypher``
beside ``name.cypher`` holds the other text, under the same header.

``n.kind IN stimuli('grey', 'round')`` stands for the kinds with these traits in `vocabulary`: a new
stimulus reaches all queries. ``circuitome query NAME --show`` prints the list itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from circuitome.graphdb.cypher import code_of, parameters_of
from circuitome.queries.clauses import columns_of
from circuitome.queries.errors import QueryError, near
from circuitome.queries.fragments import expanded
from circuitome.queries.header import Header, Output, parse_header
from circuitome.queries.values import Parameter, convert
from circuitome.vocabulary import TRAITS, with_traits

__all__ = [
    "DIALECTS",
    "LIBRARY",
    "Query",
    "is_cypher",
    "load_file",
    "load_folder",
    "load_text",
]

LIBRARY: Final = Path(__file__).parent / "library"
DIALECTS: Final = ("kuzu", "neo4j")
_STIMULI: Final = re.compile(r"\bstimuli\('[^']*'(?:, '[^']*')*\)")
_CYPHER: Final = re.compile(
    r"\s*(?://|(?:MATCH|OPTIONAL|WITH|RETURN|UNWIND|CALL)\s)", re.IGNORECASE
)
_TYPED: Final = "the query"
_LARGEST: Final = 1_000_000  # bytes of a query file
_PLACEHOLDERS: Final = {
    "model": "model",
    "layer": "model/layer",
    "neuron": "model/layer:0",
    "family": "model/layer/f0",
    "list of neuron": ["model/layer:0"],
    "list of string": ["text"],
    "list of integer": [0],
    "list of float": [0.5],
    "integer": 1,
    "float": 0.5,
    "boolean": True,
}


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the library, or of a user's file."""

    name: str  # stem of the file
    topic: str  # its folder
    title: str  # one sentence
    doc: str  # prose; paragraphs are separated by an empty line
    parameters: tuple[Parameter, ...]
    returns: tuple[Output, ...]  # empty where a user's file does not say
    text: str  # Cypher, without the header; of an algorithm: that of its step
    variants: Mapping[str, str] = field(default_factory=dict)  # dialect -> Cypher, where it differs
    algorithm: Callable[..., Any] | None = None  # runs it, where one Cypher text cannot
    step: Query | None = None  # the one-hop query that an algorithm repeats
    notes: Mapping[str, str] = field(default_factory=dict)  # of its header

    def text_for(self, dialect: str) -> str:
        """Cypher for one engine, ``kuzu`` or ``neo4j``."""
        return self.variants.get(dialect, self.text)

    def parameter(self, name: str) -> Parameter | None:
        """The declared parameter of that name, if any."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def browser_text(self, values: Mapping[str, object] | None = None) -> str:
        """Text to paste into Neo4j Browser or cypher-shell: the title, a ``:param`` line a
        parameter, then the Cypher.

        ``values`` are used where given, then defaults, then placeholders to be edited. `QueryError`
        for a value that does not convert.
        """
        text, asked = self.text_for("neo4j"), self.step or self
        lines = [f"// {self.title}"]
        if self.algorithm is not None:
            lines.append(
                "// A library algorithm: `circuitome query` asks this query, once or step by "
                "step, and goes on from its rows."
            )
        for name in parameters_of(text):
            parameter = asked.parameter(name) or Parameter(name, "any", "")
            value = self._shown(parameter, values or {})
            lines.append(f":param {name} => {json.dumps(value)};")
        return "\n".join([*lines, text.strip().rstrip(";") + ";"]) + "\n"

    def _shown(self, parameter: Parameter, values: Mapping[str, object]) -> object:
        """What a ``:param`` line shows."""
        if parameter.name in values:
            return convert(self.name, parameter, values[parameter.name])
        return _PLACEHOLDERS.get(parameter.type) if parameter.required else parameter.default


def load_folder(folder: Path = LIBRARY) -> dict[str, Query]:
    """All queries under ``folder``, as ``folder/<topic>/<name>.cypher``, by name; sorted by topic,
    then name.

    `QueryError` for a file that does not agree with its header, and for a name used twice.
    """
    queries: dict[str, Query] = {}
    for path in sorted(folder.glob("*/*.cypher")):
        if _dialect(path) is None:
            query = load_file(path, topic=path.parent.name, strict=True)
            if query.name in queries:
                raise QueryError(
                    f"{path}: another query is called `{query.name}` (topic "
                    f"`{queries[query.name].topic}`); rename one"
                )
            queries[query.name] = query
        elif not _base(path).exists():
            raise QueryError(
                f"{path}: a variant without {_base(path).name} beside it; add that, or rename "
                "the file"
            )
    return queries


def load_file(path: Path, *, topic: str = "file", strict: bool = False) -> Query:
    """The query in one file, with the variants beside it.

    Without ``strict`` the header may be missing: then the parameters are those that the text uses,
    of any type. `QueryError` says what is wrong with the file and how to mend it.
    """
    header, body = _parts(path, strict=strict)
    text = expanded(body, _dialect(path) or "neo4j", where=str(path)).strip() + "\n"
    query = Query(
        name=path.stem,
        topic=topic,
        title=header.title or path.stem,
        doc=header.doc,
        parameters=_declared(header, text, strict=strict),
        returns=header.returns,
        text=text,
        notes=header.notes,
        variants={}
        if _dialect(path)
        else _for_kuzu(body, text, header, where=str(path)) | _variants(path),
    )
    _agree(str(path), query, query.text, strict=strict)
    for dialect, cypher in query.variants.items():
        _agree(str(path.with_suffix(f".{dialect}.cypher")), query, cypher, strict=strict)
    return query


def is_cypher(text: str) -> bool:
    """Whether a text is a query itself, and no name of one.

    >>> is_cypher("MATCH (n:Neuron) RETURN n.key AS key"), is_cypher("match.cypher")
    (True, False)
    """
    return _CYPHER.match(text) is not None


def load_text(cypher: str) -> Query:
    """A query that was typed; like a file, it may have a header.

    Raises:
        QueryError: what is wrong with it and how to mend it.
    """
    header, body = _parts_of(cypher, where=_TYPED, strict=False)
    text = expanded(body, "neo4j", where=_TYPED).strip() + "\n"
    query = Query(
        name=_TYPED,
        topic="text",
        title=header.title or _TYPED,
        doc=header.doc,
        parameters=_declared(header, text, strict=False),
        returns=header.returns,
        text=text,
        notes=header.notes,
        variants=_for_kuzu(body, text, header, where=_TYPED),
    )
    _agree(_TYPED, query, query.text, strict=False)
    return query


def _parts(path: Path, *, strict: bool) -> tuple[Header, str]:
    """The header of a file, and the Cypher below."""
    return _parts_of(_read(path), where=str(path), strict=strict)


def _parts_of(text: str, *, where: str, strict: bool) -> tuple[Header, str]:
    """The header of a query, and the Cypher below."""
    header_text, body = _split(text)
    body = _with_stimuli(body, where=where)
    header = parse_header(header_text, where=where)
    if not code_of(body).strip():
        raise QueryError(f"{where}: no Cypher in it; write the query below its `//` header")
    if strict and not header.title:
        raise QueryError(
            f"{where}: no header; begin with `// What it answers.`, then `// params:` and `// "
            "returns:`"
        )
    return header, body


def _declared(header: Header, body: str, *, strict: bool) -> tuple[Parameter, ...]:
    """The parameters of the header; those that the text uses where it does not say."""
    if header.parameters is None and not strict:
        return tuple(Parameter(name, "any", "") for name in parameters_of(body))
    return header.parameters or ()


def _read(path: Path) -> str:
    try:
        if (
            path.exists()
            and not path.is_dir()
            and (not path.is_file() or path.stat().st_size > _LARGEST)
        ):
            raise ValueError(
                f"no plain file of at most {_LARGEST:,} bytes"
            )  # a pipe or a device has no end
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise QueryError(
            f"{path}: no such file; give the path of a `.cypher` file, or the name of a query "
            "(`--list`)"
        ) from None
    except (OSError, ValueError) as error:
        raise QueryError(
            f"{path}: cannot be read as UTF-8 text ({error}); give the path of a `.cypher` file"
        ) from error


def _split(text: str) -> tuple[str, str]:
    """The leading ``//`` block without its slashes, and the rest."""
    lines = text.lstrip("\ufeff\n").splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    return "\n".join(re.sub(r"^// ?", "", line) for line in lines[:end]), "\n".join(lines[end:])


def _dialect(path: Path) -> str | None:
    suffixes = path.suffixes
    return suffixes[-2][1:] if len(suffixes) > 1 and suffixes[-2][1:] in DIALECTS else None


def _base(path: Path) -> Path:
    return path.with_name(f"{path.name.split('.')[0]}.cypher")


def _variants(path: Path) -> dict[str, str]:
    files = {dialect: path.with_suffix(f".{dialect}.cypher") for dialect in DIALECTS}
    return {dialect: _variant(file, dialect) for dialect, file in files.items() if file.exists()}


def _variant(file: Path, dialect: str) -> str:
    text = _with_stimuli(_split(_read(file))[1], where=str(file))
    return expanded(text, dialect, where=str(file)).strip() + "\n"


def _for_kuzu(body: str, shared: str, header: Header, *, where: str) -> dict[str, str]:
    """The text for Kuzu if it is not the shared one: with fragments in its form, and the hint."""
    text = expanded(body, "kuzu", where=where).strip() + "\n"
    text = _hinted(text, header, where=where)
    return {} if text == shared else {"kuzu": text}


def _hinted(cypher: str, header: Header, *, where: str) -> str:
    """The text with the line that the header has for Kuzu alone, if any, before `RETURN`."""
    hint = header.notes.get("kuzu")
    if hint is None:
        return cypher
    text, places = re.subn(r"^(?=RETURN\b)", f"{hint}\n", cypher, flags=re.M)
    if places != 1:
        raise QueryError(f"{where}: `kuzu:` needs one line that begins with RETURN to stand before")
    return text


def _with_stimuli(cypher: str, *, where: str) -> str:
    """The text with each `stimuli('TRAIT', ...)` as the list of the kinds that have these traits.

    >>> _with_stimuli("n.kind IN stimuli('round', 'grey')", where="x")
    "n.kind IN ['circle', 'centre_surround']"
    """

    def listed(call: re.Match[str]) -> str:
        traits = re.findall(r"'([^']*)'", call[0])
        if unknown := [trait for trait in traits if trait not in TRAITS]:
            raise QueryError(
                f"{where}: no stimulus has the trait {unknown[0]!r}; "
                f"the traits are {', '.join(TRAITS)}"
            )
        return f"[{', '.join(repr(name) for name in with_traits(*traits))}]"

    return _STIMULI.sub(listed, cypher)


def _agree(where: str, query: Query, text: str, *, strict: bool) -> None:
    """`QueryError` if a text and its header do not say the same."""
    _agree_on_parameters(where, [one.name for one in query.parameters], parameters_of(text))
    if strict or query.returns:
        _agree_on_columns(where, query, text)


def _agree_on_parameters(where: str, declared: Sequence[str], used: Sequence[str]) -> None:
    for name in declared:
        if declared.count(name) > 1:
            raise QueryError(f"{where}: the parameter `{name}` is declared twice; remove one")
        if name not in used:
            cure = near(name, used, otherwise=f"remove it, or use ${name}")
            raise QueryError(f"{where}: the parameter `{name}` is declared and not used; {cure}")
    for name in used:
        if name not in declared:
            cure = near(name, declared, otherwise="add it under `// params:`")
            raise QueryError(f"{where}: ${name} is used and not declared; {cure}")


def _agree_on_columns(where: str, query: Query, text: str) -> None:
    columns, documented = columns_of(text), tuple(output.name for output in query.returns)
    if columns != documented:
        raise QueryError(
            f"{where}: it returns {', '.join(columns)} and documents "
            f"{', '.join(documented)}; make `// returns:` the same"
        )
