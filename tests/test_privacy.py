"""Nothing that people wrote gets out: not into the store, the work folder, a message or a feature table."""
from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import toys
from trendflow.app.batch import run_videos
from trendflow.app.inspect import export
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.contract import contract
from trendflow.core.registry import discover, scratch_registry
from weights import lacks

WORDS = [f"secretword{c}" for c in "abcdefghijkl"]
INFO = {"id": "abcdefghijk", "title": f"{WORDS[0]} title", "description": f"{WORDS[1]} 0:00 {WORDS[2]}\nhttps://{WORDS[3]}.example #{WORDS[4]}",
        "tags": [WORDS[5]], "uploader": WORDS[6], "channel": WORDS[7], "channel_id": f"UC{WORDS[8]}", "epoch": 1767225600, "view_count": 10,
        "chapters": [{"start_time": 0, "end_time": 5, "title": WORDS[9]}],
        "comments": [{"id": "c1", "text": f"{WORDS[10]} is great", "author": WORDS[11], "author_id": f"@{WORDS[11]}", "timestamp": 1767220000, "like_count": 3}]}
TEXTS = [c.id for c in discover().values() if {i.target for i in c.inputs} & {"texts", "meta"} and not lacks(c)]


def leaks(data: bytes) -> list[str]:
    "The planted words that are in these bytes, in any encoding that text is stored in."
    folded = data.lower()
    return [w for w in WORDS if any(w.encode(code) in folded for code in ("utf-8", "utf-16-le", "utf-32-le"))]


def test_the_check_finds_what_leaks() -> None:
    assert leaks(b"x" + WORDS[3].upper().encode("utf-32-le")) == [WORDS[3]]


@pytest.mark.parametrize("isolate", [False, True])
def test_no_word_of_anybody_is_stored_or_said(tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture, isolate: bool) -> None:
    assert len(TEXTS) >= 3
    info = tmp_path / "in" / f"{WORDS[0]}.info.json"
    info.parent.mkdir()
    info.write_text(json.dumps(INFO))
    caplog.set_level(logging.DEBUG)
    with scratch_registry(*TEXTS) as registry:
        registry |= {f.__name__: contract(f) for f in (toys.toy_fails, toys.toy_title)}
        profile = {"components": {**{n: {} for n in TEXTS}, "toy_title": {}, "toy_fails": {"required": False}}}
        done = run_video(samples.silent_clip(), info, profile=profile, store=tmp_path / "store", isolate=isolate)
        batch = run_videos([samples.silent_clip()], [info], profile=profile, store=tmp_path / "store", quiet=True)
        export(tmp_path / "features.csv", store=tmp_path / "store")
    failed = next(c for c in done.manifest["components"] if c["name"] == "toy_fails")
    assert done.status == "ok" and failed["status"] == "error"
    said = capfd.readouterr()
    shown = "\n".join([repr(done), done._repr_html_(), repr(batch), batch.table.to_string(), done.table.to_string(), caplog.text, said.out, said.err])
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p != info]
    assert len(files) > len(TEXTS)
    assert leaks(shown.encode()) == []
    assert {p.name: found for p in files if (found := leaks(p.read_bytes() + str(p.relative_to(tmp_path)).encode()))} == {}
