"""Every real and every odd file ends in a finished run, or in `skipped` with a reason. None crashes, hangs or leaves half a file.

The batch is a process of its own, so that a native crash or a hang is a failed test and no more.
"""
from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SHARED
from trendflow.app.inspect import validate
from trendflow.app.run_video import run_video
from trendflow.core.manifest import load

CPU_S, MB = 600, 800                    # limits of the batch: CPU seconds in all, memory at any time
SKIPPED = {                             # file → what its reason must say
    "not_a_video.mp4": "cannot be opened", "broken.ogg": "cannot be opened", "all_zero.mp4": "cannot be opened", "truncated_no_moov.mp4": "cannot be opened",
    "zero_bytes.mp4": "cannot be opened", "audio_only.mp4": "no video stream"}
NOTED = {                               # file → what its run must say about it
    "truncated_faststart_52pct.mp4": "breaks off at 3.417 of 8.750 s", "corrupted_h264.mp4": "1 of 50 frames cannot be decoded",
    "bitstream_noise.mp4": "frames cannot be decoded"}
FILES = sorted(p for folder in ("videos", "videos_odd") for p in (SHARED / folder).glob("*") if p.is_file())


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> dict:
    "All files in one batch: exit code, standard error, and a row for each path."
    if not FILES: pytest.skip("the labelled clips (shared/data beside the repository) are not here")
    store = tmp_path_factory.mktemp("robust") / "store"
    trendflow = [sys.executable, "-c", "from trendflow.app.cli import main; main()"]
    command = [*trendflow, "batch", *map(str, FILES), "--profile", "fast", "--store", str(store), "--json", "--retries", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * CPU_S, stdin=subprocess.DEVNULL,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S)))
    rows = json.loads(done.stdout) if done.stdout else []
    return {"code": done.returncode, "said": done.stderr[-2000:], "rows": {r["path"]: r for r in rows}, "folder": store.parent}


def test_the_batch_ends_well_and_leaves_nothing_half_done(batch: dict) -> None:
    assert batch["code"] == 0, batch["said"]
    assert list(batch["rows"]) == [str(p) for p in FILES]
    assert not [p for p in batch["folder"].rglob("*") if p.suffix in (".part", ".partial")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_file_ends_well(batch: dict, path: Path) -> None:
    row = batch["rows"][str(path)]
    manifest = load(Path(row["run_dir"]) / "manifest.json")
    run, notes = manifest["run"], " ".join(manifest["run"]["notes"] or [])
    if path.name in SKIPPED:
        assert (row["status"], run["skip_reason"]) == ("skipped", "video_unreadable")
        assert SKIPPED[path.name] in notes and not manifest["components"]
        return
    assert row["status"] == "ok", row["error"]
    assert {c["status"] for c in manifest["components"]} <= {"ok", "empty"} and run["readable_s"] > 0
    assert all(r["ok"] for r in validate(Path(row["run_dir"])))
    heard = batch["folder"].joinpath("store_work", run["platform_id"], run["video_id"], run["run_id"], "audio", "segments.json")
    assert json.loads(heard.read_text())["video_duration_sec"] == run["readable_s"]
    assert NOTED.get(path.name, "") in notes and bool(notes) == (path.name in NOTED)
    cpu_s = sum(c["cpu_ms"] for c in manifest["components"]) / 1e3 + sum(v["cpu_ms"] for v in run["timings"].values() if isinstance(v, dict)) / 1e3
    assert cpu_s < 10 and run["timings"]["peak_rss_mb"] < MB, (cpu_s, run["timings"])


def test_a_long_video_is_refused_before_any_work(shared_data: Path, tmp_path: Path) -> None:
    done = run_video(shared_data / "videos" / "bbb_30s.webm", profile={"extends": "fast", "max_duration_s": 10.0}, store=tmp_path / "store", quiet=True)
    assert done.status == "skipped" and done.manifest["run"]["skip_reason"] == "video_too_long"
    assert not list((tmp_path / "store_work").rglob("*.npy"))
