"""Scenes of videos that are put together from real clips, so that where one begins is known."""
from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.columns import row
from trendflow.core.measure import measure
from trendflow.core.registry import discover
from trendflow.core.roles import PROMPTS, image_embeddings, prompt_scores, shots
from trendflow.core.sources import Frames
from trendflow.visual.scene_classification import GROUPS, grouped, labels, scene_classification

CLIPS = ("apollo_vp9_240p.mp4", "asl_hungry.mkv", "asl_no.mkv", "bangkok_traffic.mp4", "friday.mp4", "intel_bottles.mp4", "intel_car_detection.mp4",
         "obama_speech.mp4", "shuttle_vp8.webm", "smpte_timecode.mp4", "tractor_vp9.webm", "nasa_13013_multitrack.mp4")
PER_CLIP = 8                                                # frames, half a second apart


# --- embeddings of real frames ---------------------------------------------------------------------------------------------------

@cache
def frames_of(path: Path) -> np.ndarray:
    "Pictures of the first seconds of a clip, [frame, y, x, rgb]."
    out: list[np.ndarray] = []
    with av.open(str(path)) as video:
        video.streams.video[0].thread_type = "NONE"
        for frame in video.decode(video=0):
            if float(frame.time) >= 0.5 * len(out) - 1e-3: out.append(frame.reformat(320, 180, "rgb24").to_ndarray())
            if len(out) == PER_CLIP: break
    return np.stack(out)


def colours(pictures: np.ndarray) -> np.ndarray:
    "Square roots of colour histograms: vectors of unit length that know nothing but colour."
    code = (pictures.reshape(len(pictures), -1, 3) // 43) @ np.array([36, 6, 1])
    counts = np.stack([np.bincount(c, minlength=216) for c in code])
    return np.sqrt(counts / counts.sum(1, keepdims=True)).astype(np.float32)


def imagenet(pictures: np.ndarray) -> np.ndarray:
    "Embeddings of core_imagenet."
    at = np.arange(len(pictures))
    frames = Frames(pictures, at, at.astype(np.int32), at.astype(np.int32), at / 2, len(at) / 2)
    return measure(discover()["core_imagenet"], {"frames": frames}).embedding


@pytest.fixture(scope="module", params=[colours, pytest.param(imagenet, marks=pytest.mark.skipif("core_imagenet" not in discover(), reason="core_imagenet is not built yet"))])
def clips(request: pytest.FixtureRequest, shared_data: Path) -> list[np.ndarray]:
    "Embeddings of each clip, [frame, feature]."
    pictures = [frames_of(shared_data / "videos" / name) for name in CLIPS]
    return np.split(request.param(np.concatenate(pictures)), np.cumsum([len(p) for p in pictures])[:-1])


# --- videos with known scenes ----------------------------------------------------------------------------------------------------

def video(parts: list[np.ndarray], fps: float = 2.0) -> dict[str, Artifact]:
    "Inputs of a video that is cut together from shots, each given by its embeddings."
    on = samples.frames("static", n=sum(map(len, parts)), fps=fps)
    images, cut = samples.artifact(image_embeddings, on=on), samples.artifact(shots, on=on)
    edges = np.cumsum([0, *map(len, parts)]) / fps
    images.arrays["embedding"] = np.concatenate(parts)
    cut.arrays |= {"shot_start_s": edges[:-1], "shot_end_s": edges[1:]}
    return {"shots": cut, "images": images, "prompts": None}


def conversation(*views: np.ndarray, turns: int = 3, length: int = 2) -> list[np.ndarray]:
    "Shots that go round between views, each going on where it was left."
    return [v[i * length:(i + 1) * length] for i in range(turns) for v in views if len(v) >= (i + 1) * length]


def scenes_of(parts: list[np.ndarray]) -> list[int]: return measure(scene_classification, video(parts)).scene_of_shot.tolist()


def test_a_conversation_is_one_scene_and_another_place_is_the_next(clips: list[np.ndarray]) -> None:
    "Two views, A B A B A B, then a place: for every pair of clips and a third one."
    right = total = 0
    for i in range(len(clips)):
        a, b, c = (clips[(i + k) % len(clips)] for k in (0, 1, 2))
        first, second = conversation(a, b), conversation(c, turns=2)
        right, total = right + (scenes_of([*first, *second]) == [0] * len(first) + [1] * len(second)), total + 1
    print(f"{right} of {total} exact")
    assert right >= 0.7 * total


def test_beginnings_of_scenes(clips: list[np.ndarray]) -> None:
    "Four scenes of one or two views in a hundred random videos."
    rng, hit, found, true = np.random.default_rng(1), 0, 0, 0
    for _ in range(100):
        order, parts, truth = list(rng.permutation(len(clips))), [], set()
        for _ in range(4):
            if parts: truth.add(len(parts))
            parts += conversation(*(clips[order.pop()] for _ in range(rng.integers(1, 3))), turns=int(rng.integers(2, 4)))
        got = {j for j, (a, b) in enumerate(pairwise(scenes_of(parts)), 1) if a != b}
        hit, found, true = hit + len(got & truth), found + len(got), true + len(truth)
    print(f"precision {hit / found:.3f}, recall {hit / true:.3f}, {true} beginnings")
    assert hit / found >= 0.8 and hit / true >= 0.95


def test_one_clip_is_one_scene_however_it_is_cut(clips: list[np.ndarray]) -> None:
    alone = sum(max(scenes_of(conversation(c, turns=len(c) // 2))) == 0 for c in clips)
    print(f"{alone} of {len(clips)} clips are one scene")
    assert alone >= 0.8 * len(clips)


# --- properties ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(10))
def test_scenes_are_runs_of_shots_and_tile_the_video(seed: int) -> None:
    rng = np.random.default_rng(seed)
    views = np.eye(32, dtype=np.float32)
    made = measure(scene_classification, video([np.repeat(views[[rng.integers(6)]], rng.integers(1, 4), 0) for _ in range(20)]))
    first = np.flatnonzero(np.diff(made.scene_of_shot, prepend=-1))
    assert made.scene_of_shot[0] == 0 and set(np.diff(made.scene_of_shot)) <= {0, 1} and len(made.scene_start_s) == made.scene_of_shot[-1] + 1
    given = made.scene_start_s, made.scene_end_s
    assert given[0][0] == 0 and np.array_equal(given[0][1:], given[1][:-1]) and made.scene_measure[:, 1].sum() == 20 and len(first) == made.summary[0]
    assert np.isclose(made.scene_measure[:, 0].sum(), given[1][-1]) and np.isnan(made.scene_measure[0, 3]) and (made.scene_measure[1:, 3] > 0).all()


def test_links_reach_only_so_far() -> None:
    v, start = np.eye(3)[[0, 1, 0]], np.array([0.0, 1.0, 40.0])
    end = np.array([1.0, 40.0, 41.0])
    assert grouped(v, start, end, 0.1, 30.0).tolist() == [0, 1, 2] and grouped(v, start, end, 0.1, 39.0).tolist() == [0, 0, 0]


def test_shots_without_a_frame_belong_to_what_comes_before() -> None:
    v = np.eye(4)
    for unseen, want in ([0], [0, 0, 1, 2]), ([3], [0, 1, 2, 2]), ([1, 2], [0, 0, 0, 1]), ([0, 1, 2, 3], [0, 0, 0, 0]):
        w = v.copy()
        w[unseen] = np.nan
        assert grouped(w, np.arange(4.0), np.arange(4.0) + 1, 0.1, 30.0).tolist() == want


def test_one_shot_and_shots_of_no_length() -> None:
    one = measure(scene_classification, video([np.eye(8, dtype=np.float32)[[0, 0]]]))
    assert one.summary.tolist() == [1, 1] and one.scene_measure[0, 1] == 1
    nothing = measure(scene_classification, {"shots": samples.artifact(shots, "one"), "images": samples.artifact(image_embeddings, "one"), "prompts": None})
    assert nothing.summary[0] == 1


def test_names_follow_the_scores() -> None:
    told = samples.artifact(prompt_scores)
    made = labels(told, np.array([0.0, 2.0, 100.0]), np.array([2.0, 98.0, 1.0]))
    assert made["label"].shape == (3, len(GROUPS)) and (made["label"][2] == -1).all() and np.isnan(made["certainty"][2]).all()
    for g, group in enumerate(GROUPS):
        own = [i for i, p in enumerate(PROMPTS) if p.startswith(f"{group}_")]
        assert set(made["label"][:2, g]) <= set(own) and np.isclose(made["time_share"][own].sum(), 1)
        assert (made["certainty"][:2, g, 0] >= made["certainty"][:2, g, 1]).all() and (made["certainty"][:2, g, 1] >= 0).all()


def test_no_column_is_constant() -> None:
    rng, rows = np.random.default_rng(0), []
    for seed in range(200):
        given = video([np.repeat(np.eye(16, dtype=np.float32)[[rng.integers(8)]], rng.integers(1, 4), 0) for _ in range(6)])
        given["prompts"] = samples.artifact(prompt_scores, on=samples.frames("static", n=len(given["images"].times_s), fps=2.0), seed=seed)
        mixed = given["images"].embedding + 0.05 * rng.random((len(given["images"].times_s), 16), np.float32)
        given["images"].arrays["embedding"] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        rows.append(row(measure(scene_classification, given), scene_classification))
    same = [k for k in rows[0] if len({str(r[k]) for r in rows}) == 1 and not k.endswith(("present", "present_share"))]
    assert not same, f"{same} never vary"
