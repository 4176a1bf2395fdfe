"""No feature is constant by construction: over ten different clips every column takes more than one value, or says here why not."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.columns import columns
from trendflow.core.registry import discover
from trendflow.run.profile import settle_profile
from weights import lacks

CLIPS = ("videos/obama_speech.mp4", "videos/friday.mp4", "videos/flower.mp4", "videos/bikes.mp4", "videos_odd/vfr_tos.mp4", "videos/bbb_5.1.mp4",
         "videos/smpte_timecode.mp4", "videos/nasa_13013_multitrack.mp4", "shots/vertical_fastcuts_30.mp4", "shots/mixed_transitions_14.mp4")
LONG = ("We look at the light of the sun and ask what happens to it on its way through the air. Blue light is scattered more than red light, and so it reaches "
        "the eye from all sides. In the evening the way is longer, and what is left is red. " * 3)
def said(*texts: str, likes: bool = True, reply: int = 3) -> list[dict]:
    "Comments an hour apart."
    return [{"text": t, "timestamp": 1767225600 - 3601 * (k + 1), "parent": "root" if k % reply else "1", "author_id": f"@{k % 4}", **({"like_count": k * k} if likes else {})}
            for k, t in enumerate(texts)]


INFOS = (
    {"title": "Why the sky is blue!", "description": "0:00 Start\n1:10 Light\nhttps://example.org #sky #physics\nSubscribe and like.\n" + LONG, "tags": ["sky", "light"],
     "categories": ["Education"], "view_count": 1200, "like_count": 80, "comment_count": 12, "channel_follower_count": 900, "duration": 9, "epoch": 1767225600,
     "timestamp": 1767000000, "language": "en", "channel_id": "UCa", "age_limit": 0, "width": 1280, "height": 720, "fps": 25, "is_live": False, "was_live": False,
     "comments": said("Why is the sky blue?", "Because blue light is scattered more.", "I love this, wonderful explanation!", "This is terrible and wrong.", "What a nice video",
                      "check out my channel https://example.org", "What a nice video")},
    {"title": "10 ROCKETS 🚀🚀 you MUST see???", "description": "", "tags": [], "categories": ["Music"], "view_count": 99000, "like_count": 7000,
     "comment_count": 300, "channel_follower_count": 100000, "duration": 61, "epoch": 1767225600, "timestamp": 1766000000, "language": "de", "channel_id": "UCb",
     "age_limit": 18, "width": 640, "height": 360, "fps": 30, "was_live": True, "comments": said("SO COOL!!!", "🚀🚀🚀", "first", "When is the next launch?", "Tomorrow.")},
    {"title": "Мой кот", "description": "Кот.\n\n#кот\n" + "Это мой кот, и он очень любит спать на солнце весь день. Потом он ест и опять спит до самого вечера. " * 6, "view_count": 5, "duration": 5, "epoch": 1767225600, "timestamp": 1767225000, "channel_id": "UCc",
     "tags": ["кот", "животные", "cat", "cats", "very long tag about a cat"], "width": 320, "height": 240, "fps": 15,
     "comments": said("Какой красивый кот, очень люблю!", "Почему он спит весь день?", "Потому что он кот.", "Ужасно, мне не нравится это видео", likes=False, reply=2)},
    None,
)
# What may stand still, and why. A pattern that no column matches any more must go.
STILL = {
    r"\.present$": "a component that is never empty is always there",
    r"\.present_share$": "below 1 only where an optional provider is absent, or a whole video is blank",
    r"^core_object_detections\.count\.(sports|food)\.": "no clip shows any",
    r"^scene_classification\.time_share\.": "a phrase that describes no scene of these clips best",
    r"^optical_flow\.class_share\.roll\.": "no camera of these clips turns",
}


@pytest.fixture(scope="module")
def table(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    "One row of features per clip, of everything that runs here."
    store, rows = tmp_path_factory.mktemp("vary"), []
    profile = settle_profile({"extends": "default", "components": {}})
    for i, path in enumerate([samples.clip(), *(shared_data / c for c in CLIPS)]):
        info = INFOS[i % len(INFOS)]
        done = run_video(path, samples.info() if i == 0 else info, profile=profile, store=store / "store", quiet=True)
        assert done.status == "ok", [(c["name"], c["error"]) for c in done.manifest["components"] if c["status"] == "error"]
        quick = {"components": {"core_transnetv2": {"sampling": {"max_fps": 6.0}}, "subtitle_transcript": {},         # the other providers of shots and of a transcript
                                **{n: {} for n in ("mel_extractor", "mfcc_extractor", "hpss_extractor", "band_energy_extractor", "spectral_entropy_extractor")}}}
        subtitles = tmp_path_factory.mktemp("subtitles") / "said.vtt"
        subtitles.write_text("WEBVTT\n\n00:00.500 --> 00:03.000\n" + "one two three four five six seven "[:8 + 3 * i] + "\n\n00:04.000 --> 00:05.000\nthe end\n")
        more = run_video(path, info, profile=quick, store=store / "store", quiet=True, transcript=subtitles if i % 3 else None)
        rows.append(pd.concat([x.features().reset_index(drop=True) for x in (done, more)], axis=1))
    subtitles.write_text("WEBVTT\n\n" + "\n\n".join(f"00:{k:02d}.000 --> 00:{k + 1:02d}.000\n{part}" for k, part in enumerate(
        x.strip() for x in (LONG + "Why is the sky blue? What makes it red? " + LONG.replace("light", "sound") * 4).split(". "))))
    bound = {"extends": "default", "components": {"subtitle_transcript": {}}, "roles": {"transcript": "subtitle_transcript"}}     # a transcript that is long enough
    done = run_video(talk(subtitles.parent, shared_data / "diarization/sample.wav"), TALK, profile=bound, store=store / "store", quiet=True, transcript=subtitles)
    assert done.status == "ok"
    rows.append(done.features().reset_index(drop=True))
    return pd.concat(rows, ignore_index=True)


def talk(folder: Path, wav: Path) -> Path:
    "A conversation as a video: its sound under a still picture."
    import av
    with av.open(str(folder / "talk.mp4"), "w") as out, av.open(str(wav)) as sound:
        video, heard = out.add_stream("libx264", rate=5), out.add_stream("aac", rate=16000)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        picture = samples.frames("pictures", 1, (96, 160))[0]
        for _ in range(5 * 30): out.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        for frame in sound.decode(audio=0): out.mux(heard.encode(frame))
        out.mux(video.encode(None) + heard.encode(None))
    return folder / "talk.mp4"


TALK = {"title": "Why do people talk? How do they listen? A conversation", "description": "What is a conversation? Two people who speak in turn. Who listens? The other one. " + LONG,
        "epoch": 1767225600, "timestamp": 1767000000, "language": "en", "channel_id": "UCd", "view_count": 3}


def excused(column: str) -> bool: return any(re.search(p, column) for p in STILL)


def test_every_column_takes_more_than_one_value(table: pd.DataFrame) -> None:
    assert len(table) >= 8
    still = [c for c in table.columns if table[c].nunique(dropna=False) < 2 and not excused(c)]
    assert still == [], "\n".join(f"{c}: always {table[c].iloc[0]}" for c in still)


def test_every_excuse_is_needed(table: pd.DataFrame) -> None:
    still = [c for c in table.columns if table[c].nunique(dropna=False) < 2]
    assert [p for p in STILL if not any(re.search(p, c) for c in still)] == []


def test_everything_that_can_run_here_has_run(table: pd.DataFrame) -> None:
    told = {c.split(".")[0] for c in table.columns}
    assert {c.id for c in discover().values() if c.fn.__module__.startswith("trendflow.") and not lacks(c)} <= told
    assert all(set(columns(discover()[n])) <= set(table.columns) for n in told)


def test_numbers_are_finite_or_absent(table: pd.DataFrame) -> None:
    assert not np.isinf(table.to_numpy(float)).any()
