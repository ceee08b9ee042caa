"""The query files: headers, parameters, dialects, documentation. No database is needed."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitome import vocabulary
from circuitome.graphdb.schema import NODES
from circuitome.queries.catalogue import find_query, library
from circuitome.queries.clauses import columns_of
from circuitome.queries.errors import QueryError
from circuitome.queries.lint import RULES, dangers, lint, lint_query
from circuitome.queries.motifs import MOTIFS
from circuitome.queries.pages import queries_page
from circuitome.queries.query_file import LIBRARY, Query, load_file, load_folder
from circuitome.queries.values import TYPES, Parameter, Typed, bind, convert

DOCS = Path(__file__).parents[2] / "docs" / "queries.md"

GOOD = """\
// The neurons of a model.
//
// params:
//   model (model): the model
//   limit (integer = 5): at most so many
//     rows
// returns:
//   neuron: key of the neuron
//
// Prose.
MATCH (n:Neuron) WHERE n.model = $model RETURN n.key AS neuron ORDER BY neuron LIMIT $limit
"""

CAUGHT = {
    "distinct-last": "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) "
    "RETURN b.key AS key, count(DISTINCT a.layer) AS x, sum(r.share) AS y ORDER BY key",
    "same-edge-twice": "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)<-[s:EXCITES]-(c:Neuron) RETURN "
    "a.key AS key ORDER BY key",
    "list-index": "MATCH (l:Layer) RETURN l.kernel[0] AS height, l.key AS key ORDER BY key",
    "substring": "MATCH (n:Neuron) RETURN substring(n.key, 0, 3) AS x, n.key AS key ORDER BY key",
    "log": "MATCH (n:Neuron) RETURN log(n.bias) AS x, n.key AS key ORDER BY key",
    "ln": "MATCH (n:Neuron) RETURN ln(n.bias) AS x, n.key AS key ORDER BY key",
    "null-aggregate": "MATCH (n:Neuron) RETURN sum(n.bias) AS x",
    "several-labels": "MATCH (n:Neuron:Layer) RETURN n.key AS key ORDER BY key",
    "undirected": "MATCH (a:Neuron)-[r:EXCITES]-(b:Neuron) RETURN a.key AS key ORDER BY key",
    "unbounded": "UNWIND range(1, $n) AS i MATCH (n:Neuron) RETURN n.key AS key ORDER BY key",
    "list-predicate": "MATCH (n:Neuron) WITH n, collect(n.bias) AS xs "
    "WHERE all(x IN xs WHERE x > 0) RETURN n.key AS key ORDER BY key",
    "bare-flag": "MATCH (n:Neuron) WITH n.key AS key, n.bias > 0 AS up "
    "RETURN key, CASE WHEN up THEN 1 ELSE 2 END AS x ORDER BY key",
    "type": "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) RETURN type(r) AS x, a.key AS key ORDER BY "
    "key",
    "label": "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) RETURN label(r) AS x, a.key AS key ORDER "
    "BY key",
    "id": "MATCH (n:Neuron) RETURN elementId(n) AS x, n.key AS key ORDER BY key",
    "hops": "MATCH (a:Neuron)-[r:EXCITES*1..3]->(b:Neuron) RETURN a.key AS key ORDER BY key",
    "path-functions": "MATCH p = (a:Neuron)-[r:EXCITES]->(b:Neuron) RETURN nodes(p) AS x, a.key "
    "AS key ORDER BY key",
    "comprehension": "MATCH (l:Layer) RETURN [x IN l.kernel | x + 1] AS x, l.key AS key ORDER BY "
    "key",
    "cast": "MATCH (n:Neuron) RETURN toInteger(n.bias) AS x, n.key AS key ORDER BY key",
    "missing-function": "MATCH (n:Neuron) RETURN n.layer AS x, stDev(n.bias) AS sd, min(n.key) "
    "AS k ORDER BY x",
    "subquery": "MATCH (n:Neuron) WHERE EXISTS { (n)-[:EXCITES]->() } RETURN n.key AS key ORDER "
    "BY key",
    "neo4j-only": "MATCH (n:Neuron WHERE n.bias > 0)-[r:EXCITES]->(b:Neuron) RETURN n.key AS key "
    "ORDER BY key",
    "label-predicate": "MATCH (n) WHERE n:Neuron RETURN n.key AS key ORDER BY key",
    "with-order": "MATCH (n:Neuron) WITH n ORDER BY n.bias RETURN n.key AS key ORDER BY key",
    "limit-order": "MATCH (n:Neuron) WITH n LIMIT 5 RETURN n.key AS key ORDER BY key",
    "alias": "MATCH (n:Neuron) RETURN n.key AS n ORDER BY n",
    "comma": "MATCH (n:Neuron) RETURN n.bias AS x, n.key AS key ORDER BY x , key",
    "order": "MATCH (n:Neuron) RETURN n.key AS key, n.bias AS x ORDER BY x",
    "schema": "MATCH (n:Neuron) RETURN n.wieght AS x, n.key AS key ORDER BY key",
    "spliced": "MATCH (n:Neuron) WHERE n.model = {model} RETURN n.key AS key ORDER BY key",
    "parameter-place": "MATCH (n:$label) RETURN n.key AS key ORDER BY key",
    "writes": "MATCH (n:Neuron) SET n.bias = 0 RETURN n.key AS key ORDER BY key",
}

ALSO_CAUGHT = [
    ("same-edge-twice", "MATCH (a:Neuron)-[r]->(b:Neuron), (c:Neuron)-[s]->(d:Neuron) RETURN "
                        "a.key AS key ORDER BY key"),
    ("null-aggregate", "MATCH (n:Neuron) OPTIONAL MATCH (n)-[r:EXCITES]->(b:Neuron) "
     "WITH n, sum(r.share) AS x RETURN n.key AS key, x ORDER BY key"),
    ("order", "MATCH (n:Neuron) RETURN n.key AS key"),
    ("order", "MATCH (n:Neuron) RETURN n.key AS key ORDER BY n.key DESC, n.bias"),
    ("hops", "MATCH p = shortestPath((a:Neuron)-[:EXCITES]->(b:Neuron)) RETURN a.key AS key "
             "ORDER BY key"),
    ("neo4j-only", "MATCH (n:Neuron) CALL { WITH n RETURN 1 AS x } RETURN n.key AS key ORDER BY "
                   "key"),
    ("schema", "MATCH (n:Neurone) RETURN n.key AS key ORDER BY key"),
    ("schema", "MATCH (a:Neuron)-[r:EXITES|INHIBITS]->(b:Neuron) RETURN a.key AS key ORDER BY key"),
    ("subquery", "MATCH (n:Neuron) WHERE COUNT { (n)-[:EXCITES]->() } > 1 RETURN n.key AS key "
                 "ORDER BY key"),
    ("spliced", "MATCH (n:Neuron) WHERE n.bias > %s RETURN n.key AS key ORDER BY key"),
]  # fmt: skip

CLEAN = [
    "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)<-[s:EXCITES]-(c:Neuron) WHERE r <> s RETURN a.key "
    "AS key ORDER BY key",
    "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)<-[s:EXCITES]-(c:Neuron) WHERE a.key < c.key RETURN "
    "a.key AS key ORDER BY key",
    "MATCH (a:Neuron)-[:EXCITES]->(b:Neuron)-[:EXCITES]->(c:Neuron) RETURN a.key AS key ORDER BY "
    "key",
    "MATCH (a:Neuron)-[:EXCITES]->(b:Neuron)<-[:INHIBITS]-(c:Neuron) RETURN a.key AS key ORDER "
    "BY key",
    "MATCH (n:Neuron) WHERE n.layer IN ['type(x)', 'SET'] RETURN count(n) AS neurons // log(x), "
    "n:A:B",
    "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) RETURN b.key AS key, sum(r.share) AS y, "
    "count(DISTINCT a.layer) AS x ORDER BY key",
    "MATCH (n:Neuron) WHERE EXISTS { MATCH (n)-[:EXCITES]->() } RETURN n.key AS key ORDER BY "
    "n.bias DESC, key DESC",
]


def every_query() -> list[Query]:
    return list(library().values())


def write(folder: Path, text: str, name: str = "topic/mine.cypher") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_query_file_is_in_the_library_and_passes_the_linter() -> None:
    files = list(LIBRARY.rglob("*.cypher"))
    assert len(files) >= 15, "the library's folder is empty or was not found"
    assert {file.name.split(".")[0] for file in files} == load_folder().keys()
    problems = [(query.name, problem) for query in every_query() for problem in lint_query(query)]
    assert problems == []


def test_every_rule_of_the_linter_has_a_text_that_it_catches() -> None:
    assert CAUGHT.keys() == {rule.name for rule in RULES}


@pytest.mark.parametrize("rule, text", [*CAUGHT.items(), *ALSO_CAUGHT])
def test_a_rule_catches_its_text(rule: str, text: str) -> None:
    assert rule in {problem.rule for problem in lint(text)}


@pytest.mark.parametrize("text", CLEAN)
def test_the_linter_lets_a_good_text_pass(text: str) -> None:
    assert lint(text) == []


def test_a_problem_names_its_line() -> None:
    assert [
        problem.line
        for problem in lint(
            "MATCH (n:Neuron)\nRETURN n.key AS key,\n log(n.bias) AS x ORDER BY key"
        )
    ] == [3]


def test_a_rule_of_one_engine_leaves_the_other_alone() -> None:
    text = CAUGHT["list-predicate"]
    assert "list-predicate" not in {problem.rule for problem in lint(text, dialect="neo4j")}
    assert dangers(text, dialect="neo4j") == []
    assert [problem.rule for problem in dangers(text, dialect="kuzu")] == ["list-predicate"]


def test_a_header_becomes_title_parameters_columns_and_prose(tmp_path: Path) -> None:
    query = load_file(write(tmp_path, GOOD), strict=True)
    assert (query.name, query.title, query.doc) == ("mine", "The neurons of a model.", "Prose.")
    assert query.parameters == (
        Parameter("model", "model", "the model"),
        Parameter("limit", "integer", "at most so many rows", 5, required=False),
    )
    assert [output.name for output in query.returns] == ["neuron"]
    assert query.text.startswith("MATCH")


@pytest.mark.parametrize(
    "old, new, message",
    [
        (
            "= $model",
            "= $model AND n.layer = $modl",
            r"\$modl is used and not declared; did you mean `model`",
        ),
        ("LIMIT $limit", "", "`limit` is declared and not used"),
        ("(integer = 5)", "(integr = 5)", "no known type `integr`; did you mean `integer`"),
        ("(integer = 5)", "(integer = five)", "the default five of `limit` is not a whole number"),
        ("limit (integer = 5):", "limit integer:", "cannot read the parameter"),
        ("neuron: key of", "unit: key of", "it returns neuron and documents unit"),
        ("//   limit", "//   model (model): again\n//   limit", "declared twice"),
        ("limit", "timeout", "cannot be called `timeout`"),
        (GOOD[GOOD.index("MATCH") :], "", "no Cypher in it"),
        (GOOD[: GOOD.index("MATCH")], "", "no header"),
    ],
)
def test_a_file_that_does_not_agree_with_its_header_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(QueryError, match=message) as error:
        load_file(path, strict=True)
    assert str(path) in str(error.value)


def test_a_users_file_needs_no_header(tmp_path: Path) -> None:
    query = load_file(
        write(
            tmp_path,
            "MATCH (n:Neuron {key: $key}) WHERE n.bias > $least RETURN n.key // $not",
            "x.cypher",
        )
    )
    assert [(p.name, p.type, p.required) for p in query.parameters] == [
        ("key", "any", True),
        ("least", "any", True),
    ]


def test_a_users_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"gone\.cypher: no such file"):
        find_query(tmp_path / "gone.cypher")
    (tmp_path / "binary.cypher").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(QueryError, match=r"binary\.cypher: cannot be read as UTF-8"):
        find_query(str(tmp_path / "binary.cypher"))


def test_a_variant_is_the_text_of_its_engine_and_obeys_the_same_header(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    variant = write(
        tmp_path,
        "// Why it parts.\n" + GOOD[GOOD.index("MATCH") :].replace("n:", "n :"),
        "topic/mine.kuzu.cypher",
    )
    query = load_folder(tmp_path)["mine"]
    assert query.text_for("kuzu").startswith("MATCH (n :Neuron)")
    assert query.text_for("neo4j").startswith("MATCH (n:Neuron)")
    variant.write_text("MATCH (n:Neuron) RETURN n.key AS neuron")
    with pytest.raises(
        QueryError, match=r"mine\.kuzu\.cypher: the parameter `model` is declared and not used"
    ):
        load_folder(tmp_path)


def test_a_line_for_kuzu_stands_before_return_in_its_text_alone(tmp_path: Path) -> None:
    good = GOOD.replace("// returns:", "// kuzu: HINT (n JOIN m)\n// returns:")
    write(tmp_path, good.replace(" RETURN", "\nRETURN"))
    query = load_folder(tmp_path)["mine"]
    assert "= $model\nHINT (n JOIN m)\nRETURN n.key" in query.text_for("kuzu")
    assert "HINT" not in query.text_for("neo4j")
    write(tmp_path, good)
    with pytest.raises(QueryError, match="`kuzu:` needs one line that begins with RETURN"):
        load_folder(tmp_path)


def test_traits_of_stimuli_stand_for_the_kinds_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = GOOD.replace("= $model", "= $model AND n.kind IN stimuli('round', 'grey')")
    path = write(tmp_path, asked)
    assert "n.kind IN ['circle', 'centre_surround'] RETURN" in load_folder(tmp_path)["mine"].text
    more = dict(vocabulary.STIMULI) | {"ring": frozenset({"round", "grey"})}
    monkeypatch.setattr(vocabulary, "STIMULI", more)
    assert "['circle', 'centre_surround', 'ring']" in load_folder(tmp_path)["mine"].text
    path.write_text(asked.replace("'round'", "'square'"))
    with pytest.raises(QueryError, match=r"mine\.cypher: no stimulus has the trait 'square'; the"):
        load_folder(tmp_path)


def test_no_query_names_kinds_that_share_a_trait_one_by_one() -> None:
    """A list of kinds in a file would not follow the vocabulary."""
    lists = r"kind IN \["
    assert [
        file.name for file in LIBRARY.rglob("*.cypher") if re.search(lists, file.read_text())
    ] == []


def test_a_variant_alone_and_a_name_used_twice_are_refused(tmp_path: Path) -> None:
    lonely = write(tmp_path / "a", GOOD, "topic/mine.kuzu.cypher")
    with pytest.raises(QueryError, match=r"a variant without mine\.cypher beside it"):
        load_folder(lonely.parents[1])
    write(tmp_path / "b", GOOD, "one/mine.cypher")
    write(tmp_path / "b", GOOD, "two/mine.cypher")
    with pytest.raises(QueryError, match="another query is called `mine`"):
        load_folder(tmp_path / "b")


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(
        QueryError, match="no query is called 'shared_input'; did you mean `shared_inputs`"
    ):
        find_query("shared_input")
    with pytest.raises(QueryError, match="--list"):
        find_query("zzz")


def test_dashes_and_underscores_are_the_same_in_names() -> None:
    assert find_query("weight-banding") is find_query("weight_banding")


@pytest.mark.parametrize(
    "kind, given_value, value",
    [
        ("integer", "12", 12),
        ("integer", 12.0, 12),
        ("integer", np.int64(12), 12),
        ("float", "1e-3", 0.001),
        ("float", 2, 2.0),
        ("boolean", "True", True),
        ("boolean", "no", False),
        ("string", "12", "12"),
        ("list of string", "a, b", ["a", "b"]),
        ("list of string", '["a,b"]', ["a,b"]),
        ("list of integer", "1,2", [1, 2]),
        ("list of float", np.array([0.5, 1.0]), [0.5, 1.0]),
        ("any", "12", "12"),
        ("any", Typed("12"), 12),
        ("any", Typed("[1, 2]"), [1, 2]),
        ("any", Typed("toy/conv1:3"), "toy/conv1:3"),
    ],
)
def test_a_value_becomes_one_of_the_declared_type(kind: str, given_value: Any, value: Any) -> None:
    converted = convert("q", Parameter("x", kind, ""), given_value)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    "kind, value",
    [
        ("integer", "1.5"),
        ("integer", 1.5),
        ("integer", True),
        ("integer", None),
        ("float", "nan"),
        ("float", math.inf),
        ("float", "strong"),
        ("boolean", "maybe"),
        ("string", 5),
        ("neuron", 5),
        ("list of integer", "1,x"),
        ("list of string", "[1"),
        ("list of float", 5),
        ("list of float", {"a": 1}),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_wanted(kind: str, value: Any) -> None:
    with pytest.raises(QueryError, match=r"hubs: `x` cannot be .*; give ") as error:
        convert("hubs", Parameter("x", kind, ""), value)
    assert TYPES[kind][1] in str(error.value)


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.integers()))
def test_numbers_survive_the_way_through_text(
    integer: int, number: float, numbers: list[int]
) -> None:
    declared = (
        Parameter("a", "integer", ""),
        Parameter("b", "float", ""),
        Parameter("c", "list of integer", ""),
    )
    texts = {"a": str(integer), "b": repr(number), "c": str(numbers)}
    assert bind("q", declared, texts) == {"a": integer, "b": number, "c": numbers}


def test_parameters_are_checked_both_ways() -> None:
    hubs = library()["hubs"]
    with pytest.raises(QueryError, match="hubs: no parameter `strenght`; did you mean `strength`"):
        bind("hubs", hubs.parameters, {"model": "toy", "strenght": 2})
    with pytest.raises(QueryError, match="hubs: the parameter `model` is missing"):
        bind("hubs", hubs.parameters, {})
    assert bind("hubs", hubs.parameters, {"model": "toy"}) == {
        "model": "toy",
        "strength": 2.0,
        "limit": 20,
    }


RENAMED = [
    (query.name, old, parameter.name)
    for query in library().values()
    for parameter in query.parameters
    for old in parameter.formerly
]


def test_the_parameters_called_least_have_names_that_say_of_what() -> None:
    assert sum(old == "least" for _, old, _ in RENAMED) == 19  # sixteen files, three algorithms
    assert not any(p.name == "least" for query in library().values() for p in query.parameters)


@pytest.mark.parametrize(("name", "old", "new"), RENAMED)
def test_an_old_name_of_a_parameter_is_refused_with_the_new_one(
    name: str, old: str, new: str
) -> None:
    query = library()[name]
    needed = {p.name: "text" for p in query.parameters if p.required}
    with pytest.raises(QueryError, match=f"{name}: the parameter `{old}` is called `{new}` now"):
        bind(name, query.parameters, {**needed, old: 1})


@pytest.mark.parametrize("line", ["most -> rows", "model -> limit"])
def test_a_line_of_renamed_parameters_that_does_not_fit_them_is_refused(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "q.cypher"
    path.write_text(GOOD.replace("// returns:", f"// renamed: {line}\n// returns:"))
    with pytest.raises(QueryError, match=f"`renamed: {line}` does not fit the parameters"):
        load_file(path)


def test_the_text_for_the_browser_sets_every_parameter_before_the_cypher() -> None:
    text = library()["inputs"].browser_text({"neuron": "toy/conv1:0", "limit": Typed("7")})
    assert text.splitlines()[:4] == [
        "// What a neuron reads: its strongest inputs.",
        ':param neuron => "toy/conv1:0";',
        ":param limit => 7;",
        "MATCH (n:Neuron {key: $neuron})<-[r:EXCITES|INHIBITS]-(a:Neuron)",
    ]
    assert text.endswith("LIMIT $limit;\n")


def test_every_query_says_what_it_takes_and_gives() -> None:
    for query in every_query():
        assert query.title.endswith("."), query.name
        assert query.returns, query.name
        assert all(item.doc for item in (*query.parameters, *query.returns)), query.name
        assert all(parameter.type != "any" for parameter in query.parameters), query.name


def test_every_motif_query_has_a_module_of_the_same_name_and_says_that_it_is_no_finding() -> None:
    motifs = {query.name: query for query in every_query() if query.topic == "motifs"}
    assert motifs.keys() == MOTIFS.keys()
    for name, query in motifs.items():
        columns = {column for part in MOTIFS[name].definition.parts for column in part.columns}
        assert columns | {"score"} <= {output.name for output in query.returns}
        assert "not a finding" in query.doc


def test_columns_are_read_from_the_text() -> None:
    text = (
        "MATCH (n:Neuron) WITH n, count(n) AS c RETURN DISTINCT n.key AS `key`, c, [1, 2] AS "
        "xs ORDER BY c LIMIT $limit"
    )
    assert columns_of(text) == ("key", "c", "xs")


def test_the_page_of_queries_is_the_one_made_from_the_headers() -> None:
    cure = "run `python -m circuitome.queries.pages docs/queries.md`"
    assert DOCS.read_text(encoding="utf-8") == queries_page(), cure


def test_the_library_asks_only_for_labels_of_the_schema() -> None:
    labels = {"Neuron", "Layer", "Model", "Block", "Branch", "Family"}
    assert labels <= NODES.keys()
    assert all(any(f":{label}" in query.text for label in NODES) for query in every_query())
