"""What must hold of artifacts, identity, manifest and store, across processes and under attack."""
from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from trendflow.core.artifact import Artifact, Identity, content_digest, make_artifact, rehome, verify, write_artifact
from trendflow.core.columns import pool
from trendflow.core.contract import contract
from trendflow.core.errors import ArtifactError, ContractError, ManifestError, UsageError
from trendflow.core.identity import canonical, config_hash, digest
from trendflow.core.manifest import load, upsert
from trendflow.core.store import RunPaths

COORDS = {"source_frame_indices": np.array([3, 9], "int32"), "times_s": np.array([0.1, 0.4]), "frame_indices": np.array([0, 1], "int32")}


def bright(values=(0.2, 0.4), **kw) -> Artifact:
    return make_artifact(contract(toys.toy_bright), {"bright": np.array(values, "float32")}, COORDS, **kw)


def paths(tmp_path: Path, run_id: str = "run") -> RunPaths:
    return RunPaths(tmp_path / "store", tmp_path / "work", "youtube", "abc", run_id)


# --- artifacts ----------------------------------------------------------------------------------------------------------------

def test_equal_arrays_and_meta_give_equal_bytes(tmp_path: Path) -> None:
    made = bright()
    write_artifact(made, tmp_path / "a.npz")
    write_artifact(Artifact(made.arrays, dict(reversed(made.meta.items()))), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_content_digest_ignores_only_what_is_volatile() -> None:
    made = bright()
    own = made.meta["content_digest"]
    for key, value in {"created_at": "x", "run_id": "x", "video_id": "x", "platform_id": "x", "config_hash": "x", "stage_timings_ms": {"a": 1}, "device_used": "x"}.items():
        assert content_digest(made.arrays, {**made.meta, key: value}) == own, key
    for key, value in {"producer_version": "9.9.9", "status": "empty", "component_key": "x", "inputs": {"a": 1}, "seed": 7, "models_used": [{}]}.items():
        assert content_digest(made.arrays, {**made.meta, key: value}) != own, key
    assert content_digest({**made.arrays, "frame_indices": np.array([4, 9], "int32")}, made.meta) == own
    for name in ("bright", "times_s", "source_frame_indices"):
        assert content_digest({**made.arrays, name: made.arrays[name] + 1}, made.meta) != own, name


def test_plain_numpy_reads_all_without_pickle_and_data_are_aligned(tmp_path: Path) -> None:
    write_artifact(bright(), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as z: told = {k: z[k] for k in z.files}
    assert set(told) == {"bright", "meta", *COORDS} and json.loads(str(told["meta"]))["producer"] == "toy_bright"
    raw = (tmp_path / "a.npz").read_bytes()
    for name in ("bright", "times_s"): assert raw.index(told[name].tobytes()) % 64 == 0
    with zipfile.ZipFile(tmp_path / "a.npz") as z: assert {i.compress_type for i in z.infolist()} == {zipfile.ZIP_STORED}


def test_opening_maps_and_does_not_copy(tmp_path: Path) -> None:
    write_artifact(bright(), tmp_path / "a.npz")
    made = Artifact.open(tmp_path / "a.npz")
    assert not made.bright.flags.owndata and not made.bright.flags.writeable
    with pytest.raises(ValueError, match="read-only"): made.bright[0] = 1


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flipped", "object", "compressed", "no meta", "wrong meta"])
def test_a_damaged_file_is_an_error_that_names_it_and_the_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "toy_bright" / "toy_bright.npz"
    made = bright()
    write_artifact(made, path)
    raw = bytearray(path.read_bytes())
    if damage == "empty": path.write_bytes(b"")
    elif damage == "cut": path.write_bytes(raw[:len(raw) // 2])
    elif damage == "text": path.write_text("not an artifact")
    elif damage == "flipped":
        raw[raw.index(made.bright.tobytes())] ^= 1
        path.write_bytes(raw)
    elif damage == "object": np.savez(path, meta=np.array([{}], object))
    elif damage == "compressed": np.savez_compressed(path, **made.arrays, meta=np.array(canonical(made.meta)))
    elif damage == "no meta": np.savez(path, **made.arrays)
    elif damage == "wrong meta": np.savez(path, **made.arrays, meta=np.array("{"))
    with pytest.raises(ArtifactError) as e: verify(path)
    assert str(path) in str(e.value) and "redo=['toy_bright']" in str(e.value)


def test_every_fault_in_one_message() -> None:
    wrong = {"bright": np.array([1.0, np.inf, 3.0]), "extra": np.zeros(1)}
    with pytest.raises(ContractError) as e: make_artifact(contract(toys.toy_bright), wrong, {"times_s": np.array([1.0, 0.0])})
    for part in ("bright: expected float32", "extra: unexpected", "source_frame_indices: missing", "frame_indices: missing"): assert part in str(e.value)


def test_order_of_coordinates_is_checked() -> None:
    with pytest.raises(ContractError, match="times_s: not in order"):
        make_artifact(contract(toys.toy_bright), {"bright": np.ones(2, "float32")}, {**COORDS, "times_s": np.array([1.0, 0.5])})
    with pytest.raises(ContractError, match="source_frame_indices: not in order"):
        make_artifact(contract(toys.toy_bright), {"bright": np.ones(2, "float32")}, {**COORDS, "source_frame_indices": np.array([3, 3], "int32")})


def test_a_rehomed_artifact_keeps_its_content() -> None:
    made = bright()
    moved = rehome(made, Identity(video_id="v", run_id="r"), np.array([5, 6]))
    assert content_digest(moved.arrays, moved.meta) == made.meta["content_digest"] and moved.meta["run_id"] == "r"
    assert made.frame_indices.tolist() == [0, 1]


# --- identity -----------------------------------------------------------------------------------------------------------------

PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-10**12, 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=8)


def shuffled(x):
    "The same value with every key order turned round."
    if isinstance(x, dict): return {k: shuffled(v) for k, v in reversed(x.items())}
    return [shuffled(v) for v in x] if isinstance(x, list) else x


@given(PLAIN)
@settings(max_examples=80, deadline=None)
def test_key_order_does_not_matter(x) -> None:
    assert digest(x) == digest(shuffled(x))


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers() | st.text(max_size=4) | st.booleans(), min_size=1, max_size=5), st.data())
@settings(max_examples=80, deadline=None)
def test_every_value_matters(config, data) -> None:
    key = data.draw(st.sampled_from(sorted(config)))
    other = data.draw((st.integers() | st.text(max_size=4) | st.booleans()).filter(lambda v: canonical(v) != canonical(config[key])))
    assert config_hash(config) != config_hash({**config, key: other})


def test_the_hash_is_the_same_on_another_machine() -> None:
    config = {"components": {"b": {"x": 1.5, "ü": [1, None, True]}, "a": {}}, "anchor": "none"}
    code = "import sys, json; from trendflow.core.identity import config_hash; print(config_hash(json.loads(sys.argv[1])))"
    for seed in ("1", "2"):
        out = subprocess.run([sys.executable, "-c", code, json.dumps(shuffled(config))], capture_output=True, text=True, check=True, cwd="/",
                             env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"})
        assert out.stdout.strip() == config_hash(config) == "d23add87829c172b"


TRICKS = ["../x", "..", ".", "", "a/b", "a\\b", "/etc", "a\x00b", "a\n", "ａ", "x" * 65, "a b", "C:", "~", "%2e%2e", None, 7]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("field", ["platform_id", "video_id", "run_id"])
def test_path_tricks_are_refused(tmp_path: Path, field: str, trick) -> None:
    good = {"platform_id": "youtube", "video_id": "abc", "run_id": "run"}
    with pytest.raises(UsageError, match=field): RunPaths(tmp_path, tmp_path, **{**good, field: trick})
    assert not list(tmp_path.iterdir())


# --- manifest -----------------------------------------------------------------------------------------------------------------

MANY = """
import sys
from pathlib import Path
from trendflow.core.manifest import upsert
from trendflow.core.store import RunPaths
root, worker = Path(sys.argv[1]), sys.argv[2]
p = RunPaths(root / "store", root / "work", "youtube", "abc", "run")
for i in range(5): upsert(p, components=[{"name": f"c{worker}_{i}", "kind": "module", "status": "ok", "required": True}])
"""


def test_eight_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path), str(w)]) for w in range(8)]
    assert [w.wait() for w in workers] == [0] * 8
    manifest = load(paths(tmp_path).manifest)
    assert [c["name"] for c in manifest["components"]] == sorted(f"c{w}_{i}" for w in range(8) for i in range(5))
    assert [p.name for p in paths(tmp_path).run_dir.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": {}}', '{"run": {}, "components": [{}]}', '{"run": {}, "components": null}',
                                  '{"run": [], "components": [1]}', "\x00\x01"])
def test_a_corrupt_manifest_is_named_and_never_overwritten(tmp_path: Path, text: str) -> None:
    p = paths(tmp_path)
    p.run_dir.mkdir(parents=True)
    p.manifest.write_text(text)
    with pytest.raises(ManifestError) as e: upsert(p, components=[{"name": "a", "kind": "module", "status": "ok", "required": True}])
    assert str(p.manifest) in str(e.value) and p.manifest.read_text() == text


@pytest.mark.parametrize(("change", "says"), [
    ({"artifacts": [{"path": "../../etc/passwd"}]}, "a.artifacts"), ({"artifacts": [{"path": "/etc/passwd"}]}, "a.artifacts"), ({"artifacts": [{"path": "a/.."}]}, "a.artifacts"),
    ({"artifacts": None}, "a.artifacts"), ({"kind": None}, "a.kind"), ({"status": "fine"}, "a.status"),
])
def test_an_entry_that_leads_elsewhere_is_refused(tmp_path: Path, change: dict, says: str) -> None:
    good = {"name": "a", "kind": "module", "status": "ok", "required": True}
    m = upsert(paths(tmp_path), components=[good])
    m["components"][0] |= change
    paths(tmp_path).manifest.write_text(json.dumps(m))
    with pytest.raises(ManifestError, match=says): load(paths(tmp_path).manifest)


def test_a_component_is_listed_once(tmp_path: Path) -> None:
    m = upsert(paths(tmp_path), components=[{"name": "a", "kind": "module", "status": "ok", "required": True}])
    paths(tmp_path).manifest.write_text(json.dumps(m | {"components": m["components"] * 2}))
    with pytest.raises(ManifestError, match="a: listed twice"): load(paths(tmp_path).manifest)


ENTRIES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["ok", "empty"])), max_size=8)


@given(ENTRIES)
@settings(max_examples=25, deadline=None)
def test_upsert_is_idempotent_and_the_last_word_counts(tmp_path_factory, entries) -> None:
    p = paths(tmp_path_factory.mktemp("m"))
    for name, status in entries: upsert(p, components=[{"name": name, "kind": "module", "status": status, "required": True}])
    again = upsert(p, components=[{"name": n, "kind": "module", "status": s, "required": True} for n, s in dict(entries).items()])
    assert {c["name"]: c["status"] for c in again["components"]} == dict(entries)
    assert [c["name"] for c in again["components"]] == sorted(dict(entries))


# --- columns ------------------------------------------------------------------------------------------------------------------

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(VALUES, st.data())
@settings(max_examples=80, deadline=None)
def test_pooling_with_a_mask_equals_pooling_the_subset(values, data) -> None:
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    x, w = np.array(values), np.arange(1, len(values) + 1, dtype=float)
    for stat in ("mean", "std", "min", "p10", "median", "p90", "max", "sum", "first", "last", "count"):
        a, b = pool(np.where(keep, x, np.nan), stat, w), pool(x[keep], stat, w[keep])
        assert (np.isnan(a) and np.isnan(b)) or np.isclose(a, b), stat
