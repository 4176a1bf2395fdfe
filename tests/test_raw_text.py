"""Texts that a component read lie in a file of their own, only where the profile allows it, and only for a time."""
from __future__ import annotations

from pathlib import Path

import pytest
import toys
from trendflow.app.inspect import validate
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.contract import contract
from trendflow.core.measure import measure
from trendflow.core.registry import scratch_registry
from trendflow.run.retention import DAY_S, purge

KEEP, DROP = ({"components": {"toy_reads": {}}, "retain_raw_text": keep} for keep in (True, False))


@pytest.fixture(autouse=True)
def registry():
    with scratch_registry() as found:
        found |= {f.__name__: contract(f) for f in (toys.toy_reads, toys.toy_misreads)}
        yield


def run(store: Path, profile: dict): return run_video(samples.silent_clip(), profile=profile, store=store, quiet=True)


def holding(folder: Path) -> set[str]:
    "Names of the files that hold the secret, in the form in which arrays hold text."
    return {p.name for p in folder.rglob("*") if p.is_file() and any("secretword".encode(code) in p.read_bytes() for code in ("utf-8", "utf-32-le"))}


def test_it_is_split_off_and_explains_itself() -> None:
    made = measure(toys.toy_reads, {"frames": samples.frames()})
    assert "text" not in made.arrays and "text" not in made.schema["arrays"]
    assert made.raw_text["text"].tolist() == ["secretword"] and made.raw_text["line_frame_row"].tolist() == [0]
    assert made.raw_text.meta["producer"] == "toy_reads" and list(made.raw_text) == ["text"]


@pytest.mark.parametrize(("profile", "files"), [(DROP, set()), (KEEP, {"raw_text.npz"})])
def test_it_is_kept_only_where_the_profile_allows_it(tmp_path: Path, profile: dict, files: set[str]) -> None:
    done = run(tmp_path / "store", profile)
    assert done.status == "ok" and holding(tmp_path) == files
    assert all(row["ok"] for row in validate(done.dir)) and len(validate(done.dir)) == 1 + len(files)


def test_a_run_that_keeps_it_reads_again_after_one_that_did_not_and_takes_it_from_one_that_did(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, second = run(store, DROP), run(store, KEEP)
    assert second.manifest["components"][0]["reused_from"] is None and holding(second.dir) == {"raw_text.npz"}
    third = run(store, {**KEEP, "max_duration_s": 999.0})
    entry = third.manifest["components"][0]
    assert entry["reused_from"] == second.dir.name and [a["path"] for a in entry["artifacts"]] == ["toy_reads/toy_reads.npz", "toy_reads/raw_text.npz"]
    assert holding(third.dir) == {"raw_text.npz"} and holding(first.dir) == set()
    assert run(store, DROP).dir == first.dir and holding(first.dir) == set()


def test_purge_takes_it_and_the_features_stay(tmp_path: Path) -> None:
    done = run(tmp_path / "store", KEEP)
    before = (done.dir / "toy_reads" / "toy_reads.npz").read_bytes()
    made_s = (done.dir / "toy_reads" / "raw_text.npz").stat().st_mtime
    assert not [r for r in purge(tmp_path / "store", tmp_path / "w", now_s=made_s + 59 * DAY_S) if r.what == "raw text"]
    assert [r.what for r in purge(tmp_path / "store", tmp_path / "w", now_s=made_s + 61 * DAY_S)] == ["raw text"]
    assert holding(done.dir) == set() and (done.dir / "toy_reads" / "toy_reads.npz").read_bytes() == before
    again = run(tmp_path / "store", KEEP)
    assert "purged: raw text" in again.manifest["components"][0]["notes"] and holding(again.dir) == set()
    assert all(row["ok"] for row in validate(again.dir))


def test_a_message_that_could_quote_it_is_withheld(tmp_path: Path) -> None:
    done = run(tmp_path / "store", {"components": {"toy_misreads": {}}})
    assert done.manifest["components"][0]["error"]["message"].startswith("withheld") and holding(tmp_path) == set()
