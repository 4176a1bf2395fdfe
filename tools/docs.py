"""The site in _docs: Quarto where it is installed, else mkdocs. Offline, without warnings, links checked.

nbdev processes the notebooks into _proc (its show_doc cells run there), this script turns them into pages in _docs_src,
adds the pages that are generated from the declarations and the command line, builds, and looks at what came out.
"""
from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import reference
import yaml
from notebooks import NBS, ROOT, Notebook, names, notebooks, settings

PROC, SOURCE, SITE = ROOT / "_proc", ROOT / "_docs_src", ROOT / "_docs"
SECTIONS = {"00_core": "Core contracts", "05_kit": "Kit", "10_segment": "Segmenter", "20_providers": "Core providers"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
ROOT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")


# --- links ----------------------------------------------------------------------------------------------------------------------

class Links:
    "Where a link of a notebook leads on the site."

    def __init__(self, all_notebooks: list[Notebook]) -> None:
        cfg = settings()
        self.base = f"{cfg['doc_host']}{cfg['doc_baseurl']}/"
        self.blob = f"{cfg['git_url']}/blob/{cfg['branch']}/"
        self.pages = {name: nb.page for nb in all_notebooks for name in names(nb)}

    def to(self, link: str, page: str) -> str:
        "The same link, seen from this page."
        link = link.removeprefix(self.base)
        if re.match(r"\w+:|#", link): return link
        target, _, anchor = link.partition("#")
        folder = os.path.dirname(page)
        inside = target if target in self.pages and "/" in target else os.path.normpath(os.path.join(folder, target))
        if inside in self.pages: inside = self.pages[inside]
        elif inside.startswith("../"):                       # a file of the repository outside nbs/
            inside = inside.removeprefix("../")
            if inside in ROOT_PAGES: inside = inside.lower().replace(".md", ".html")
            elif not inside.startswith("figures/"): return self.blob + inside
        return os.path.relpath(inside, folder or ".") + (f"#{anchor}" if anchor else "")

    def at_root(self, text: str) -> str:
        "A text from the root of the repository, as a page of the site."
        def turned(match: re.Match[str]) -> str:
            link = match[2] if re.match(r"\w+:|#", match[2]) else "../" + match[2]
            return match[1] + self.to(link.replace("../nbs/", ""), "index.html") + match[3]
        return LINK.sub(turned, text)

    def turn(self, text: str, page: str) -> str:
        "A text with all its links turned; code is left alone."
        parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)
        for i in range(0, len(parts), 2): parts[i] = LINK.sub(lambda m: m[1] + self.to(m[2], page) + m[3], parts[i])     # between the code
        return "".join(parts)


# --- pages ----------------------------------------------------------------------------------------------------------------------

def definition_lines(nb: Notebook) -> dict[str, int]:
    "Line of each function and class in the module of a notebook."
    path = ROOT / "trendflow" / (nb.module.replace(".", "/") + ".py") if nb.module else None
    if not path or not path.exists(): return {}
    return {node.name: node.lineno for node in ast.parse(path.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def markdown(source: str) -> dict: return dict(cell_type="markdown", metadata={}, source=source)


def documented(cell: dict) -> str:
    "The name that a show_doc cell documents, or nothing."
    match = re.search(r"^show_doc\(([\w.]+)", "".join(cell["source"]), re.MULTILINE)
    return match[1] if match and cell["cell_type"] == "code" else ""


def ordered(cells: list[dict], lines: dict[str, int]) -> list[dict]:
    "The cells with each run of show_doc cells in the order of the module; nbdev inserts those of one cell back to front."
    result, run = [], []
    for cell in [*cells, None]:
        if cell and documented(cell): run.append(cell); continue
        result += sorted(run, key=lambda c: lines.get(documented(c).split(".")[0], 0))
        run = []
        if cell: result.append(cell)
    return result


def plain(text: str) -> str:
    "What show_doc wrote, without Quarto's marks and without links inside code."
    parts = re.split(r"(```.*?```)", re.sub(r"^---\n|\{target=[^}]*\}", "", text, flags=re.MULTILINE), flags=re.DOTALL)
    for i in range(1, len(parts), 2): parts[i] = re.sub(r"\[(`[^`]+`)\]\([^)]*\)", r"\1", parts[i])
    return "".join(parts)


def page_cell(cell: dict, turn) -> dict | None:
    "One processed cell as it is shown, or None."
    source, directives = "".join(cell["source"]), {}
    for key, value in re.findall(r"^#\|\s*([\w-]+):?\s*(.*?)\s*$", source, re.MULTILINE): directives[key] = value
    if cell["cell_type"] == "raw" or source.startswith("<!-- WARNING"): return None
    if cell["cell_type"] == "markdown": return markdown(turn(source)) if source.strip() else None
    texts = ["".join(o.get("data", {}).get("text/markdown", "")) for o in cell.get("outputs", [])]
    silent = directives.get("echo") == "false"
    if silent and any(texts): return markdown(turn(plain("\n".join(texts))))
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "text/markdown" in data: data["text/markdown"] = turn("".join(data["text/markdown"]))
    cell["source"] = re.sub(r"^#\|.*\n?", "", source, flags=re.MULTILINE).strip("\n")
    if silent or not cell["source"]: cell["metadata"]["tags"] = ["remove_input"]
    return cell if cell["source"] or cell.get("outputs") else None


def write_page(nb: Notebook, links: Links) -> None:
    "One page out of a processed notebook: heading again, no raw cells, documentation as text, links turned."
    title, subtitle = nb.heading[0], links.turn(nb.heading[1], nb.page)
    raw = json.loads((PROC / nb.name).read_text(encoding="utf-8"))
    cells = [markdown(f"# {title}\n\n> {subtitle}" if subtitle else f"# {title}")]
    turned = [page_cell(cell, lambda text: links.turn(text, nb.page)) for cell in ordered(raw["cells"], definition_lines(nb))]
    cells += [cell for cell in turned if cell]
    if nb.module:
        path = f"trendflow/{nb.module.replace('.', '/')}.py"
        cells.append(markdown(f"<small>Source: [nbs/{nb.name}]({links.blob}nbs/{nb.name}), exported to [{path}]({links.blob}{path})</small>"))
    for i, cell in enumerate(cells): cell["id"] = f"c{i}"
    target = SOURCE / Path(nb.page).with_suffix(".ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(raw | {"cells": cells}, ensure_ascii=False), encoding="utf-8")


def navigation(all_notebooks: list[Notebook], generated: dict[str, str]) -> list:
    "Home, the generated pages, then a section per folder in its order."
    nav: list = [{"Home": "index.ipynb"} if (NBS / "index.ipynb").exists() else {"Home": "index.md"}]
    nav += [{title: name} for name, title in generated.items()]
    sections: dict[str, list] = {}
    for nb in all_notebooks:
        if not nb.folder: continue
        entry = {nb.heading[0]: str(Path(nb.page).with_suffix(".ipynb"))}
        sections.setdefault(SECTIONS.get(nb.folder, re.sub(r"^\d+_", "", nb.folder).capitalize()), []).append(entry)
    return nav + [{title: entries} for title, entries in sections.items()] + [{"Project": [p.lower() for p in ROOT_PAGES if (ROOT / p).exists()]}]


# --- build ----------------------------------------------------------------------------------------------------------------------

def process() -> None:
    "nbdev's processing, in a process of its own so that its warnings are seen."
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, __file__, "--process"], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode or "Warning" in done.stderr: sys.exit(f"docs: the notebooks do not process cleanly\n{done.stdout}{done.stderr}")


def process_here() -> None:
    """nbdev's proc_nbs, with three changes. It forks its workers: they start at once. It does not run lesson cells that import
    something, since it would run them without the cells above: documentation needs exported cells, plain imports and show_doc.
    And an annotation with a name that only type checkers import stays text."""
    import inspect

    from nbdev import processors, serve
    known = inspect.get_annotations

    def annotations(thing, *, eval_str: bool = False, **given) -> dict:
        try: return known(thing, eval_str=eval_str, **given)
        except NameError: return known(thing, eval_str=False, **given)

    inspect.get_annotations = annotations

    def wanted(cell) -> bool:
        trees = cell.parsed_() if cell.cell_type == "code" and cell.source else None
        if not trees or cell.directives_.get("eval:", [""])[0].lower() == "false": return False
        if {"export", "exports", "exporti", "exec_doc"} & cell.directives_.keys() or processors._show_docs(trees): return True
        return all(isinstance(tree, (ast.Import, ast.ImportFrom)) for tree in trees)

    parallel = serve.parallel
    processors._do_eval = wanted
    serve.parallel = lambda work, files, n_workers, **_: parallel(work, files, n_workers=n_workers * (len(files) > 2), method="fork", pause=0)
    serve.proc_nbs(n_workers=2)


def build_mkdocs(nav: list) -> None:
    "mkdocs --strict on the prepared pages."
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text()) | {"nav": nav, "docs_dir": str(SOURCE), "site_dir": str(SITE)}
    configuration["hooks"] = [str(ROOT / hook) for hook in configuration["hooks"]]
    made = PROC / "mkdocs.yml"
    made.write_text(yaml.safe_dump(configuration, sort_keys=False))
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    if done.returncode or done.stderr.strip() or "WARNING" in done.stdout: sys.exit(f"docs: the build warns\n{done.stdout}{done.stderr}")


def build_quarto(nav: list) -> None:
    "Quarto on the same pages, with the same navigation."
    def entry(item):
        if isinstance(item, str): return item
        (title, inside), = item.items()
        return {"section": title, "contents": [entry(i) for i in inside]} if isinstance(inside, list) else {"text": title, "href": inside}
    shutil.copy(ROOT / "_quarto.yml", SOURCE)
    (SOURCE / "sidebar.yml").write_text(yaml.safe_dump({"website": {"sidebar": {"contents": [entry(i) for i in nav]}}}, sort_keys=False))
    subprocess.run(["quarto", "render", str(SOURCE), "--no-execute"], check=True)
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(SOURCE / "_docs", SITE)


# --- looking at what came out ---------------------------------------------------------------------------------------------------

class Page(HTMLParser):
    "Ids, links and loaded resources of one built page."

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {k: v or "" for k, v in attrs}
        self.ids |= {have[k] for k in ("id", "name") if have.get(k)}
        if tag == "a" and have.get("href"): self.links.append(have["href"])
        if tag != "a" and have.get("src"): self.loads.append(have["src"])
        if tag == "link" and have.get("rel") not in ("canonical", "alternate") and have.get("href"): self.loads.append(have["href"])


def faults() -> list[str]:
    "Dead links and things loaded from elsewhere, over the whole site."
    pages = {path.relative_to(SITE).as_posix(): Page(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html")}
    found = []
    for name, page in pages.items():
        found += [f"{name}: loads {url}" for url in page.loads if re.match(r"(https?:)?//", url)]
        for url in page.links + page.loads:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc or name == "404.html": continue
            target = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path))) if parts.path else name
            anchor = unquote(parts.fragment)
            if not (SITE / target).exists(): found.append(f"{name}: no page {url}")
            elif anchor and target in pages and anchor not in pages[target].ids: found.append(f"{name}: no anchor {url}")
    elsewhere = re.compile(r"url\([\"']?((?:https?:)?//[^)\"']+)")
    for css in SITE.rglob("*.css"): found += [f"{css.relative_to(SITE)}: loads {url}" for url in elsewhere.findall(css.read_text())]
    return sorted(set(found))


def main() -> None:
    start, links = time.perf_counter(), Links(everything := list(notebooks()))
    process()
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir()
    for nb in everything: write_page(nb, links)
    for name in ("figures", "LICENSE"):
        source = ROOT / name
        if source.is_dir(): shutil.copytree(source, SOURCE / name)
        elif source.exists(): shutil.copy(source, SOURCE / (name + ".txt"))
    for name in ROOT_PAGES:
        if (ROOT / name).exists(): (SOURCE / name.lower()).write_text(links.at_root((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    if (NBS / "styles.css").exists(): shutil.copy(NBS / "styles.css", SOURCE)
    generated = {}
    for name, (title, text) in reference.pages().items():
        (SOURCE / name).write_text(text, encoding="utf-8")
        generated[name] = title
    build = build_quarto if shutil.which("quarto") else build_mkdocs
    build(navigation(everything, generated))
    wrong = faults()
    if wrong: sys.exit("docs: the site has faults\n" + "\n".join(f"  {w}" for w in wrong))
    size = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file())
    print(f"docs: {len(list(SITE.rglob('*.html')))} pages, {size / 1e6:.1f} MB, {time.perf_counter() - start:.0f} s, links checked")


if __name__ == "__main__": process_here() if "--process" in sys.argv else main()
