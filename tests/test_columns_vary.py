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
INFOS = (
    {"title": "Why the sky is blue!", "description": "0:00 Start\n1:10 Light\nhttps://example.org #sky #physics\nSubscribe and like.\n" + LONG, "tags": ["sky", "light"],
     "categories": ["Education"], "view_count": 1200, "like_count": 80, "comment_count": 12, "channel_follower_count": 900, "duration": 9, "epoch": 1767225600,
     "timestamp": 1767000000, "language": "en", "channel_id": "UCa", "age_limit": 0, "width": 1280, "height": 720, "fps": 25, "is_live": False, "was_live": False},
    {"title": "10 ROCKETS 🚀🚀 you MUST see???", "description": "", "tags": [], "categories": ["Music"], "view_count": 99000, "like_count": 7000,
     "comment_count": 300, "channel_follower_count": 100000, "duration": 61, "epoch": 1767225600, "timestamp": 1766000000, "language": "de", "channel_id": "UCb",
     "age_limit": 18, "width": 640, "height": 360, "fps": 30, "was_live": True},
    {"title": "Мой кот", "description": "Кот.\n\n#кот\n" + "Это мой кот, и он очень любит спать на солнце весь день. Потом он ест и опять спит до самого вечера. " * 6, "view_count": 5, "duration": 5, "epoch": 1767225600, "timestamp": 1767225000, "channel_id": "UCc",
     "tags": ["кот", "животные", "cat", "cats", "very long tag about a cat"], "width": 320, "height": 240, "fps": 15},
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
        quick = {"components": {"core_transnetv2": {"sampling": {"max_fps": 6.0}}}}         # the other provider of shots
        more = run_video(path, info, profile=quick, store=store / "store", quiet=True)
        rows.append(pd.concat([x.features().reset_index(drop=True) for x in (done, more)], axis=1))
    return pd.concat(rows, ignore_index=True)


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
