"""Who may import whom, read from the source: no import of ours is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# Root modules count as folders. A folder may import itself.
MAY_IMPORT: dict[str, set[str]] = {
    "isp": set(),
    "settings": set(),
    "logs": {"settings"},
    "db": {"isp", "settings"},
    "radius_module": {"isp", "settings"},
    "tasks": {"db", "isp", "settings", "logs"},
    "api": {"db", "isp", "tasks", "settings", "logs"},
    "cli": {"api", "db", "isp", "radius_module", "tasks", "settings", "logs"},
}
OURS = {*MAY_IMPORT, "tests"}

# Of other people's modules.
ONLY_IN = {
    "radiusd": {"radius_module/hooks.py"},  # exists inside FreeRADIUS alone
}

# `cli` answers --help before it loads a database driver or a RADIUS dictionary: its functions may import *others'*
# modules, and the parts of ours that no more than one command needs. Nobody else has a reason.
LAZY_FOLDERS = {"cli"}


def sources(folder: str) -> list[Path]:
    module = CHECKOUT / f"{folder}.py"
    return [module] if module.exists() else sorted((CHECKOUT / folder).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that is imported anywhere, relative imports as `.`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def imports_in_functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node)


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text("utf-8"), str(path))


def top(module: str) -> str:
    return module.partition(".")[0]


EVERY_FILE = [path.relative_to(CHECKOUT) for folder in MAY_IMPORT for path in sources(folder)]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    assert sources(folder), f"{folder} is gone: take it out of MAY_IMPORT"
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{path.relative_to(CHECKOUT)}:{line} imports {module}"
        for path in sources(folder)
        for line, module in imports(parsed(path))
        if top(module) in OURS and top(module) not in allowed
    ]
    assert wrong == []


def test_every_folder_of_code_has_a_rule() -> None:
    folders = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} | {
        path.stem for path in CHECKOUT.glob("*.py")
    }
    # Benchmarks, like tests, may import anything; nothing may import them.
    assert folders - {"bench"} == OURS


@pytest.mark.parametrize("path", EVERY_FILE, ids=str)
def test_imports_are_absolute_and_no_product_code_imports_tests_or_benchmarks(path: Path) -> None:
    wrong = [
        (line, module)
        for line, module in imports(parsed(CHECKOUT / path))
        if top(module) in ("", "tests", "bench", "conftest")
    ]
    assert wrong == []


@pytest.mark.parametrize(("module", "where"), ONLY_IN.items())
def test_a_module_that_exists_in_one_place_is_imported_in_one_place(module: str, where: set[str]) -> None:
    importers = {
        path.as_posix() for path in EVERY_FILE if module in {top(name) for _, name in imports(parsed(CHECKOUT / path))}
    }
    assert importers == where


@pytest.mark.parametrize("path", EVERY_FILE, ids=str)
def test_no_import_hides_in_a_function(path: Path) -> None:
    hidden = list(imports_in_functions(parsed(CHECKOUT / path)))
    if path.parts[0] in LAZY_FOLDERS:
        # To break a cycle one would import one's own folder.
        hidden = [(line, module) for line, module in hidden if top(module) == path.parts[0]]
    assert hidden == []


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_two_modules_import_each_other_by_any_detour() -> None:
    names = {module_name(path) for path in EVERY_FILE}
    graph: dict[str, set[str]] = {}
    for path in EVERY_FILE:
        found: set[str] = set()
        for node in ast.walk(parsed(CHECKOUT / path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from db import tenant` means the module db.tenant where there is one.
                found |= {
                    submodule if (submodule := f"{node.module}.{alias.name}") in names else node.module
                    for alias in node.names
                }
        graph[module_name(path)] = found & names - {module_name(path)}
    # Takes away what imports nothing that is left; whatever stays goes round in a circle.
    while leaves := [name for name, found in graph.items() if not found & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}


def test_the_checks_see_what_they_look_for() -> None:
    tree = ast.parse("import db.plan\nfrom . import x\ndef f():\n    from tests.ports import free_port\n")
    assert sorted(module for _, module in imports(tree)) == [".", "db.plan", "tests.ports"]
    assert list(imports_in_functions(tree)) == [(4, "tests.ports")]
