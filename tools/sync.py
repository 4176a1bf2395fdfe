"""Keep notebooks, modules and README in step.

    python tools/sync.py            export, clean, README
    python tools/sync.py --check    fail if one of these would change a file; changes nothing itself
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import readme
from notebooks import ROOT, paths

PACKAGE = ROOT / "trendflow"
BY_HAND = ("__init__.py", "py.typed", "assets")             # everything else in trendflow/ comes out of a notebook
MEND = "make prep\ngit add nbs trendflow README.md"


def export_and_clean(root: Path) -> None:
    "nbdev_export and nbdev_clean below a folder."
    environment = {k: v for k, v in os.environ.items() if k != "IN_TEST"}
    for command in ("from nbdev.doclinks import nbdev_export as f", "from nbdev.clean import nbdev_clean as f"):
        subprocess.run([sys.executable, "-c", f"{command}; f.__wrapped__()"], cwd=root, env=environment, check=True)


def digests(root: Path) -> dict[str, str]:
    "Digest of each notebook and each generated module below a folder."
    modules = [p for p in (root / "trendflow").rglob("*.py") if "assets" not in p.parts]
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in modules + paths(root / "nbs")}


def made_new() -> dict[str, str]:
    "The digests that an export and a clean from nothing would give, made in a copy."
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copy(ROOT / "settings.ini", copy)
        for path in paths():
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (copy / "trendflow").mkdir()
        shutil.copy(PACKAGE / "__init__.py", copy / "trendflow")
        export_and_clean(copy)
        return digests(copy)


def check() -> list[str]:
    "One line for each file that is not what it should be."
    have, want = digests(ROOT), made_new()
    faults = []
    for name in sorted(have.keys() | want.keys()):
        if name not in want: faults.append(f"{name}: no notebook exports it")
        elif name not in have: faults.append(f"{name}: not exported yet")
        elif have[name] != want[name]: faults.append(f"{name}: {'not clean' if name.endswith('.ipynb') else 'differs from its notebook'}")
    if not readme.in_step(): faults.append("README.md: differs from nbs/index.ipynb")
    return faults


def prepare() -> None:
    "Export, clean, README; modules that no notebook exports are removed."
    export_and_clean(ROOT)
    for name in digests(ROOT).keys() - made_new().keys(): (ROOT / name).unlink()
    readme.README.write_text(readme.render(readme.INDEX), encoding="utf-8")


if __name__ == "__main__":
    if "--check" not in sys.argv: prepare()
    else:
        found = check()
        if found: sys.exit("\n".join(found) + f"\n\nThe files above are out of step. Mend with:\n\n{MEND}\n")
        print(f"in step: {len(paths())} notebooks, their modules and README.md")
