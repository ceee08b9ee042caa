"""Argument lines that are right, nearly right or anything but."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["random_arguments"]

# fmt: off
_WORDS: Final = (
    "extract", "annotate", "verify", "check", "load", "drop", "models", "query", "motifs", "neuron",
    "circuit", "families", "export", "schema", "-o", "--db", "-p", "--json", "--limit", "--timeout",
    "--model", "--layer", "--weights", "--name", "--keep", "--seed", "--input-size", "--mean",
    "--top", "--span", "--format", "-f", "--q", "--depth", "-k", "--least", "--direction", "--list",
    "--show", "--unsafe", "--help", "--version", "--", "-", "", "tiny.circuitome", "circuitome.db",
    "nets.py", "nets.py:tiny", "nets.py:nobody", "tiny", "other", "nowhere", ".", "inputs",
    "neuron=tiny/first:0", "neuron=first:99", "neurons", "layer=left", "superposition", "first:0",
    "left:2", "0", "1", "-1", "2", "1e9", "99999999999999999999", "nan", "inf", "0.5", "all",
    "none", "random", "3,16,16", "a=b", "networkx", "graphml", "bolt://127.0.0.1:9", "neo4j://",
    "://", "http://x", "=", "=x", "x=", "~", "..", "/", "/dev/null", "\u001b[31m", "caf\u00e9",
    "\u202e", "x" * 5000, "' OR 1=1 --", "${HOME}", "`ls`", "*", "\udcff", "a\nb", "[" * 3000,
)
# fmt: on


# fmt: off
_VALUES: Final = (
    "0", "1", "2", "-1", "7", "0.5", "1e-300", "1e9", "nan", "inf", "99999999999999999999",
    "9223372036854775807", "", " ", "all", "first:0", "tiny/0:0", "0:0", "3:2", "0:99", "tiny/0",
    "3", "tiny", "nobody", "tiny.circuitome", "circuitome.db", "true", "random", "3,8,8", "[1, 2]",
    "[]", "{}", "null", "a,b", "\u001b[31m", "\u202e", "caf\u00e9", "x" * 5000, "' }) //",
    "[" * 3000,
)
# fmt: on


_LINES: Final = (
    "query inputs -p neuron=3:0 --limit 2 --timeout 5",
    "query neurons --limit 3 --json",
    "query strongest_paths -p source=input:0 -p target=3:1 -p k=3",
    'query look_up -p neurons=["tiny/0:0"]',
    "query hubs -p strength=0.5 -p limit=3",
    "circuit 3:0 --depth 2 -k 3 --least 0.1",
    "neuron 3:2 --limit 2 --json",
    "families --layer 0 --model tiny",
    "export --format graphml --model tiny -o out.xml",
    "extract nets.py:tiny --input-size 3,8,8 --keep 0.9 --top 3 --seed 4 --name a",
    "extract nets.py:tiny --input-size 3,8,8 --mean 0,0,0 --std 1,1,1 --span 1 -o b",
    "annotate tiny.circuitome --families mine.csv",
    "motifs superposition --model tiny",
    "check tiny.circuitome",
    "models --db circuitome.db",
    "query hubs -p strength=0.5",
    "schema --json",
    "verify tiny.circuitome nets.py:tiny",
    "drop nobody",
)


def random_arguments(rng: random.Random) -> list[str]:
    """An argument line: any words, or one that is nearly right with a word that is not."""
    kind = rng.random()
    if kind < 0.2:
        return [rng.choice(_WORDS) for _ in range(rng.randrange(1, 7))]
    line: list[str] = list(rng.choice(_LINES).split())
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
