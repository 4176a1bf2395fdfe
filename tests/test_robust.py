"""Every real and every odd file ends in a finished run, or in `skipped` with a reason. None crashes, hangs or leaves half a file."""
from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from trendflow.app.inspect import validate
from trendflow.app.run_video import run_video
from trendflow.run.task import tree_mb

LIMIT_S = 120.0
SKIPPED = {"not_a_video.mp4", "broken.ogg", "all_zero.mp4", "audio_only.mp4", "truncated_no_moov.mp4", "zero_bytes.mp4"}


def _files(shared: Path) -> list[Path]:
    return sorted(p for folder in ("videos", "videos_odd") for p in (shared / folder).iterdir() if p.is_file())


def _names() -> list[str]:
    from conftest import SHARED
    return [f"{p.parent.name}/{p.name}" for p in _files(SHARED)] if SHARED.is_dir() else ["absent"]


@pytest.mark.parametrize("name", _names())
def test_every_file_ends_well(shared_data: Path, tmp_path: Path, name: str) -> None:
    done: list = []
    worker = threading.Thread(target=lambda: done.append(run_video(shared_data / name, profile="fast", store=tmp_path / "store", quiet=True)), daemon=True)
    worker.start()
    worker.join(LIMIT_S)
    assert not worker.is_alive(), f"hangs for more than {LIMIT_S} s"
    assert done, "raised"
    run = done[0]
    failed = {c["name"]: c["error"] for c in run.manifest["components"] if c["status"] == "error"}
    assert run.status in ("ok", "skipped"), failed
    if run.status == "skipped": assert run.manifest["run"]["skip_reason"] in ("video_unreadable", "video_too_long")
    else: assert not failed
    assert (Path(name).name in SKIPPED) == (run.status == "skipped")
    assert all(r["ok"] for r in validate(run.dir)) if run.status == "ok" else True
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".part", ".partial")]
    assert tree_mb() < 1500
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_long_video_is_refused_before_any_work(shared_data: Path, tmp_path: Path) -> None:
    done = run_video(shared_data / "videos" / "bbb_30s.webm", profile={"extends": "fast", "max_duration_s": 10.0}, store=tmp_path / "store", quiet=True)
    assert done.status == "skipped" and done.manifest["run"]["skip_reason"] == "video_too_long"
    assert not list((tmp_path / "store_work").rglob("*.npy"))
