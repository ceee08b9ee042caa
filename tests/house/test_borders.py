"""The borders between the parts of the package: imports run one way, and every module says what it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "circuitome"
MODULES = sorted(PACKAGE.rglob("*.py"))
EVERYBODY = {
    *("circuitome.errors", "circuitome.vocabulary"),
    *("circuitome.significance", "circuitome.kernels"),
    *("circuitome.filters", "circuitome.tuning"),
}

# part -> what of this package it may import, beside itself and what is for everybody
ALLOWED = {
    "extract": {"circuitome.graphdb", "circuitome.networks"},
    "graphdb": set(),
    "queries": {"circuitome.graphdb"},
    "networks": set(),
    "universality": {"circuitome.graphdb", "circuitome.queries"},
    "thread": {"circuitome.graphdb", "circuitome.queries"},
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
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, outside_functions: bool = False) -> Iterator[str]:
    """Names of the modules that a file imports, `TYPE_CHECKING` blocks left out."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not (outside_functions and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)


def inside(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def files_of(part: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == part]


def test_the_walk_sees_imports_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import a.b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\n"
        "else:\n    import other\nclass C:\n    def f(self):\n        from c import d\n"
    )
    assert sorted(imports(path)) == ["a.b", "c", "other", "typing"]
    assert sorted(imports(path, outside_functions=True)) == ["a.b", "other", "typing"]


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_one_way(part: str) -> None:
    files = files_of(part)
    assert files
    allowed = ALLOWED[part] | EVERYBODY | {f"circuitome.{part}"}
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in files
        for module in imports(path)
        if inside(module, {"circuitome"}) and not inside(module, allowed)
    ]
    assert not wrong


@pytest.mark.parametrize("part", FOREIGN)
def test_heavy_libraries_stay_in_their_part(part: str) -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in files_of(part)
        for module in imports(path)
        if inside(module, FOREIGN[part])
    ]
    assert not wrong


def test_nobody_imports_the_command_line() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in MODULES
        for module in imports(path)
        if inside(module, {"circuitome.cli"})
        and path not in files_of("cli")
        and path.name != "__main__.py"
    ]
    assert not wrong


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
        "import sys, circuitome.queries.database, circuitome.queries.motifs, circuitome.graphdb.stores.embedded, circuitome.networks;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_and_what_it_gives(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree)
    assert docstring
    assert docstring.splitlines()[0].rstrip().endswith((".", ":", "?"))
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
