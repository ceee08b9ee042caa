"""The page `docs/queries.md`, made from the headers of the queries.

``python -m circuitome.queries.pages docs/queries.md`` writes it; a test holds the file to this
text.
"""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
from pathlib import Path

from circuitome.queries.catalogue import library
from circuitome.queries.query_file import Query
from circuitome.queries.values import Parameter

__all__ = ["queries_page", "query_section"]

_INTRODUCTION = """\
# Queries

<!-- Made from the headers in circuitome/queries/library:
`python -m circuitome.queries.pages docs/queries.md` -->

Every query runs by its name, from the command line and from Python:

```
circuitome query inputs --db circuitome.db -p neuron=squeezenet1_1/features.3.expand3x3:17
```
```
database.query("inputs", neuron="squeezenet1_1/features.3.expand3x3:17").to_pandas()
```

`circuitome query --list` lists them, `--show` prints the Cypher for Neo4j Browser. A file of your
own runs the same way: `circuitome query mine.cypher -p name=value`. With a header like those in
`circuitome/queries/library` its parameters are checked and converted, too. So does Cypher itself:
`circuitome query "MATCH (m:Model) RETURN m.key AS model"`. The parameter `model` may be left out if
the database holds one model, and `--model` is short for it.

Two steps stand for more Cypher than they show, in a form that suits each engine:

| step | the last name is |
|---|---|
| `WITH one, other, cosine_of_fan_ins(one, other) AS cosine` | the cosine of the weights that two \
neurons read their senders with |
| `WITH one, other, cosine_of_fan_outs(one, other) AS cosine` | the cosine of what two neurons \
send, each weight in units of its receiver's root mean square |

The names are yours: two keys of neurons (not nodes), and whatever else goes on to the next clause;
nothing may follow on that line. Rows that are equal in all of it become one. The query needs the
parameter `model`. Pairs that share no sender, or no receiver, are left out.
"""


def queries_page() -> str:
    """The whole page, topic by topic."""
    parts = [_INTRODUCTION]
    for topic, queries in itertools.groupby(library().values(), key=lambda query: query.topic):
        parts.append(f"## {topic.replace('_', ' ').capitalize()}\n")
        parts += [query_section(query) for query in queries]
    return "\n".join(parts)


def query_section(query: Query) -> str:
    """One query: title, prose, parameters, columns and Cypher."""
    parts = [f"### `{query.name}`\n", f"{textwrap.fill(query.title, 100)}\n"]
    if query.doc:
        parts.append(f"{query.doc}\n")
    if query.parameters:
        parts.append("| parameter | type | default | |\n|---|---|---|---|")
        parts += [
            f"| `{p.name}` | {p.type} | {_default(p)} | {_cell(p.doc)} |" for p in query.parameters
        ]
        parts.append("")
    parts.append("| column | |\n|---|---|")
    parts += [f"| `{output.name}` | {_cell(output.doc)} |" for output in query.returns]
    return "\n".join([*parts, *_texts(query)])


def _texts(query: Query) -> list[str]:
    """The Cypher, or which query an algorithm asks."""
    if query.step is not None:
        step = query.step.name
        return [f"\nA library algorithm: the query that it asks is [`{step}`](#{step}).\n"]
    variants = [
        f"In {dialect}:\n\n```cypher\n{text.rstrip()}\n```\n"
        for dialect, text in query.variants.items()
    ]
    return [f"\n```cypher\n{query.text.rstrip()}\n```\n", *variants]


def _default(parameter: Parameter) -> str:
    return "required" if parameter.required else f"`{json.dumps(parameter.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(queries_page(), encoding="utf-8")
