"""README.md out of nbs/index.ipynb, without Quarto. `python tools/readme.py` writes it."""
from __future__ import annotations

import os
import re
from pathlib import Path

from notebooks import NBS, ROOT, Cell, names, notebooks, read

INDEX, README = NBS / "index.ipynb", ROOT / "README.md"
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")


def at_root(text: str, pages: dict[str, str]) -> str:
    "The same markdown, seen from the root of the repository: pages become notebooks, ../x becomes x."
    def turned(match: re.Match[str]) -> str:
        target, anchor = match[2], match[3] or ""
        if re.match(r"\w+:", target): return match[0]
        if target in pages: target, anchor = pages[target], ""           # a notebook has no anchors where it is only shown
        return match[1] + os.path.normpath(Path("nbs") / target).replace(os.sep, "/") + anchor + match[4]
    return LINK.sub(turned, text)


def shown(cell: Cell) -> list[str]:
    "A code cell and its text outputs as fenced blocks."
    if {"hide", "default_exp"} & cell.directives.keys() or not cell.code: return []
    blocks = [] if cell.directives.get("echo") == "false" else [f"```python\n{cell.code}\n```"]
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/markdown" in data: blocks.append("".join(data["text/markdown"]).strip())
        else:
            text = "".join(data.get("text/plain", output.get("text", ""))).rstrip()
            if text: blocks.append(f"```\n{text}\n```")
    return blocks


def render(path: Path) -> str:
    "The text of README.md."
    pages = {name: nb.name for nb in notebooks() for name in names(nb)}
    blocks = []
    for cell in read(path).cells:
        if cell.kind == "markdown": blocks.append(at_root(cell.source.strip(), pages))
        elif cell.kind == "code": blocks += shown(cell)
    return "<!-- Rendered from nbs/index.ipynb by `make prep`. Edit the notebook. -->\n\n" + "\n\n".join(blocks) + "\n"


def in_step() -> bool:
    "Whether README.md is what the notebook says."
    return README.exists() and README.read_text(encoding="utf-8") == render(INDEX)


if __name__ == "__main__":
    if not in_step(): README.write_text(render(INDEX), encoding="utf-8")
