"""Many videos: on this machine and on a Dask cluster of two processes, with a worker that dies in the middle."""
from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from trendflow.app.batch import run_videos
from trendflow.core import samples
from trendflow.core.manifest import load
from trendflow.core.store import runs

PROFILE = {"components": {"color_light": {}, "tags_extractor": {"required": False}}}


def videos(folder: Path, n: int) -> list[Path]:
    "Copies of the silent sample with a byte of their own, so that each is a video of its own."
    out = [folder / f"v{i}.mp4" for i in range(n)]
    for i, p in enumerate(out):
        shutil.copy(samples.silent_clip(), p)
        with open(p, "ab") as f: f.write(b"\0\0\0\x0cfree" + i.to_bytes(4, "big"))      # an empty box at the end
    return out


def test_broken_files_do_not_stop_the_batch(tmp_path: Path) -> None:
    good = videos(tmp_path, 2)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    done = run_videos([*good, tmp_path / "bad.mp4"], profile=PROFILE, store=tmp_path / "store", quiet=True)
    assert done.table.status.tolist() == ["ok", "ok", "skipped"] and done.failed == []
    assert [r.status for r in done] == ["ok", "ok", "skipped"]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as c, distributed.Client(c) as client:
        yield client


def test_a_cluster_gives_what_one_machine_gives(tmp_path: Path, cluster) -> None:
    clips = videos(tmp_path, 3)
    here = run_videos(clips, profile=PROFILE, store=tmp_path / "here", quiet=True)
    there = run_videos(clips, profile=PROFILE, store=tmp_path / "there", client=cluster, quiet=True)
    assert there.table.status.tolist() == ["ok"] * 3

    def digest(run) -> str: return run.artifact("color_light").meta["content_digest"]
    assert [digest(r) for r in here] == [digest(r) for r in there]
    assert len(list(runs(tmp_path / "there"))) == 3


def test_a_worker_that_dies_loses_nothing(tmp_path: Path, cluster) -> None:
    clips = videos(tmp_path, 6)
    killed = []

    def kill() -> None:
        while not any(runs(tmp_path / "store")): time.sleep(0.05)
        pid = next(w["pid"] for w in cluster.run(lambda: {"pid": os.getpid()}).values())
        killed.append(pid)
        os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    done = run_videos(clips, profile=PROFILE, store=tmp_path / "store", client=cluster, quiet=True)
    assert killed and done.table.status.tolist() == ["ok"] * 6
    for folder in runs(tmp_path / "store"): assert load(folder / "manifest.json")["run"]["status"] == "ok"
