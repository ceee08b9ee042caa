"""Who imports whom in a package, read from its source, wherever in a file an import stands."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import networkx as nx

__all__ = ["Import", "Package", "circles", "imports"]


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, as a file spells it."""

    module: str  # absolute, also for a relative import; empty if it is computed
    name: str = ""  # of `from module import name`
    types_only: bool = False  # under `if TYPE_CHECKING`
    inside: bool = False  # inside a function
    relative: bool = False
    line: int = 0


def imports(path: Path, module: str) -> Iterator[Import]:
    """What a file imports, `import_module` and `__import__` among it; ``module`` is its own
    name.
    """
    reader = _Reader(module, is_package=path.name == "__init__.py")
    reader.visit(ast.parse(path.read_text(), filename=str(path)))
    yield from reader.found


class _Reader(ast.NodeVisitor):
    def __init__(self, module: str, *, is_package: bool) -> None:
        self.package = module if is_package else module.rpartition(".")[0]
        self.found: list[Import] = []
        self.types_only = self.inside = False
        self.importers = {"import_module", "__import__"}  # as they are called in this file

    def _add(self, node: ast.AST, module: str, name: str = "", *, relative: bool = False) -> None:
        line = getattr(node, "lineno", 0)
        self.found.append(Import(module, name, self.types_only, self.inside, relative, line))

    def _absolute(self, name: str, level: int) -> str:
        """The module that ``level`` dots and a name mean here."""
        base = self.package.split(".")[: len(self.package.split(".")) - level + 1]
        return ".".join([*base, *([name] if name else [])])

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node.module or "", node.level) if node.level else node.module or ""
        for alias in node.names:
            if alias.name == "import_module" and alias.asname:
                self.importers.add(alias.asname)
            self._add(node, module, alias.name, relative=node.level > 0)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self.generic_visit(node)
            return
        before, self.types_only = self.types_only, True
        for child in node.body:
            self.visit(child)
        self.types_only = before
        for child in node.orelse:
            self.visit(child)

    def _visit_function(self, node: ast.AST) -> None:
        before, self.inside = self.inside, True
        self.generic_visit(node)
        self.inside = before

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).rpartition(".")[2] in self.importers:
            self._add(node, self._named(node.args[0]) if node.args else "")
        self.generic_visit(node)

    def _named(self, argument: ast.expr) -> str:
        """The module that a call of `import_module` names; empty if its name is computed."""
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            return ""
        name = argument.value.lstrip(".")
        level = len(argument.value) - len(name)
        return self._absolute(name, level) if level else name


@dataclass(frozen=True)
class Package:
    """The modules of a package and what each imports of it."""

    root: Path  # its folder
    computed: Mapping[str, Iterable[str]]  # modules that import a computed name -> what it may be

    @cached_property
    def files(self) -> dict[str, Path]:
        """Modules and their files."""
        return {self._name(path): path for path in sorted(self.root.rglob("*.py"))}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> dict[str, list[Import]]:
        """What each module imports, of this package and of others."""
        return {module: list(imports(path, module)) for module, path in self.files.items()}

    def graph(self, *, types: bool = False) -> nx.DiGraph:
        """An edge from a module to each that it imports; ``types`` adds `TYPE_CHECKING`."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.files)
        for module, names in self.imports.items():
            for found in names:
                if types or not found.types_only:
                    graph.add_edges_from((module, other) for other in self._runs(module, found))
        return graph

    def _runs(self, module: str, found: Import) -> Iterator[str]:
        """Modules that an import runs, without the packages that the module itself is in."""
        targets = [found.module] if found.module else self._computed(module)
        for target in targets:
            whole = f"{target}.{found.name}"
            target = whole if found.name and whole in self.files else target
            while target and not module.startswith(f"{target}."):
                if target in self.files and target != module:
                    yield target
                target = target.rpartition(".")[0]
            if target and target == found.module and whole not in self.files:
                yield target  # a name that a package above gives away

    def _computed(self, module: str) -> list[str]:
        """What a computed name of a module may be, by the patterns that are listed for it."""
        patterns = self.computed.get(module, [])
        return [name for name in self.files for pattern in patterns if fnmatch(name, pattern)]


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """The sets of modules that import each other, directly or through others, each in order."""
    return sorted(
        sorted(found) for found in nx.strongly_connected_components(graph) if len(found) > 1
    )
