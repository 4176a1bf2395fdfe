"""Who may import whom. The arrows are checked on the syntax of the exported package, so a hidden import inside a function counts too."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from notebooks import ROOT, modules, notebooks

PACKAGE = ROOT / "trendflow"
COMPONENTS = ("providers", "visual", "audio", "text")
SAME = "earlier pages of its own layer"
MAY = {                                                     # layer → layers that it may import; SAME by notebook number
    "core": {SAME},
    "kit": {"core", SAME},
    "segment": {"core", "kit", SAME},
    "component": {"core", "kit"},
    "run": {"core", "kit", "segment", SAME},                # kit.assets: digests of data files are part of a component's key
    "views": {"core", SAME},
    "learn": {"core", "kit", "views", SAME},
    "app": {"core", "kit", "segment", "run", "views", "learn", SAME},
}
CORE_NEEDS = {"numpy", "filelock"}
SLOW_TO_IMPORT = {"torch", "torchvision", "open_clip", "ultralytics", "mediapipe", "librosa", "catboost", "lightgbm", "tritonclient", "dask",
                  "distributed"}
MODULES = modules()
NUMBERS = {nb.module: nb.number for nb in notebooks() if nb.module}


def word(path: Path) -> str: return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def layer(module: str) -> str:
    package = module.split(".")[0]
    return "component" if package in COMPONENTS else package


@cache
def nodes(path: Path, top_level: bool) -> tuple[ast.AST, ...]:
    "The syntax of a module; with `top_level` only what runs when it is imported."
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        later = for_types or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if not (top_level and later): waiting += ast.iter_child_nodes(node)
    return tuple(found)


def imports(path: Path, top_level: bool = False) -> Iterator[str]:
    "Absolute names of what a module imports."
    package = ["trendflow", *path.relative_to(PACKAGE).parts[:-1]]
    for node in nodes(path, top_level):
        if isinstance(node, ast.Import): yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            whole = base.startswith("trendflow") and base.count(".") < 2       # from trendflow.core import artifact
            yield from (f"{base}.{alias.name}" if whole else base for alias in node.names)


@cache
def own(path: Path) -> frozenset[str]:
    "Modules of this package that a module imports, such as core.errors."
    names, known = {n.removeprefix("trendflow.") for n in imports(path) if n.startswith("trendflow.")}, {word(p) for p in MODULES}
    return frozenset(n if n in known else n.rpartition(".")[0] for n in names if {n, n.rpartition(".")[0]} & known)


@pytest.mark.parametrize("path", MODULES, ids=word)
def test_arrows(path: Path) -> None:
    me, faults = word(path), []
    for other in sorted(own(path)):
        here, there = layer(me), layer(other)
        if here != there:
            if there not in MAY[here]: faults.append(f"{me} imports {other}: {here} may import {sorted(MAY[here])}")
        elif SAME not in MAY[here]: faults.append(f"{me} imports {other}: components never import each other")
        elif NUMBERS.get(me) is not None and NUMBERS.get(other) is not None and NUMBERS[me] <= NUMBERS[other]:
            faults.append(f"{me} imports {other}, which comes later")
    assert not faults, "\n".join(faults)


def test_no_cycle() -> None:
    graph, state = {word(p): own(p) for p in MODULES}, {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != "open", " imports ".join(path[path.index(module):] + (module,)) if module in path else module
        if state.get(module): return
        state[module] = "open"
        for other in graph.get(module, ()): visit(other, (*path, module))
        state[module] = "done"
    for module in graph: visit(module, ())


def test_core_stands_on_numpy_alone() -> None:
    outside = {(word(p), name.split(".")[0]) for p in MODULES if layer(word(p)) == "core" for name in imports(p, top_level=True)}
    assert not {(m, n) for m, n in outside if n != "trendflow" and n not in sys.stdlib_module_names and n not in CORE_NEEDS}


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    assert not {(word(p), n) for p in MODULES for n in imports(p, top_level=True) if n.split(".")[0] in SLOW_TO_IMPORT}


IMPORT = """
import sys, time
start = time.process_time()
import trendflow
print(time.process_time() - start, *sorted({"torch", "pandas", "xarray", "scipy", "matplotlib", "cv2"} & set(sys.modules)))
"""


def test_import_is_quick_and_light() -> None:
    command = [sys.executable, "-c", IMPORT]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
    assert not runs[0][1:], f"import trendflow imports {runs[0][1:]}"
    assert min(float(run[0]) for run in runs) < 0.3
