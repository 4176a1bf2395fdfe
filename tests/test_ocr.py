"""Text in the picture: what must be read is read, pictures without text say nothing, and no word gets out unless the profile allows it."""
from __future__ import annotations

import logging
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.columns import row
from trendflow.core.contract import contract
from trendflow.core.framesdir import open_frames_dir
from trendflow.core.measure import measure
from trendflow.core.registry import scratch_registry
from trendflow.core.sources import Frames
from trendflow.core.store import RAW_TEXT
from trendflow.kit.image import shrink
from trendflow.kit.models import Models
from trendflow.providers.ocr_extractor import TEXT, _load, choose, ocr_extractor, places, plain
from trendflow.run.retention import DAY_S, purge
from trendflow.segment.probe import probe
from trendflow.segment.segmenter import plan_video, write_frames

SHOWN, LINES = list(TEXT).index("shown"), list(TEXT).index("lines")


def of_pictures(*pictures: np.ndarray, fps: float = 1.0) -> Frames:
    "Frames of one size."
    at = np.arange(len(pictures), dtype=np.int32)
    return Frames(np.stack(pictures), at, at, at, at / fps, len(pictures) / fps)


def of_file(path: Path, work: Path) -> Frames:
    "The frames that a run would see."
    write_frames(path, plan_video(probe(path), {"ocr_extractor": contract(ocr_extractor).sample}), work)
    return open_frames_dir(work).frames("ocr_extractor")


def picture(path: Path) -> np.ndarray:
    "A still picture, as a frame of a video would be."
    return np.ascontiguousarray(shrink(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), 1280))


def said(made: Artifact) -> list[str]: return [] if made.empty else [t for t in made.raw_text["raw_text"].tolist() if t]


def written(text: str, shade: int = 60, size: tuple[int, int] = (360, 640)) -> np.ndarray:
    "A plain picture with a line of text."
    return cv2.putText(np.full((*size, 3), shade, np.uint8), text, (40, 180), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3)


# --- what is read ---------------------------------------------------------------------------------------------------------------

def test_a_caption_that_appears_is_read_and_timed(shared_data: Path, tmp_path: Path) -> None:
    frames = of_file(shared_data / "videos" / "obama_speech.mp4", tmp_path)
    made = measure(ocr_extractor, {"frames": frames})
    times = frames.times_s[made["line_frame_row"]]
    title, date = plain("PRESIDENT OBAMA STATEMENT ON IRAN"), plain("JULY 14, 2015")
    assert {plain(t) for t in said(made)} == {title, date}
    assert times.min() > 2.1 and (made["text"][frames.times_s > 3.2, SHOWN] == 1).all() and (made["text"][frames.times_s < 2.1, SHOWN] == 0).all()
    assert (made["box"][:, 1] > 0.8).all() and made["place"].tolist() == [0, 0, 1]


def test_burned_in_numbers_are_read_to_the_digit(shared_data: Path, tmp_path: Path) -> None:
    frames = of_file(shared_data / "videos" / "smpte_timecode.mp4", tmp_path)
    made = measure(ocr_extractor, {"frames": frames})
    seconds = {int(i): float(t) for i, t in zip(made["line_frame_row"], said(made)) if t.count(".") == 1 and not t.endswith(".000")}
    assert made["looked"].all() and len(seconds) == len(frames)
    assert all(abs(frames.times_s[i] - s) < 0.05 for i, s in seconds.items())
    assert made["summary"][0] == 3 * len(frames)            # three numbers in each frame, none of them taken for another


def test_every_text_of_the_sample_video_is_where_it_is(tmp_path: Path) -> None:
    frames = of_file(samples.clip(), tmp_path)
    made = measure(ocr_extractor, {"frames": frames})
    shown = [" ".join(t for i, t in zip(made["line_frame_row"], made.raw_text["raw_text"].tolist()) if i == k) for k in range(len(frames))]
    seen = read = 0
    for text in samples.truth()["texts"]:
        inside = [k for k, t in enumerate(frames.times_s) if text["start_s"] + 0.3 < t < text["end_s"] - 0.3]
        seen, read = seen + len(inside), read + sum(plain(shown[k]) == plain(text["text"]) for k in inside)
        rows = [k for k, t in enumerate(made.raw_text["raw_text"]) if plain(t) == plain(text["text"])]
        assert np.abs(made["box"][rows] - np.array(text["box"]) / [640, 360, 640, 360]).max(initial=0) < 0.07
    assert made["looked"].all() and seen > 12 and read >= 0.85 * seen        # 14 of 16
    asks = made["asks"][:, 0] == 1
    assert asks.any() and (frames.times_s[asks] > 28).all() and np.nansum(made["asks"][:, 1:]) == 0
    assert not {plain(t) for t in said(made)} - {plain(t) for x in samples.truth()["texts"] for t in (x["text"], *x["text"].split())}


# The rules were made on these still pictures and on intel_bottles (a neck read as a line on its side); the other clips played no part in them.
def test_pages_are_read_line_by_line(shared_data: Path) -> None:
    gold = [plain(x) for x in (shared_data / "images/ocr/phototest.gold.txt").read_text().splitlines() if x.strip()]
    assert [plain(t) for t in said(measure(ocr_extractor, {"frames": of_pictures(picture(shared_data / "images/ocr/phototest.tif"))}))] == gold
    signs = said(measure(ocr_extractor, {"frames": of_pictures(picture(shared_data / "images/ocr/easyocr_french.jpg"))}))
    assert {"palaisdulouvre", "lesartsdécoratifs", "muséedulouvre", "théâtre", "dupalaisroyal"} <= {plain(t) for t in signs}
    page = said(measure(ocr_extractor, {"frames": of_pictures(picture(shared_data / "images/skimage/page.png"))}))
    assert len(page) == 7 and page[0] == "Region-based segmentation"


@pytest.mark.parametrize("name", ["skimage/chelsea.png", "skimage/coffee.png", "skimage/rocket.jpg", "skimage/astronaut.png", "skimage/camera.png",
                                  "skimage/clock_motion.png", "coco/000000000785.jpg", "faces/obama.jpg"])
def test_a_picture_without_text_says_nothing(shared_data: Path, name: str) -> None:
    assert measure(ocr_extractor, {"frames": of_pictures(picture(shared_data / "images" / name))}).meta["empty_reason"] == "no_text_in_video"


@pytest.mark.parametrize("name", ["tears_of_steel_battle.webm", "friday.mp4", "intel_bottles.mp4", "asl_hungry.mkv", "carphone_qcif.mp4", "shuttle_vp8.webm"])
def test_a_clip_without_text_says_nothing(shared_data: Path, tmp_path: Path, name: str) -> None:
    assert said(measure(ocr_extractor, {"frames": of_file(shared_data / "videos" / name, tmp_path)})) == []


def test_scripts_that_the_model_does_not_know_are_lines_but_not_read(shared_data: Path) -> None:
    made = measure(ocr_extractor, {"frames": of_pictures(picture(shared_data / "images/ocr/devatest.png"))})
    unread = made.raw_text["raw_text"] == ""
    assert unread.sum() >= 6 and "JanaHindi" in said(made)
    assert (made["n_characters"][unread] == -1).all() and (made["text_digest"][unread] == -1).all() and np.isnan(made["confidence"][unread]).all()
    assert made["text"][0, list(TEXT).index("unread")] == unread.sum()


# --- which frames are looked at -------------------------------------------------------------------------------------------------

def test_a_frame_that_was_not_read_is_unknown_not_zero() -> None:
    frames = of_pictures(*(written(f"Number {'ABCDEF'[k]}{k}", 40 + 15 * k) for k in range(6)), written("", 40))
    made = measure(ocr_extractor, {"frames": frames}, {"max_frames": 2})
    assert made["looked"].tolist().count(True) == 3 and made["looked"][6]           # two were read, and the bare one has nothing to read
    assert np.isnan(made["text"][~made["looked"]]).all() and np.isnan(made["asks"][~made["looked"]]).all()
    assert made["text"][6, SHOWN] == 0 and np.isin(made["line_frame_row"], np.flatnonzero(made["looked"])).all()
    values = row(made, ocr_extractor)
    assert values["ocr_extractor.text.present_share"] == pytest.approx(3 / 7) and values["ocr_extractor.text.shown.mean"] < 1


def test_a_still_stretch_is_read_once() -> None:
    frames = of_pictures(*[written("One caption")] * 10, *[written("Another line")] * 10)
    made = measure(ocr_extractor, {"frames": frames}, {"max_frames": 2})
    assert made["looked"].all() and (made["text"][:, LINES] == 1).all() and made["summary"][0] == 2
    assert made["summary"][2] == pytest.approx(10, abs=0.6)                          # each stays for ten seconds


def test_choice_keeps_its_bounds_and_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ids = [rng.integers(0, 30, rng.integers(0, 5)).tolist() for _ in range(12)]
        areas = [rng.random(len(x)).tolist() for x in ids]
        frames, lines = int(rng.integers(1, 9)), int(rng.integers(1, 20))
        chosen = choose(ids, areas, frames, lines)
        assert chosen == choose(ids, areas, frames, lines) and len(chosen) == len(set(chosen)) <= frames
        assert len({n for i in chosen for n in ids[i]}) <= lines
    assert choose([], [], 8, 80) == choose([[], []], [[], []], 8, 80) == []


# --- the engine -----------------------------------------------------------------------------------------------------------------

def test_the_engine_is_quiet_stays_here_and_serves_threads(capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from rapidocr.utils.download_file import DownloadFile

    def never(*_: object) -> None: raise AssertionError("it wants to download")

    monkeypatch.setattr(DownloadFile, "run", never)
    caplog.set_level(logging.DEBUG)
    engine, frames, got = _load(_files()), of_pictures(written("Hello threads")), list[object]()
    monkeypatch.setattr(Models, "load", lambda *_: engine)
    threads = [threading.Thread(target=lambda: got.append(measure(ocr_extractor, {"frames": frames}).meta["content_digest"])) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert len(got) == 4 and len(set(got)) == 1
    for part in (engine.text_det, engine.text_rec):
        options = part.session.session.get_session_options()
        assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert places(engine, np.zeros((90, 160, 3), np.uint8)) == [] and engine.text_cls is None
    out = capfd.readouterr()
    assert out.out == out.err == "" and "ello" not in caplog.text


def _files() -> dict[str, Path]:
    from trendflow.kit.models import find
    return find("ocr")


# --- raw text -------------------------------------------------------------------------------------------------------------------

SECRET = "QUARTZ VELVET"


@pytest.fixture(scope="module")
def secret_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "Four seconds that show a line of text."
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for k in range(40):
            for packet in stream.encode(av.VideoFrame.from_ndarray(written(SECRET, 40 + k), format="rgb24")): out.mux(packet)
        for packet in stream.encode(): out.mux(packet)
    return path


def leaks(data: bytes) -> bool:
    "Whether a word of the text is in these bytes, in any encoding that text is stored in."
    folded = data.lower()
    return any(w.encode(code) in folded for w in ("quartz", "velvet", "quartzvelvet") for code in ("utf-8", "utf-16-le", "utf-32-le"))


def ran(clip: Path, store: Path, keep: bool, **how: object):
    "A run of this component alone."
    with scratch_registry("ocr_extractor"):
        return run_video(clip, profile={"components": {"ocr_extractor": {}}, "retain_raw_text": keep}, store=store, quiet=True, **how)


def kept(store: Path) -> list[Path]: return sorted(store.rglob(RAW_TEXT))


@pytest.mark.parametrize("isolate", [False, True])
def test_no_word_is_kept_or_said_unless_allowed(secret_clip: Path, tmp_path: Path, isolate: bool, capfd: pytest.CaptureFixture,
                                                caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run = ran(secret_clip, tmp_path / "store", False, isolate=isolate)
    out = capfd.readouterr()
    assert run.status == "ok" and kept(tmp_path) == [] and run["ocr_extractor"]["summary"].values[0] >= 1
    assert not leaks("\n".join([repr(run), run._repr_html_(), run.table.to_string(), caplog.text, out.out, out.err]).encode())
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and leaks(p.read_bytes())] == []


def test_what_is_allowed_is_kept_apart_reused_and_purged(secret_clip: Path, tmp_path: Path) -> None:
    store, work = tmp_path / "store", tmp_path / "work"
    without = ran(secret_clip, store, False, work=work)
    assert kept(store) == []
    first = ran(secret_clip, store, True, work=work, run_id="first")         # nobody kept the text: it must be read anew
    again = ran(secret_clip, store, True, work=work, run_id="second")        # and now it can be taken over
    assert len(kept(store)) == 2 and {p.parts[-3] for p in kept(store)} == {"first", "second"}
    for path in kept(store): assert plain(SECRET) in {plain(t) for t in Artifact.open(path)["raw_text"].tolist()}
    assert again.manifest["components"][0]["reused_from"] and not first.manifest["components"][0]["reused_from"]
    assert [p for p in store.rglob("*") if p.is_file() and p.name != RAW_TEXT and leaks(p.read_bytes())] == []
    now_s = max(p.stat().st_mtime for p in kept(store)) + 61 * DAY_S
    features = {p: p.read_bytes() for p in store.rglob("ocr_extractor.npz")}
    assert [r.what for r in purge(store, work, now_s=now_s)].count("raw text") == 2
    assert kept(store) == [] and {p: p.read_bytes() for p in store.rglob("ocr_extractor.npz")} == features and len(features) == 3
    assert without.status == "ok"


def test_the_text_is_no_array_of_the_features() -> None:
    made = measure(ocr_extractor, {"frames": of_pictures(written("A line"))})
    assert made.raw_text["raw_text"].dtype == "U200" and "raw_text" not in made and said(made) == ["A line"]
