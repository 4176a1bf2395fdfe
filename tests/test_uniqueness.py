"""Repetition and diversity against videos whose views are known, at any number of frames and for any spread of the vectors."""
from __future__ import annotations

import numpy as np
import pytest
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.measure import measure
from trendflow.visual.uniqueness import SUMMARY, alike_from, likeness, n_distinct, uniqueness


def video(views: list[int], per_shot: int = 8, noise: float = 0.02, common: float = 0.0, fps: float = 2.0, seed: int = 0) -> dict[str, Artifact]:
    "A video that shows these views, one shot each; `common` is what all vectors share, as those of real networks do."
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(views) + 1, 64))
    centres = common * rng.standard_normal(64) + (1 - common) * centres
    vectors = np.repeat(centres[views], per_shot, axis=0) + noise * rng.standard_normal((len(views) * per_shot, 64))
    frames = samples.frames("static", len(vectors), (4, 4), fps=fps)
    pictures, cuts = samples.artifact("image_embeddings", on=frames), samples.artifact("shots", on=frames)
    pictures.arrays["embedding"] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    edges = np.arange(len(views) + 1) * per_shot / fps
    cuts.arrays.update(shot_start_s=edges[:-1], shot_end_s=edges[1:])
    return {"image_embeddings": pictures, "shots": cuts}


def told(inputs: dict[str, Artifact]) -> dict[str, float]: return dict(zip(SUMMARY, measure(uniqueness, inputs)["summary"].tolist()))


@pytest.mark.parametrize("common", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_known_views_at_any_spread_of_the_vectors(common: float, noise: float) -> None:
    seen = told(video([0, 1, 0, 1, 2, 3, 0, 4], common=common, noise=noise))
    assert seen["returning_shots"] == pytest.approx(3 / 6)                      # of shots 3 to 8 three return
    assert seen["seen_share"] == pytest.approx(3 / 8, abs=0.03) and seen["longest_without_new"] == pytest.approx(12, abs=1)


def test_a_jump_cut_is_seen_but_does_not_return() -> None:
    seen = told(video([0, 0, 0, 0, 1]))
    assert seen["returning_shots"] == 0 and seen["seen_share"] == pytest.approx(3 / 5, abs=0.03)


def test_all_different_and_all_the_same() -> None:
    different, same = told(video(list(range(10)))), told(video([0] * 10))
    assert different["seen_share"] == 0 and different["n_distinct"] > 8 and same["n_distinct"] < 1.1
    assert same["mean_similarity"] > 0.99 and different["mean_similarity"] < 0.3


def test_noise_without_views_has_no_level() -> None:
    "Frames of one shot are no more alike than any others: what is alike is unknown, not everything."
    inputs = video([0], 40)
    rng = np.random.default_rng(3)
    v = rng.standard_normal((40, 64))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    assert np.isnan(alike_from(v, np.repeat(np.arange(4), 10)))
    inputs["image_embeddings"].arrays["embedding"] = v.astype(np.float32)
    assert np.isnan(told(inputs)["seen_share"]) and told(inputs)["n_distinct"] > 20


def test_blocks_do_not_change_what_is_found() -> None:
    rng = np.random.default_rng(0)
    v = rng.standard_normal((700, 16))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    shot = np.sort(rng.integers(0, 40, 700))
    found, all_of = likeness(v, shot), v @ v.T
    for i in (0, 1, 255, 256, 257, 511, 699):
        at = np.arange(700)
        for name, allowed in (("frame", at < i), ("shot", shot < shot[i]), ("neighbour", shot == shot[i] - 1), ("gap", shot < shot[i] - 1)):
            want = all_of[i][allowed].max() if allowed.any() else np.nan
            np.testing.assert_allclose(found[name][i], want, rtol=1e-6)


def test_the_number_of_pictures_weighs_time_and_not_frames() -> None:
    "A view that is sampled twice as densely does not count twice."
    unit = np.eye(4)
    assert n_distinct(unit[[0, 0, 1]], np.array([0.25, 0.25, 0.5])) == pytest.approx(n_distinct(unit[:2], np.array([0.5, 0.5]))) == pytest.approx(2)
    wide, tall = np.random.default_rng(0).standard_normal((2, 30, 30))
    both = np.vstack([wide, tall])[:, :20]
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    value = np.linalg.eigvalsh(both @ both.T / 60)
    value = value[value > 1e-12]
    assert n_distinct(both, np.full(60, 1 / 60)) == pytest.approx(np.exp(-(value * np.log(value)).sum()))
