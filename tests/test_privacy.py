"""Nothing that people wrote gets out: not into the store, the work folder, a message or a feature table."""
from __future__ import annotations

import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import toys
from PIL import Image
from trendflow.app.batch import run_videos
from trendflow.app.inspect import export
from trendflow.app.run_video import Run, run_video
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.contract import contract
from trendflow.core.registry import discover, get, scratch_registry
from trendflow.core.store import RAW_TEXT
from trendflow.kit.tokens import decode
from trendflow.run.profile import settle_profile
from trendflow.run.retention import DAY_S, delete, purge
from weights import REASON, lacks

WORDS = [f"secretword{c}" for c in "abcdefghijklmnopq"]
INFO = {"id": "abcdefghijk", "title": f"{WORDS[0]} title", "description": f"{WORDS[1]} 0:00 {WORDS[2]}\nhttps://{WORDS[3]}.example #{WORDS[4]}\nWhy {WORDS[15]}? Because.",
        "tags": [WORDS[5]], "uploader": WORDS[6], "channel": WORDS[7], "channel_id": f"UC{WORDS[8]}", "epoch": 1767225600, "view_count": 10,
        "chapters": [{"start_time": 0, "end_time": 5, "title": WORDS[9]}],
        "comments": [{"id": "c1", "text": f"{WORDS[10]} is great", "author": WORDS[11], "author_id": f"@{WORDS[11]}", "timestamp": 1767220000, "like_count": 3},
                     {"id": "c2", "text": f"What is {WORDS[12]}?", "parent": "root", "timestamp": 1767220001},
                     {"id": "c3", "text": f"A {WORDS[12]} is a thing", "parent": "c2", "timestamp": 1767220002}]}
SUBTITLES = f"WEBVTT\n\n00:00.000 --> 00:02.000\nThe {WORDS[13]} is here.\n\n00:02.000 --> 00:04.000\nDo you like the {WORDS[13]}?\n"
TEXTS = [c.id for c in discover().values() if not lacks(c) and (c.family == "text" or {i.target for i in c.inputs} & {"texts", "meta"})]
CODES = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def leaks(data: bytes, words: list[str] = WORDS) -> list[str]:
    "The words that are in these bytes, in any encoding that text is stored in."
    folded = data.lower()
    return [w for w in words if any(w.encode(code) in folded for code in CODES)]


def contents(path: Path) -> Iterator[bytes]:
    "The bytes of a file, and what is packed in it: members of archives, streams of a PDF, texts beside a picture."
    data = path.read_bytes()
    yield data
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive: yield from (name.encode() + archive.read(name) for name in archive.namelist())
    if path.suffix == ".pdf":
        for packed in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
            try: yield zlib.decompressobj().decompress(packed)
            except zlib.error: pass
    if path.suffix == ".png": yield repr(Image.open(path).info).encode()


def holding(folder: Path, words: list[str] = WORDS, never: tuple[Path, ...] = ()) -> dict[str, list[str]]:
    "File → the words that its content or its name holds."
    files = [p for p in folder.rglob("*") if p.is_file() and p not in never]
    return {str(p.relative_to(folder)): found for p in files
            if (found := sorted({w for data in (*contents(p), str(p.relative_to(folder)).encode()) for w in leaks(data, words)}))}


def test_the_check_finds_what_leaks(tmp_path: Path) -> None:
    assert leaks(b"x" + WORDS[3].upper().encode("utf-32-le")) == [WORDS[3]]
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("x", (20 * WORDS[0]).encode("utf-16-le"))
    (tmp_path / WORDS[1]).touch()
    (tmp_path / "a.pdf").write_bytes(b"stream\n" + zlib.compress(20 * WORDS[2].encode()) + b"endstream")
    assert holding(tmp_path) == {"a.npz": [WORDS[0]], WORDS[1]: [WORDS[1]], "a.pdf": [WORDS[2]]}


def planted(folder: Path) -> tuple[Path, Path]:
    "An info JSON and subtitles full of secrets; their names are secret too."
    info, subtitles = folder / "in" / f"{WORDS[0]}.info.json", folder / "in" / f"{WORDS[14]}.en.vtt"
    info.parent.mkdir()
    info.write_text(json.dumps(INFO))
    subtitles.write_text(SUBTITLES)
    return info, subtitles


@pytest.fixture
def profile():
    "Every component that reads texts, with the subtitles as transcript; and one that fails with the title in its message."
    assert {"comments_statistics", "subtitle_transcript", "transcript_chunk_embedder", "semantics_topics_keyphrases", "cosine_metrics_extractor"} <= {*TEXTS}
    with scratch_registry(*TEXTS) as registry:
        registry |= {f.__name__: contract(f) for f in (toys.toy_fails, toys.toy_title, toys.toy_turns)}
        yield {"components": {**{n: {} for n in TEXTS}, "toy_title": {}, "toy_turns": {}, "toy_fails": {"required": False}}, "roles": {"transcript": "subtitle_transcript"}}


def drawn(done: Run, folder: Path) -> None:
    "The overview of a run in every format."
    for kind in ("png", "svg", "pdf"): done.overview().save(folder / f"overview.{kind}")


@pytest.mark.parametrize("isolate", [False, True])
def test_no_word_of_anybody_is_stored_or_said(tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture, profile: dict, isolate: bool) -> None:
    info, subtitles = planted(tmp_path)
    caplog.set_level(logging.DEBUG)
    done = run_video(samples.silent_clip(), info, transcript=subtitles, profile=profile, store=tmp_path / "store", isolate=isolate)
    batch = run_videos([samples.silent_clip()], [info], profile=profile, store=tmp_path / "store", quiet=True)
    export(tmp_path / "features.csv", store=tmp_path / "store")
    drawn(done, tmp_path)
    made = {c["name"]: c for c in done.manifest["components"]}
    assert done.status == "ok" and made.pop("toy_fails")["status"] == "error" and {*made} == {*TEXTS, "toy_title", "toy_turns"}
    blank = {name for name, c in made.items() if c["status"] != "ok"}
    assert blank <= {"core_title_clip", "core_title_imagenet"}, blank
    said = capfd.readouterr()
    shown = "\n".join([repr(done), done._repr_html_(), repr(batch), batch.table.to_string(), done.table.to_string(), caplog.text, said.out, said.err])
    assert leaks(shown.encode()) == []
    assert holding(tmp_path, never=(info, subtitles)) == {}
    assert WORDS[13] in " ".join(decode(Artifact.open(done.dir / "subtitle_transcript" / "subtitle_transcript.npz")).words)       # token ids: the one exception


def test_raw_text_has_files_of_its_own_that_purge_and_delete_remove(tmp_path: Path, profile: dict) -> None:
    info, subtitles = planted(tmp_path)
    done = run_video(samples.silent_clip(), info, transcript=subtitles, profile={**profile, "retain_raw_text": True}, store=tmp_path / "store", work=tmp_path / "work", quiet=True)
    found = holding(tmp_path, never=(info, subtitles))
    assert {Path(p).parent.name: Path(p).name for p in found} == dict.fromkeys(("subtitle_transcript", "semantics_topics_keyphrases"), RAW_TEXT)
    late = max(p.stat().st_mtime for p in done.dir.rglob(RAW_TEXT)) + 61 * DAY_S
    purge(tmp_path / "store", tmp_path / "work", now_s=late)
    assert holding(tmp_path, never=(info, subtitles)) == {} and (done.dir / "subtitle_transcript" / "subtitle_transcript.npz").exists()
    delete(tmp_path / "store", tmp_path / "work", INFO["id"])
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p not in (info, subtitles)]


SAID = ["wooden table", "short trip", "thank you for watching", "watching", "welcome"]      # the two single words: raw text has a cell for each word
SHOWN = ["from coffee to space", "subscribe for more"]


@pytest.mark.slow
def test_what_the_sample_says_and_shows_is_only_in_raw_text(tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture) -> None:
    "The default profile on a real video, first without raw text, then with it."
    if any(lacks(get(n)) for n in settle_profile("default").plan.order): pytest.skip(REASON)
    store, work, where = tmp_path / "store", tmp_path / "work", samples.folder() / "sample.mp4"
    caplog.set_level(logging.DEBUG)
    done = run_video(where, profile="default", store=store, work=work)
    drawn(done, tmp_path)
    said = capfd.readouterr()
    shown = "\n".join([repr(done), done._repr_html_(), done.table.to_string(), caplog.text, said.out, said.err])
    assert done.status == "ok" and holding(tmp_path, SAID + SHOWN) == {} and leaks(shown.encode(), SAID + SHOWN) == []
    spoken = decode(Artifact.open(done.dir / "asr_extractor" / "asr_extractor.npz"))
    assert leaks(" ".join(spoken.utterances).encode(), SAID) == SAID                           # the one exception, stated on the page of the extractor
    kept = run_video(where, profile={"extends": "default", "components": {}, "retain_raw_text": True}, store=store, work=work, quiet=True)
    found = holding(tmp_path, SAID + SHOWN)
    assert {w for words in found.values() for w in words} == {*SAID, *SHOWN} - {"thank you for watching"}        # cells of single words
    assert {Path(p).parent.name: Path(p).name for p in found} == dict.fromkeys(("asr_extractor", "ocr_extractor", "semantics_topics_keyphrases"), RAW_TEXT)
    assert all((tmp_path / p).is_relative_to(kept.dir) for p in found)
    purge(store, work, now_s=max(p.stat().st_mtime for p in kept.dir.rglob(RAW_TEXT)) + 61 * DAY_S)
    assert holding(tmp_path, SAID + SHOWN) == {}
    delete(store, work, kept.dir.parent.name)
    assert not [p for p in (*store.rglob("*"), *work.rglob("*")) if p.is_file()]
