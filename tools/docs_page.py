"""mkdocs hook: what the notebook renderer adds to each page and nobody needs offline is taken out again."""
from __future__ import annotations

import re

STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
COPIED = re.compile(r'<div class="zeroclipboard-container">.*?</clipboard-copy>\s*</div>|'
                    r'<div class="clipboard-copy-txt".*?</div>', re.DOTALL)
HEADING = re.compile(r"(<h[1-6]\b[^>]*\bid=\")([^\"]+)(\".*?href=\"#)([^\"]+)(\")", re.DOTALL)


def numbered(html: str) -> str:
    "Ids of headings made unique in the way of the table of contents: axes, axes_1, axes_2."
    seen: dict[str, int] = {}

    def unique(match: re.Match[str]) -> str:
        name = match[2]
        count = seen[name] = seen.get(name, -1) + 1
        name += f"_{count}" if count else ""
        return match[1] + name + match[3] + name + match[5]
    return HEADING.sub(unique, html)


def on_page_content(html: str, page, config, files) -> str:
    "The page without half a megabyte of inlined styles (styles.css replaces them), scripts from elsewhere, second copies of code."
    if not page.file.src_uri.endswith(".ipynb"): return html
    outputs = [s for s in STYLE.findall(html) if len(s) < 20000 and ("dataframe" in s or ".xr-" in s or ".tf-" in s)]
    html = COPIED.sub("", SCRIPT.sub("", STYLE.sub("", html))).replace('class="highlight-ipynb hl-python"', 'class="highlight"')
    return "".join(dict.fromkeys(outputs)) + numbered(html)
