"""What a machine can check about the notebooks and the files of the repository."""
from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from notebooks import ROOT, Cell, Notebook, known_flags, notebooks

ALL = list(notebooks())
EXPORTING = [nb for nb in ALL if nb.module]
COMPONENTS = [nb for nb in ALL if nb.is_component]
MAX_EXPORT, MAX_DECLARATION, MAX_COMPONENT, MAX_NOTEBOOK = 40, 60, 250, 400     # lines
MAX_OUTPUT, MAX_FILE = 50_000, 200_000                      # bytes
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BAD_HABITS = (r"sys\.path\.(insert|append)", r"%(load_ext|autoreload)", r"filterwarnings\(.ignore", r"np\.random\.(rand|randn|randint)\b",
              r"\.\./\.\./(data|nbs|shared|figures)", r"print\(f?['\"][A-Z]")
MACHINE_PATH = re.compile(r"(?:/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\Users)[^\s'\"]*")
CHECKS = re.compile(r"\b(assert|test_\w+|expect_fail|check_component)\b")


def tree(cell: Cell) -> list[ast.stmt]:
    "The statements of a cell; magics are no Python and count as nothing."
    try: return ast.parse(cell.code).body
    except SyntaxError: return []


def visible(cell: Cell) -> bool: return cell.kind == "code" and not cell.exported and not {"hide", "default_exp"} & cell.directives.keys()


# --- rules: each yields the faults of one notebook ------------------------------------------------------------------------------

def one_word(nb: Notebook) -> Iterator[str]:
    "File, module and folder say the same word; a component's function says it too."
    if nb.module:
        package, _, word = nb.module.rpartition(".")
        if word != nb.stem: yield f"exports to {nb.module}, the file says {nb.stem}"
        if package != re.sub(r"^\d+_", "", nb.folder): yield f"exports to package {package}, the folder is {nb.folder}"
        if word in NO_NAMES: yield f"{word} is no name of one idea"
    if nb.is_component:
        functions = {n.name for c in nb.cells if c.exported for n in tree(c) if isinstance(n, ast.FunctionDef)}
        if nb.stem not in functions: yield f"no exported function {nb.stem}"
        if nb.number is not None: yield "component notebooks carry no number"


def heading(nb: Notebook) -> Iterator[str]:
    "Title and subtitle on top; the title of a page that exports is its word."
    title, subtitle = nb.heading
    if not title: yield "no title"
    elif nb.module and title != nb.stem: yield f"the title is {title!r}, the word is {nb.stem!r}"
    if not subtitle: yield "no subtitle: a line `> …` under the title"


def imports_alone(nb: Notebook) -> Iterator[str]:
    "An exported cell that imports does nothing else: the docs run it by itself."
    for cell in nb.cells:
        if not cell.exported: continue
        kinds = {isinstance(s, (ast.Import, ast.ImportFrom)) for s in tree(cell)
                 if not (isinstance(s, ast.If) and "TYPE_CHECKING" in ast.unparse(s.test))}
        if kinds == {True, False}: yield f"cell {cell.number} imports and does other things"


def small_cells(nb: Notebook) -> Iterator[str]:
    "Exported cells and whole notebooks stay small."
    for cell in nb.cells:
        whole = "@component(" in cell.code or [type(n) for n in tree(cell)] == [ast.ClassDef]     # methods live in their class
        limit = MAX_DECLARATION if whole else MAX_EXPORT
        if cell.exported and cell.n_lines > limit: yield f"cell {cell.number} exports {cell.n_lines} lines, limit {limit}"
    total, limit = sum(c.n_lines for c in nb.cells if c.exported), MAX_COMPONENT if nb.is_component else MAX_NOTEBOOK
    if total > limit: yield f"exports {total} lines, limit {limit}"


def lessons(nb: Notebook) -> Iterator[str]:
    """Every public function that is exported is shown: a later cell that the reader sees uses it or prints its name, or a function of the
    page uses it. And what the reader sees is checked."""
    if not nb.module: return
    seen = [c for c in nb.cells if visible(c)]
    exported = [(c, n) for c in nb.cells if c.exported for n in tree(c) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    shown = [(c.number, c.code + "\n" + texts(c)) for c in seen]
    for cell, node in exported:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"): continue
        name = re.compile(rf"\b(?:{node.name}|{node.name.removeprefix('check_')})\b")
        by_reader = any(number > cell.number and name.search(text) for number, text in shown)
        by_page = any(other is not node and name.search(ast.unparse(other)) for _, other in exported)
        if not by_reader and not by_page: yield f"{node.name}: no lesson cell shows it"
    if seen and not any(CHECKS.search(c.code) for c in seen): yield "no visible cell checks anything"


def small_outputs(nb: Notebook) -> Iterator[str]:
    "Stored outputs are part of the page, so they are small."
    for cell in nb.cells:
        size = len(json.dumps(cell.outputs))
        if size > MAX_OUTPUT: yield f"cell {cell.number} stores {size} bytes of output, limit {MAX_OUTPUT}"
    if nb.path.stat().st_size > MAX_FILE: yield f"{nb.path.stat().st_size} bytes, limit {MAX_FILE}"


def texts(cell: Cell) -> str:
    "What a cell's stored outputs say, without pictures in base64."
    parts = []
    for output in cell.outputs:
        parts.append("".join(output.get("text", "")))
        parts += ["".join(v) for k, v in output.get("data", {}).items() if isinstance(v, (str, list)) and k not in ("image/png", "image/jpeg")]
    return "\n".join(parts)


def stable_outputs(nb: Notebook) -> Iterator[str]:
    "No paths of a machine, no addresses, no time of day that the notebook did not choose itself, no error by accident."
    sources = "\n".join(c.source for c in nb.cells)
    for cell in nb.cells:
        said = texts(cell)
        for path in MACHINE_PATH.findall(said): yield f"cell {cell.number} shows the path {path}"
        for address in re.findall(r"\b0x[0-9a-fA-F]{6,}\b", said): yield f"cell {cell.number} shows the address {address}"
        for moment in re.findall(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?", said):
            if moment not in sources and not moment.endswith(("00:00", "00:00:00")): yield f"cell {cell.number} shows the time {moment}"
        if any(o.get("output_type") == "error" for o in cell.outputs): yield f"cell {cell.number} stores an error; show it with expect_fail"


def explained(nb: Notebook) -> Iterator[str]:
    "A cell that is never run stands under text that says why."
    for cell in nb.cells:
        if cell.directives.get("eval") != "false": continue
        above = nb.cells[cell.number - 1]
        if above.kind != "markdown" or len(above.source) < 20: yield f"cell {cell.number} has eval: false and nothing above it says why"


def good_manners(nb: Notebook) -> Iterator[str]:
    "None of the habits that make a notebook run on one machine only."
    for cell in nb.cells:
        if cell.kind == "markdown" and re.search(r"^---\s*$", cell.source, re.MULTILINE): yield f"cell {cell.number}: a lone --- breaks Quarto"
        if cell.kind != "code": continue
        for bad in BAD_HABITS:
            if re.search(bad, cell.code) and "expect_fail" not in cell.code: yield f"cell {cell.number}: {bad}"
        if cell.exported and "@patch" in cell.code: yield f"cell {cell.number}: @patch hides methods from type checkers"
    if nb.module and "nbdev_export(" not in nb.cells[-1].source: yield "the last cell does not export"


RULES = [one_word, heading, imports_alone, small_cells, lessons, small_outputs, stable_outputs, explained, good_manners]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[Notebook], Iterator[str]]) -> None:
    faults = [f"{nb.name}: {fault}" for nb in ALL for fault in rule(nb)]
    assert not faults, f"{rule.__doc__}\n" + "\n".join(faults)


# --- across files ---------------------------------------------------------------------------------------------------------------

def test_one_notebook_one_module() -> None:
    modules = [nb.module for nb in EXPORTING]
    assert sorted(modules) == sorted(set(modules))
    second = [f"{nb.name} cell {c.number}" for nb in EXPORTING for c in nb.cells if c.exported and c.directives.get("export")]
    assert not second, f"an export to a second module: {second}"


def test_component_words_are_unique() -> None:
    words = [nb.stem for nb in COMPONENTS]
    assert sorted(words) == sorted(set(words))


def test_flags_are_the_same_everywhere() -> None:
    parser = ConfigParser()
    parser.read(ROOT / "pytest.ini")
    markers = [line.split(":")[0] for line in parser["pytest"]["markers"].strip().splitlines()]
    assert markers == known_flags() == ["slow", "gpu", "net", "weights"]


def tracked() -> list[Path]:
    "Files that are in the repository or about to be; without git, those of the known folders."
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0: return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    folders = ("nbs", "trendflow", "tests", "tools", "data_samples", "figures", ".ci")
    return [p for p in ROOT.iterdir() if p.is_file()] + [p for f in folders for p in (ROOT / f).rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def test_no_file_names_a_machine_or_a_registry() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb." + "debian.org", "index-" + "url"]
    machine = re.compile(r"/(?:root|home/\w+|work/(?:main|nbt|shared)|opt/wheels)\b|" + "|".join(map(re.escape, hosts)), re.IGNORECASE)
    faults = []
    for path in tracked():
        if path == Path(__file__) or path.name == "LICENSE": continue
        try: text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError: continue
        faults += [f"{path.relative_to(ROOT)}:{i}: {m[0]}" for i, line in enumerate(text.splitlines(), 1) for m in machine.finditer(line)]
    assert not faults, "\n".join(faults)


def test_repository_is_light() -> None:
    sizes = {p.relative_to(ROOT).as_posix(): p.stat().st_size for p in tracked()}
    assert not {n: s for n, s in sizes.items() if s > 2_000_000}, "a file over 2 MB"
    assert sum(s for n, s in sizes.items() if n.startswith("data_samples/")) < 2_000_000, "samples over 2 MB"
