"""The docs are tested like code: what exists is described, and what is described exists."""
from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
from pathlib import Path

import pytest
import readme
import reference
from notebooks import ROOT, modules, notebooks

MODULES = modules()
MAX_DOC = 120                                               # characters; aim for 80


@pytest.fixture(scope="module")
def components_page() -> str: return reference.components()


def test_readme_equals_the_index_notebook() -> None: assert readme.in_step(), "README.md differs from nbs/index.ipynb: make prep"


def test_every_component_is_described(components_page: str) -> None:
    from trendflow.core.registry import discover
    for c in discover().values():
        section = components_page.split(f"\n### {c.id}\n")[1].split("\n### ")[0]
        for what in [c.family, *(a.name for a in c.outputs), *c.reasons, *c.config, *c.model_keys(c.config)]:
            assert re.search(rf"\b{re.escape(what)}\b", section), f"{c.id}: {what} is not on the page of components"


def test_every_component_has_its_notebook() -> None:
    from trendflow.core.registry import discover
    own = {c.id for c in discover().values() if c.fn.__module__.startswith("trendflow.")}
    assert own == {nb.stem for nb in notebooks() if nb.is_component}


def test_every_profile_is_described() -> None:
    from trendflow.run.profile import settle_profile, shipped
    page = reference.profiles()
    for name, doc in shipped().items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert doc and doc in section and not [c for c in settle_profile(name).contracts if f"`{c}`" not in section]


def test_every_array_says_what_it_means() -> None:
    from trendflow.core.registry import discover
    assert not [f"{c.id}.{a.name}" for c in discover().values() for a in c.outputs if len(a.doc) < 5]
    assert not [f"{c.id}: {reason}" for c in discover().values() for reason, when in c.reasons.items() if len(when) < 5]


def test_every_error_class_is_described() -> None:
    errors = importlib.import_module("trendflow.core.errors")
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert not [c.__name__ for c in classes if not c.__doc__ or c.__name__ not in errors.__all__]


@pytest.mark.skipif(not reference.exists("trendflow.app.cli"), reason="the command line is not built yet")
def test_every_command_and_option_is_described() -> None:
    import typer
    from trendflow.app.cli import app
    page, root = reference.commands(), typer.main.get_command(app)
    for name, command in reference.flat(root).items():
        assert f"\n## {name}\n" in page and command.help, f"{name}: no help"
        silent = [p.name for p in command.params if p.name != "help" and not getattr(p, "help", None)]
        assert not silent, f"{name}: {silent} have no help"


def public(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    "Public functions and classes of a module."
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]


def comments(path: Path) -> dict[int, str]:
    "Comment of each line."
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}


def test_docstrings_say_what_the_value_is() -> None:
    faults = []
    for path in MODULES:
        for node in public(path):
            doc, where = ast.get_docstring(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            if not doc: faults.append(f"{where}: no docstring"); continue
            first = doc.splitlines()[0]
            if len(first) > MAX_DOC: faults.append(f"{where}: {len(first)} characters, limit {MAX_DOC}")
            if re.match(r"(This|The) (function|class|method)\b", first): faults.append(f"{where}: say what the value is")
            if not first.endswith((".", "!", "?", ":")): faults.append(f"{where}: a sentence ends with a full stop")
    assert not faults, "\n".join(faults)


def test_parameters_are_explained_beside_them() -> None:
    "One alone on the line of its function may speak for itself."
    faults = []
    for path in MODULES:
        said = comments(path)
        for node in public(path):
            if not isinstance(node, ast.FunctionDef) or any(".command(" in ast.unparse(d) for d in node.decorator_list): continue     # --help explains those
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            alone = len(parameters) == 1 and parameters[0].lineno == node.lineno
            silent = [p.arg for p in parameters if p.lineno not in said and not alone]
            if silent: faults.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {', '.join(silent)}")
            for p in parameters:
                if p.annotation is None or ast.unparse(p.annotation) != "np.ndarray": continue
                if "[" not in said.get(p.lineno, "["): faults.append(f"{path.relative_to(ROOT)}:{p.lineno} {p.arg}: an array without its [dims]")
    assert not faults, "parameters without a comment beside them:\n" + "\n".join(faults)
