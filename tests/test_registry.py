"""Components of other packages: found, run and shown without an edit anywhere; a broken one is named."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from trendflow.core import samples

MODULE = '''
from trendflow.core.axes import Array
from trendflow.core.contract import component
from trendflow.core.sources import Texts

@component(family="text", kind="text", outputs=[Array("n", (), unit="characters", doc="length of the title", pool=("value",))])
def their_title(texts: Texts) -> dict:
    "Length of the title."
    return {"n": float(len(texts.title or ""))}
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    "A folder that looks like an installed package with one component."
    (tmp_path / "their_package.py").write_text(MODULE)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[trendflow.components]\nthem = their_package\n")
    return tmp_path


def trendflow(package: Path, *args: object) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).with_name("trendflow")), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(package)}, timeout=120)


def test_a_component_of_another_package_is_found_measured_and_exported(package: Path, tmp_path: Path) -> None:
    assert "their_title" in [c["id"] for c in json.loads(trendflow(package, "components", "--json").stdout)]
    (tmp_path / "p.yaml").write_text("components: {their_title: {}}\n")
    done = trendflow(package, "run", samples.silent_clip(), "--info", samples.info(), "--profile", tmp_path / "p.yaml", "--store", tmp_path / "store", "-q")
    assert done.returncode == 0, done.stderr
    assert trendflow(package, "export", tmp_path / "f.csv", "--store", tmp_path / "store").returncode == 0
    head, row = (tmp_path / "f.csv").read_text().splitlines()
    columns = [n for n in head.split(",") if n.startswith("their_title")]
    title = json.loads(samples.info().read_text())["title"]
    values = dict(zip(head.split(","), row.split(",")))
    assert len(title) in [float(values[n]) for n in columns], columns


def test_a_package_that_cannot_be_imported_is_named(package: Path) -> None:
    (package / "their_package.py").write_text("import nothing_like_this\n")
    done = trendflow(package, "components")
    assert done.returncode != 0 and "their_package" in done.stderr and "nothing_like_this" in done.stderr and "Traceback" not in done.stderr


def test_a_word_has_one_owner(package: Path) -> None:
    (package / "their_package.py").write_text(MODULE.replace("their_title", "color_light"))
    done = trendflow(package, "components")
    assert done.returncode != 0 and "their_package" in done.stderr and "trendflow.visual.color_light" in done.stderr


def test_a_component_that_was_imported_first_is_found() -> None:
    code = "import trendflow.visual.color_light; from trendflow.core.registry import discover; assert 'color_light' in discover()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
