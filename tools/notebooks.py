"""The notebooks of the project as data: which there are, their cells, their directives. Shared by the tools and the tests."""
from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
COMPONENT_FOLDERS = ("20_providers", "30_visual", "40_audio", "50_text")


def settings() -> dict[str, str]:
    "The keys of settings.ini."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def known_flags() -> list[str]:
    "The flags that leave cells and tests out of a default run."
    return settings()["tst_flags"].split()


def wanted_flags() -> set[str]:
    "The flags that this run asks for, by the variable FLAGS."
    return set(os.environ.get("FLAGS", "").split())


@dataclass
class Cell:
    kind: str                                               # code, markdown or raw
    source: str
    outputs: list[dict] = field(default_factory=list)
    number: int = 0                                         # place in the notebook, from 0

    @property
    def directives(self) -> dict[str, str]:
        "Words after #| and what follows them; `eval: false` is eval -> false."
        found = {}
        for line in self.source.splitlines():
            match = re.match(r"\s*#\|\s*([\w-]+):?\s*(.*?)\s*$", line)
            if match: found[match[1]] = match[2]
            elif line.strip(): break
        return found

    @property
    def exported(self) -> bool: return self.kind == "code" and bool({"export", "exports", "exporti"} & self.directives.keys())

    @property
    def code(self) -> str:
        "The source without directives."
        return "\n".join(line for line in self.source.splitlines() if not re.match(r"\s*#\|", line)).strip("\n")

    @property
    def n_lines(self) -> int: return sum(bool(line.strip()) for line in self.code.splitlines())


@dataclass
class Notebook:
    path: Path
    cells: list[Cell]

    @property
    def name(self) -> str: return str(self.path.relative_to(NBS))

    @property
    def stem(self) -> str:
        "The word: the file name without its number."
        return re.sub(r"^\d+_", "", self.path.stem)

    @property
    def folder(self) -> str: return self.path.parent.name if self.path.parent != NBS else ""

    @property
    def number(self) -> int | None:
        match = re.match(r"(\d+)_", self.path.stem)
        return int(match[1]) if match else None

    @property
    def is_component(self) -> bool: return self.folder in COMPONENT_FOLDERS

    @property
    def module(self) -> str | None:
        "Where it exports to, such as core.errors."
        for cell in self.cells:
            if "default_exp" in cell.directives: return cell.directives["default_exp"]
        return None

    @property
    def page(self) -> str:
        "Where the docs show it: the number of the file is dropped, that of the folder is kept."
        return str(self.path.relative_to(NBS).with_name(self.stem + ".html"))

    @property
    def heading(self) -> tuple[str, str]:
        "Title and subtitle; empty where absent."
        for cell in self.cells:
            if cell.kind == "markdown" and cell.source.startswith("# "):
                title, *rest = [line for line in cell.source.splitlines() if line.strip()]
                return title[2:].strip(), rest[0][1:].strip() if rest and rest[0].startswith(">") else ""
        return "", ""


def names(nb: Notebook) -> list[str]:
    "What a link may call a notebook: with or without numbers, as notebook or as page."
    folders = {nb.folder, re.sub(r"^\d+_", "", nb.folder)}
    return [os.path.join(folder, stem + suffix) for folder in folders for stem in {nb.path.stem, nb.stem} for suffix in (".ipynb", ".html")]


def read(path: Path) -> Notebook:
    "One notebook."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return Notebook(path, [Cell(c["cell_type"], "".join(c["source"]), c.get("outputs", []), i) for i, c in enumerate(cells)])


def paths(folder: Path = NBS) -> list[Path]:
    "Every notebook below a folder, in reading order."
    found = [p for p in folder.rglob("*.ipynb") if not any(part[0] in "._" for part in p.relative_to(folder).parts)]
    return sorted(found, key=lambda p: (p.parent != NBS, p.parent.as_posix(), p.name))


def notebooks() -> Iterator[Notebook]:
    "Every notebook of the project."
    for path in paths(): yield read(path)


def find(name: str) -> Path:
    "The notebook with this word, number or path; exits when there is none or more than one."
    wanted = name.removesuffix(".ipynb")
    if Path(name).suffix == ".ipynb" and Path(name).exists(): return Path(name).resolve()
    hits = [p for p in paths() if wanted in (p.stem, re.sub(r"^\d+_", "", p.stem), p.relative_to(NBS).with_suffix("").as_posix())]
    if len(hits) != 1: raise SystemExit(f"{name}: {len(hits)} notebooks have this name {[str(h.relative_to(NBS)) for h in hits]}")
    return hits[0]


def modules() -> list[Path]:
    "Every exported module of the package."
    package = ROOT / "trendflow"
    return sorted(p for p in package.rglob("*.py") if p.name not in ("__init__.py", "_modidx.py") and "assets" not in p.relative_to(package).parts)
