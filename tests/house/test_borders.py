"""The borders between the parts of the package: imports run one way, and every module says what it
is.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.support.imports import Package, circles, imports

PACKAGE = Package(
    Path(__file__).parents[2] / "circuitome",
    computed={
        "circuitome": [
            "circuitome.extract",
            "circuitome.graphdb.bundle",
            "circuitome.graphdb.export",
            "circuitome.queries.database",
        ],
        "circuitome.extract.annotate.pipeline": ["circuitome.extract.annotate.parts.*"],
        "circuitome.extract.models.factories": [],  # a module that a person names
        "circuitome.extract.models.sources": [],  # the factory of a bundled network
        "circuitome.networks": ["circuitome.networks.menagerie"],
        "circuitome.queries.motifs.registry": [
            f"circuitome.queries.motifs.{path.stem}"
            for path in (Path(__file__).parents[2] / "circuitome/queries/motifs").glob("*.py")
            if "\nMOTIF: Final" in path.read_text(encoding="utf-8")
        ],
    },
)
"""The package, with what its modules may import by a name that they compute."""
GROUND = {
    *("circuitome.errors", "circuitome.vocabulary", "circuitome.significance"),
    *("circuitome.kernels", "circuitome.filters", "circuitome.tuning"),
}
IMAGES = {f"circuitome.extract.{room}" for room in ("stimuli", "responses", "annotate")}

# part -> what of this package it may import, beside itself and the ground
ALLOWED = {
    "extract": {"circuitome.graphdb", "circuitome.networks"},
    "graphdb": set(),
    "queries": {"circuitome.graphdb"},
    "networks": set(),
    "universality": {"circuitome.graphdb", "circuitome.queries"},
    "thread": {"circuitome.graphdb", "circuitome.queries"},
}
# room -> what of its own part it may not import
CLOSED = {
    "extract": IMAGES,  # the modules of the folder itself, not those of its rooms
    "extract.models": IMAGES | {"circuitome.extract.trace"},
    "extract.trace": IMAGES | {"circuitome.extract.models"},
    "extract.stimuli": {"circuitome.extract.responses", "circuitome.extract.annotate"},
    "extract.responses": {"circuitome.extract.annotate"},
    "queries.algorithms": {"circuitome.queries.database"},
}
FOREIGN = {
    "extract": {"kuzu", "neo4j", "typer", "rich"},
    "graphdb": {"torch", "torchvision", "typer", "rich"},
    "queries": {"torch", "torchvision", "kuzu", "neo4j", "typer", "rich"},
    "networks": {"kuzu", "neo4j", "pyarrow", "typer", "rich"},
    "universality": {"torch", "torchvision", "kuzu", "neo4j", "typer", "rich"},
    "thread": {"torch", "torchvision", "kuzu", "neo4j", "typer", "rich"},
    "cli": {"kuzu", "neo4j", "torch"},
}
HEAVY = {
    "torch",
    "torchvision",
    "kuzu",
    "neo4j",
    "pandas",
    "pyarrow",
    "numpy",
    "networkx",
    "safetensors",
    "scipy",
    "sklearn",
}
# module -> what it imports inside a function, and why; a command of `circuitome.cli` does so as it
# likes
LAZY = {
    "circuitome": {""},  # each name of the package when it is first asked for
    "circuitome.extract.annotate.pipeline": {""},  # a part of the annotation
    "circuitome.extract.models.factories": {""},  # a person's module
    "circuitome.extract.models.sources": {"", "torchvision"},  # a bundled factory, a zoo
    "circuitome.extract.stimuli.images": {"PIL"},  # only `--images` reads pictures
    "circuitome.graphdb.drafts": {"fcntl"},  # not on Windows
    "circuitome.graphdb.schema": {"pyarrow"},  # the command line names the parts of the annotation
    "circuitome.graphdb.schema_types": {"pyarrow"},
    "circuitome.graphdb.stores.opening": {  # only the engine that an address names
        "circuitome.graphdb.stores.embedded",
        "circuitome.graphdb.stores.neo4j",
    },
    "circuitome.graphdb.stores.embedded": {"fcntl"},
    "circuitome.networks": {"", "safetensors.torch"},  # torch and the scenes
    "circuitome.queries.motifs.own": {"circuitome.graphdb.stores.scratch"},  # kuzu
    "circuitome.significance": {"scipy.stats", "sklearn.metrics"},  # half a second each
}


def inside(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def modules_of(part: str) -> list[str]:
    """The modules of a part or room; of `extract` those of its rooms, too."""
    return [module for module in PACKAGE.files if inside(module, [f"circuitome.{part}"])]


def imported(module: str) -> list[str]:
    """What a module imports at run time, as dotted names that end in the imported name."""
    found = [one for one in PACKAGE.imports[module] if not one.types_only]
    return [f"{one.module}.{one.name}" if one.name else one.module for one in found]


def crossing(modules: Iterable[str], packages: Iterable[str]) -> list[str]:
    """The imports that lead from modules into packages, in words."""
    return [
        f"{module} imports {name}"
        for module in modules
        for name in imported(module)
        if inside(name, packages)
    ]


def test_the_walk_sees_imports_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import a.b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\n"
        "else:\n    import other\nclass C:\n    def f(self):\n        from c import d\n"
        "        importlib.import_module('e.f')\n        import_module(name)\n"
        "from ..g import h\nfrom . import i\n"
    )
    found = list(imports(path, "p.q.m"))
    assert {(one.module, one.name) for one in found if not one.types_only} == {
        *(("a.b", ""), ("typing", "TYPE_CHECKING"), ("other", ""), ("c", "d"), ("e.f", "")),
        *(("", ""), ("p.g", "h"), ("p.q", "i")),
    }
    assert [one.module for one in found if one.types_only] == ["hidden"]
    assert [one.module for one in found if one.inside] == ["c", "e.f", ""]
    assert [one.name for one in found if one.relative] == ["h", "i"]


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_one_way(part: str) -> None:
    modules = modules_of(part)
    assert modules
    allowed = ALLOWED[part] | GROUND | {f"circuitome.{part}"}
    wrong = [
        f"{module} imports {name}"
        for module in modules
        for name in imported(module)
        if inside(name, ["circuitome"]) and not inside(name, allowed)
    ]
    assert not wrong


@pytest.mark.parametrize("room", CLOSED)
def test_rooms_of_a_part_are_open_one_way(room: str) -> None:
    modules = modules_of(room)
    if room == "extract":
        modules = [module for module in modules if "circuitome.extract" in (module, up(module))]
        modules.remove("circuitome.extract")  # its `__init__` gives away the names of all rooms
    assert modules
    assert not crossing(modules, CLOSED[room])


def up(module: str) -> str:
    return module.rpartition(".")[0]


def test_the_ground_stands_on_nothing_of_the_package() -> None:
    modules = [module for module in PACKAGE.files if inside(module, GROUND)]
    wrong = [
        f"{module} imports {name}"
        for module in modules
        for name in imported(module)
        if inside(name, ["circuitome", "torch"]) and not inside(name, GROUND)
    ]
    assert modules
    assert not wrong


@pytest.mark.parametrize("part", FOREIGN)
def test_heavy_libraries_stay_in_their_part(part: str) -> None:
    modules = modules_of(part)
    if part == "cli":  # a command imports what it needs when it runs
        wrong = [
            f"{module} imports {one.module}"
            for module in modules
            for one in PACKAGE.imports[module]
            if inside(one.module, FOREIGN[part]) and not (one.types_only or one.inside)
        ]
    else:
        wrong = crossing(modules, FOREIGN[part])
    assert not wrong


def test_imports_inside_functions_are_listed_by_name() -> None:
    found = {
        module: {one.module for one in PACKAGE.imports[module] if one.inside}
        for module in PACKAGE.files
        if not inside(module, ["circuitome.cli"])
    }
    unlisted = {module: names - LAZY.get(module, set()) for module, names in found.items()}
    assert not {module: names for module, names in unlisted.items() if names}


def test_imports_are_absolute() -> None:
    assert not [
        f"{module}:{one.line}"
        for module in PACKAGE.files
        for one in PACKAGE.imports[module]
        if one.relative
    ]


def test_computed_imports_are_listed_by_name() -> None:
    computed = {
        module for module in PACKAGE.files if "" in {i.module for i in PACKAGE.imports[module]}
    }
    assert computed <= set(PACKAGE.computed)


@pytest.mark.parametrize("types", [False, True], ids=["at run time", "of types"])
def test_no_module_imports_itself_through_others(types: bool) -> None:
    """Nobody imports in a circle, by whatever form of import, at run time or only for types.

    A circle of types does no harm when the program runs, but it binds the same modules together:
    neither can be read, moved or tested without the other. So types, too, come from below: a
    protocol or a value's own module.
    """
    assert not list(circles(PACKAGE.graph(types=types)))


PLANTED = {
    "at the top": ({"a": "import p.b", "b": "import p.a"}, "a b"),
    "from a package": ({"a": "from p import b", "b": "from p import a"}, "a b"),
    "a name of a module": ({"a": "from p.b import x", "b": "x = 1\nfrom p.a import y"}, "a b"),
    "relative": ({"a": "from .b import x", "b": "from . import a"}, "a b"),
    "relative, from below": (
        {"r/__init__": "", "r/a": "from .. import b", "b": "import p.r.a"},
        "b r.a",
    ),
    "inside a function": ({"a": "def f():\n    import p.b", "b": "import p.a"}, "a b"),
    "in a method of a class": (
        {
            "a": "class C:\n    async def f(self):\n        from p.b import x",
            "b": "from p import a",
        },
        "a b",
    ),
    "by import_module": (
        {"a": "import importlib\nimportlib.import_module('p.b')", "b": "import p.a"},
        "a b",
    ),
    "by import_module, relative": (
        {"a": "from importlib import import_module as get\nget('.b', 'p')"} | {"b": "import p.a"},
        "a b",
    ),
    "by __import__": ({"a": "__import__('p.b')", "b": "import p.a"}, "a b"),
    "by a computed name": (
        {"computed": "import_module(name)", "b": "import p.computed"},
        "b computed",
    ),
    "through a name that a package gives away": (
        {"r/__init__": "from p.r.a import x", "r/a": "import p.b", "b": "from p.r import x"},
        "b r r.a",
    ),
    "through the package's own name": (
        {"r/__init__": "from p.r.a import x", "r/a": "from p.r import x"},
        "r r.a",
    ),
    "through a package that runs first": (
        {"r/__init__": "import p.b", "r/a": "", "b": "import p.r.a"},
        "b r",
    ),
    "of three": ({"a": "import p.b", "b": "import p.c", "c": "import p.a"}, "a b c"),
    "in a branch": (
        {"a": "try:\n    import p.b\nexcept ImportError:\n    pass", "b": "import p.a"},
        "a b",
    ),
}
TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.b"


def planted(folder: Path, files: Mapping[str, str]) -> Package:
    """A package `p` with files of these names and texts."""
    for name, text in {"__init__": "", **files}.items():
        path = folder / "p" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Package(folder / "p", computed={"p.computed": ["p.b"]})


@pytest.mark.parametrize("files, circle", PLANTED.values(), ids=PLANTED)
def test_a_planted_circle_is_found(tmp_path: Path, files: dict[str, str], circle: str) -> None:
    found = circles(planted(tmp_path, files).graph())
    assert found == [[f"p.{name}" for name in circle.split()]]


def test_a_planted_circle_of_types_is_found_as_such(tmp_path: Path) -> None:
    package = planted(tmp_path, {"a": TYPED, "b": "import p.a"})
    assert circles(package.graph()) == []
    assert circles(package.graph(types=True)) == [["p.a", "p.b"]]


def test_a_package_that_gives_away_names_of_its_modules_is_no_circle(tmp_path: Path) -> None:
    files = {
        "r/__init__": "from p.r.a import x",
        "r/a": "from p.r.b import y",
        "r/b": "",
        "c": "import p.r",
    }
    assert circles(planted(tmp_path, files).graph(types=True)) == []


def test_nobody_imports_the_command_line() -> None:
    others = PACKAGE.files.keys() - {*modules_of("cli"), "circuitome.__main__"}
    assert not crossing(sorted(others), ["circuitome.cli"])


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = f"import sys, circuitome.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = f"import sys, circuitome; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_queries_and_databases_work_without_torch() -> None:
    code = (
        "import sys, circuitome.queries.database, circuitome.queries.motifs, "
        "circuitome.graphdb.stores.embedded, circuitome.networks;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", PACKAGE.files.values(), ids=PACKAGE.files)
def test_every_module_says_what_it_is_and_what_it_gives(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree)
    assert docstring
    assert docstring.split("\n\n")[0].rstrip().endswith((".", ":", "?"))
    names = {
        target.id
        for node in tree.body
        for target in (
            node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        )
        if isinstance(target, ast.Name)
    }
    assert "__all__" in names or not [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]


def test_the_library_can_be_used_from_one_name() -> None:
    code = """
import circuitome.extract.models.resolve
import circuitome
from circuitome import extract, verify, Bundle, open_store, to_networkx, __version__
assert circuitome.extract is extract and callable(extract) and callable(verify)
assert set(circuitome.__all__) <= set(dir(circuitome))
import circuitome.extract.models.resolve as again
assert again.resolve is circuitome.extract.models.resolve.resolve
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import circuitome

    with pytest.raises(AttributeError, match="nothing_like_it"):
        circuitome.nothing_like_it  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
