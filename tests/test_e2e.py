"""Whole runs: done once, resumed when killed, reused across runs, honest about failures."""
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys
from trendflow.app.run_video import explain, run_video
from trendflow.core import samples
from trendflow.core.artifact import verify
from trendflow.core.errors import ArtifactError, StoreConflict, UsageError
from trendflow.core.registry import scratch_registry

LITTLE = {"toy_bright": {}, "toy_step": {}, "toy_title": {}}
INFO = {"id": "abcdefghijk", "title": "My secret title", "epoch": 1767225600}


@pytest.fixture
def registry():
    "Only the toys."
    from trendflow.core.contract import contract
    with scratch_registry() as r:
        r.update({name: contract(f) for name, f in toys.ALL.items()})
        yield r


def run(tmp_path: Path, components: dict = LITTLE, info=INFO, **kw):
    return run_video(samples.silent_clip(), info, profile={"components": components, **kw.pop("profile", {})}, store=tmp_path / "store", quiet=True, **kw)


def digests(run) -> dict[str, str]:
    return {c["name"]: verify(run.dir / c["name"] / f"{c['name']}.npz").meta["content_digest"] for c in run.manifest["components"] if c["status"] != "error"}


def state(folder: Path) -> dict:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def error_of(run, name: str) -> dict:
    return next(c["error"] for c in run.manifest["components"] if c["name"] == name)


def test_the_second_run_does_no_work(tmp_path: Path, registry) -> None:
    first = run(tmp_path)
    assert first.status == "ok"
    before = state(tmp_path / "store") | state(tmp_path / "store_work")
    start = time.process_time()
    second = run(tmp_path)
    assert time.process_time() - start < 1
    after = state(tmp_path / "store") | state(tmp_path / "store_work")
    assert before == after and second.dir == first.dir


def test_one_config_hash_in_every_file_and_no_json_but_the_manifest(tmp_path: Path, registry) -> None:
    done = run(tmp_path)
    told = done.manifest["run"]
    files = sorted(p for p in done.dir.rglob("*") if p.is_file())
    assert [p.name for p in files if p.suffix != ".npz"] == ["manifest.json"]
    for p in files:
        if p.suffix == ".npz": assert verify(p).meta["config_hash"] == told["config_hash"]


def test_what_another_run_has_is_reused_without_decoding(tmp_path: Path, registry) -> None:
    first = run(tmp_path)
    more = run(tmp_path, {**LITTLE, "toy_slow": {}})
    entries = {c["name"]: c for c in more.manifest["components"]}
    assert more.dir != first.dir
    assert {n: bool(e["reused_from"]) for n, e in entries.items()} == {"toy_bright": True, "toy_step": True, "toy_title": True, "toy_slow": False}
    assert not (tmp_path / "store_work" / Path(*more.dir.parts[-3:])).exists(), "frames were decoded though nothing needed them"
    assert {k: v for k, v in digests(more).items() if k != "toy_slow"} == digests(first)


def test_a_new_like_counter_does_not_touch_the_pictures(tmp_path: Path, registry) -> None:
    run(tmp_path)
    later = run(tmp_path, info={**INFO, "like_count": 5, "title": "Another title"})
    reused = {c["name"]: c["reused_from"] for c in later.manifest["components"]}
    assert reused["toy_bright"] and reused["toy_step"] and not reused["toy_title"]


def test_required_and_optional_failures(tmp_path: Path, registry) -> None:
    bad = run(tmp_path, {**LITTLE, "toy_fails": {}, "toy_after": {}})
    assert bad.status == "error"
    assert error_of(bad, "toy_fails")["code"] == "internal" and error_of(bad, "toy_after")["code"] == "dependency_failed"
    assert {c["name"] for c in bad.manifest["components"] if c["status"] == "ok"} == set(LITTLE)
    assert not (bad.dir / "toy_fails").exists() or not list((bad.dir / "toy_fails").iterdir())
    assert "secret" not in json.dumps(bad.manifest), "a text component's message quoted the title"
    good = run(tmp_path, {**LITTLE, "toy_fails": {"required": False}, "toy_after": {"required": False}})
    assert good.status == "ok" and error_of(good, "toy_fails")["code"] == "internal"


def test_transient_errors_are_tried_again_and_no_others(tmp_path: Path, registry) -> None:
    toys.CALLS.clear()
    assert run(tmp_path, {"toy_flaky": {}}).status == "ok" and len(toys.CALLS) == 3


def test_one_gpu_is_used_by_one_at_a_time(tmp_path: Path, registry) -> None:
    for limit in (1, 2):
        toys.DEVICE.update(now=0, peak=0)
        names = {"toy_gpu_a": {}, "toy_gpu_b": {}}
        run(tmp_path, names, workers=4, redo=["toy_gpu_a", "toy_gpu_b"] if limit == 2 else [], profile={"execution": {"gpu_max_concurrent": limit}})
        assert toys.DEVICE["peak"] == limit


def test_isolated_crash_and_hang_are_recorded_and_the_rest_finishes(tmp_path: Path, registry, monkeypatch) -> None:
    from trendflow.core import contract
    monkeypatch.setitem(contract.COSTS, "cpu", 6.0)
    done = run(tmp_path, {**LITTLE, "toy_crash": {"required": False}, "toy_hang": {"required": False}}, isolate=True)
    assert done.status == "ok"
    assert error_of(done, "toy_crash")["code"] == "worker_crashed" and "SIGABRT" in error_of(done, "toy_crash")["message"]
    assert error_of(done, "toy_hang")["code"] == "timeout"
    assert digests(done) == digests(run(tmp_path / "threads"))


def test_a_corrupt_artifact_names_redo_and_redo_mends_it(tmp_path: Path, registry) -> None:
    first = run(tmp_path)
    want = digests(first)
    path = first.dir / "toy_bright" / "toy_bright.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"redo=\['toy_bright'\]"): run(tmp_path)
    assert len(path.read_bytes()) == 100, "a corrupt file was overwritten without being asked"
    mended = run(tmp_path, redo=["toy_bright"])
    assert digests(mended) == want
    with pytest.raises(UsageError, match="not in the profile"): run(tmp_path, redo=["nobody"])


def test_a_run_id_holds_one_configuration_and_one_input(tmp_path: Path, registry) -> None:
    run(tmp_path, run_id="mine")
    assert run(tmp_path, run_id="mine").status == "ok"
    for redo in ([], ["toy_title"]):            # to compute something anew is no leave to mix
        with pytest.raises(StoreConflict, match="another configuration"): run(tmp_path, {"toy_title": {}}, run_id="mine", redo=redo)
        with pytest.raises(StoreConflict, match="another texts"): run(tmp_path, run_id="mine", info={**INFO, "title": "other"}, redo=redo)
    for wrong in ("../mine", ""):
        with pytest.raises(UsageError, match="run_id"): run(tmp_path, run_id=wrong)


def test_damage_in_another_run_of_the_video_is_no_concern(tmp_path: Path, registry) -> None:
    other = run(tmp_path)
    (other.dir / "manifest.json").write_text("{")
    assert run(tmp_path, {**LITTLE, "toy_slow": {}}).status == "ok"


@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_damaged_frames_are_decoded_anew(tmp_path: Path, registry, damage: str) -> None:
    first = run(tmp_path)
    store = next(first.paths.frames_dir.rglob("*.npy"))
    store.unlink() if damage == "gone" else store.write_bytes(store.read_bytes()[:1000] if damage == "cut" else b"")
    assert digests(run(tmp_path, redo=["toy_bright"])) == digests(first)


def test_a_store_has_one_work_folder_by_whatever_way_it_is_reached(tmp_path: Path, registry) -> None:
    first = run(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    again = run_video(samples.silent_clip(), INFO, profile={"components": LITTLE}, store=tmp_path / "link", quiet=True)
    assert again.dir == first.dir and sorted(p.name for p in tmp_path.iterdir()) == ["link", "store", "store_work"]


def test_a_newer_version_is_computed_anew_with_what_depends_on_it(tmp_path: Path, registry) -> None:
    from dataclasses import replace
    run(tmp_path)
    registry["toy_bright"] = replace(registry["toy_bright"], version="1.0.1")
    toys_contract = registry["toy_bright"]
    import trendflow.core.contract as module
    module._CONTRACTS[toys.toy_bright], old = toys_contract, module._CONTRACTS[toys.toy_bright]
    try: again = run(tmp_path)
    finally: module._CONTRACTS[toys.toy_bright] = old
    notes = {c["name"]: c["notes"] for c in again.manifest["components"]}
    assert notes["toy_bright"] == ["computed anew: version changed"] and notes["toy_title"] == []
    assert any("reads" in n for n in notes["toy_step"])


def test_explain_before_and_after(tmp_path: Path, registry) -> None:
    def why(components: dict) -> dict:
        return explain("toy_bright", samples.silent_clip(), INFO, profile={"components": components}, store=tmp_path / "store")
    assert why(LITTLE)["verdict"] == "compute: nothing is stored"
    done = run(tmp_path)
    assert why(LITTLE)["verdict"] == "kept: nothing changed"
    assert why({**LITTLE, "toy_slow": {}})["verdict"].startswith(f"reuse from run {done.manifest['run']['run_id']}")
    assert why({**LITTLE, "toy_bright": {"config": {"gamma": 2.0}}})["verdict"].startswith("compute")
    assert explain("toy_bright", run_dir=done.dir)["verdict"] == "ok"


def test_explain_follows_what_a_component_reads(tmp_path: Path, registry) -> None:
    def why(**bright) -> str:
        profile = {"components": {**LITTLE, "toy_slow": {}, "toy_bright": bright}}
        return explain("toy_step", samples.silent_clip(), INFO, profile=profile, store=tmp_path / "store")["verdict"]
    done = run(tmp_path)
    assert why().startswith(f"reuse from run {done.manifest['run']['run_id']}")
    assert why(config={"gamma": 2.0}).startswith("compute")


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import toys
from pathlib import Path
from trendflow.core.contract import contract
from trendflow.core import registry
registry._discovered = True
registry._registry = {{n: contract(f) for n, f in toys.ALL.items()}}
import test_e2e
print("started", flush=True)
test_e2e.run(Path({tmp!r}), {components!r})
"""


def test_killed_at_any_moment_the_next_call_finishes(tmp_path: Path, registry) -> None:
    components = {**LITTLE, "toy_slow": {}}
    want = digests(run(tmp_path / "calm", components))
    rng, killed = random.Random(7), 0
    code = KILLED.format(tests=str(Path(__file__).parent), tmp=str(tmp_path / "wild"), components=components)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"IN_TEST": "1"})
        assert child.stdout is not None and child.stdout.readline() == b"started\n"
        time.sleep(rng.uniform(0.0, 0.6))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    assert killed >= 3, "the run was too fast to be killed"
    done = run(tmp_path / "wild", components)
    assert done.status == "ok" and digests(done) == want
    left = [p for p in (tmp_path / "wild").rglob("*") if p.suffix in (".part", ".partial")]
    assert not left, f"leftovers: {left}"


def test_ctrl_c_does_not_wait_for_a_component_that_looks_at_frames(tmp_path: Path, registry) -> None:
    with pytest.raises(KeyboardInterrupt): run(tmp_path, {"toy_interrupted": {}})
    assert not list(tmp_path.rglob("*.npz")), "it went on to its end"


def test_two_at_once_do_the_work_once(tmp_path: Path, registry) -> None:
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool: a, b = pool.map(lambda _: run(tmp_path), range(2))
    assert a.dir == b.dir and a.status == "ok"
