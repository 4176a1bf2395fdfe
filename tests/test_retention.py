"""Frames end after seven days, whoever else is purging or working at that moment."""
from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from trendflow.core.store import RunPaths
from trendflow.run.retention import DAY_S, delete, purge


def folder(root: Path, run: str, days: float, video: str = "abc") -> RunPaths:
    "A frames folder of an age."
    paths = RunPaths(root / "store", root / "work", "youtube", video, run)
    (paths.frames_dir / "video").mkdir(parents=True)
    (paths.frames_dir / "video" / "small.npy").write_bytes(bytes(100))
    for p in (*paths.frames_dir.rglob("*"), paths.frames_dir): os.utime(p, (time.time() - days * DAY_S,) * 2)
    return paths


def _purge(root: str) -> int: return len(purge(Path(root, "store"), Path(root, "work")))


def test_many_purges_at_once(tmp_path: Path) -> None:
    old, young = [folder(tmp_path, f"old{i}", 8, f"v{i % 5}") for i in range(60)], folder(tmp_path, "young", 6)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool: removed = list(pool.map(_purge, [str(tmp_path)] * 8))
    assert sum(removed) == len(old) and not any(p.frames_dir.exists() for p in old) and young.frames_dir.exists()
    assert sorted(p.name for p in (tmp_path / "work" / "youtube").iterdir()) == ["abc"]


def test_a_folder_that_changes_under_the_eyes_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    paths, real = folder(tmp_path, "run", 8), Path.rglob

    def rglob(self, pattern):
        yield from real(self, pattern)
        yield self / ".small.npy.123.part"          # listed, and renamed before anybody looks at it

    monkeypatch.setattr(Path, "rglob", rglob)
    assert purge(paths.store, paths.work) == [] and paths.frames_dir.exists()


def test_a_run_that_is_being_worked_on_is_left_alone(tmp_path: Path) -> None:
    paths = folder(tmp_path, "run", 8)
    with paths.lock("run"): assert _purge(str(tmp_path)) == 0
    assert _purge(str(tmp_path)) == 1


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    paths = folder(tmp_path, "run", 8)
    leftover = paths.frames_dir.with_name(".gone.part")
    leftover.mkdir()
    assert [r.what for r in purge(paths.store, paths.work, dry_run=True)] == ["frames"]
    assert {r.what for r in delete(paths.store, paths.work, "abc", dry_run=True)} == {"frames", "locks"}
    assert paths.frames_dir.exists() and leftover.exists()
    purge(paths.store, paths.work)
    assert not leftover.exists()


def test_what_is_no_run_stays(tmp_path: Path) -> None:
    paths, stranger = folder(tmp_path, "run", 8), tmp_path / "work" / "youtube" / "abc" / "my notes, 2024"
    stranger.mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "work" / "youtube" / "abc" / "linked"
    link.symlink_to(tmp_path / "elsewhere")
    assert [r.path for r in purge(paths.store, paths.work, now_s=time.time() + 99 * DAY_S)] == [paths.frames_dir]
    assert stranger.exists() and link.is_symlink()
