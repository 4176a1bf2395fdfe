"""Every package that the project promises is installed by `dev` and used, or listed with what will bring it."""
from __future__ import annotations

import ast
import importlib.metadata
import re
from functools import cache

import pytest
from notebooks import ROOT, notebooks, settings

PROMISED = {                                                # package → name that code imports
    "jupyterlab": None, "nbdev": "nbdev", "numpy": "numpy", "pandas": "pandas", "xarray": "xarray", "opencv-python": "cv2",
    "torch": "torch", "open_clip_torch": "open_clip", "ultralytics": "ultralytics", "mediapipe": "mediapipe", "librosa": "librosa",
    "matplotlib": "matplotlib",
    "catboost": "catboost", "lightgbm": "lightgbm", "tritonclient": "tritonclient", "pytest": "pytest",
}
NOT_YET_USED = {                                            # package → the topic that brings it
}
EXTRAS = ("", "cluster_", "research_", "models_", "learn_", "tools_")


def plain(name: str) -> str: return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


@cache
def declared() -> frozenset[str]:
    "Everything that `pip install -e .[dev]` asks for."
    return frozenset(plain(r) for extra in EXTRAS for r in settings()[f"{extra}requirements"].split())


@cache
def imported() -> frozenset[str]:
    "Top-level names that code of the project imports anywhere, lazily too. This file and the GPU question do not count."
    sources = [c.code for nb in notebooks() for c in nb.cells if c.kind == "code"]
    scripts = [p for folder in ("tests", "tools") for p in (ROOT / folder).rglob("*.py") if p.name not in ("test_packages.py", "conftest.py")]
    sources += [p.read_text(encoding="utf-8") for p in scripts]
    found: set[str] = set()
    for source in sources:
        try: nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError: continue                        # a cell with a magic
        found |= {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
        found |= {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return frozenset(found)


def used(package: str) -> bool:
    "Whether the project uses it: by import, or for JupyterLab by `make lab`."
    if package == "jupyterlab": return "jupyter lab" in (ROOT / "Makefile").read_text()
    return PROMISED[package] in imported()


@pytest.mark.parametrize("package", PROMISED)
def test_package_is_installed_and_used(package: str) -> None:
    assert plain(package) in declared(), f"{package}: not among the requirements of dev in settings.ini"
    assert importlib.metadata.version(package)
    if package in NOT_YET_USED: assert not used(package), f"{package} is used now: delete its line in NOT_YET_USED"
    else: assert used(package), f"{package}: nothing imports it; use it or name the topic that brings it in NOT_YET_USED"


def test_setup_installs_every_extra_with_dev() -> None:
    extras = {key.removesuffix("_requirements") for key in settings() if key.endswith("_requirements")}
    named = re.search(r"EXTRAS = \((.*?)\)", (ROOT / "setup.py").read_text())
    assert named and set(re.findall(r'"(\w+)"', named[1])) == extras
