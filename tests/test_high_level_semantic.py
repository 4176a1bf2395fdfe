"""Distances of shots and of the title: against their definitions written out, and what must not change them."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.errors import ContractError
from trendflow.core.measure import measure
from trendflow.core.roles import PROMPTS, image_embeddings, prompt_scores, shots, title_embedding
from trendflow.kit.prompts import SETS
from trendflow.visual.high_level_semantic import TITLE, consistency, high_level_semantic, shot_distances, themes


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def inputs(vectors: np.ndarray, title: np.ndarray | None = None, edges: tuple[float, ...] = (0.0, 2.0, 6.0), scores: bool = False) -> dict:
    "Pictures over six seconds, shots with these edges, a title."
    n = len(vectors)
    on = samples.frames(n=n, fps=n / 6)
    seen, cut, name = samples.artifact(image_embeddings, on=on), samples.artifact(shots, on=on), samples.artifact(title_embedding, on=on)
    k = len(edges) - 1
    events = {"event_start_s": np.array(edges[1:-1]), "event_end_s": np.array(edges[1:-1]), "transition_kind": np.zeros(k - 1, "int32"),
              "transition_probability": np.ones(k - 1, "float32")}
    cut = Artifact({**cut.arrays, **events, "shot_start_s": np.array(edges[:-1]), "shot_end_s": np.array(edges[1:])}, cut.meta)
    return {"image_embeddings": Artifact({**seen.arrays, "embedding": vectors.astype("float32")}, seen.meta), "shots": cut,
            "title_embedding": None if title is None else Artifact({**name.arrays, "title_vector": title.astype("float32")}, name.meta),
            "prompt_scores": samples.artifact(prompt_scores, on=on) if scores else None}


def cos(a: np.ndarray, b: np.ndarray) -> float: return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(2, 30), k=st.integers(1, 5))
def test_distances_of_shots_are_their_definitions(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, of_shot = unit(rng, n, 6), np.sort(rng.integers(0, k, n))
    made = shot_distances(vectors, of_shot, k)
    for i in range(k):
        own, rest = vectors[of_shot == i], vectors[of_shot != i]
        pairs = [a @ b for x, a in enumerate(own) for y, b in enumerate(own) if x != y]
        before = vectors[of_shot == i - 1] if i else own[:0]
        want = [np.mean(pairs) if pairs else np.nan, 1 - cos(own.sum(0), before.sum(0)) if len(own) and len(before) else np.nan,
                1 - cos(own.sum(0), rest.sum(0)) if len(own) and len(rest) else np.nan]
        assert np.allclose(made[i], want, atol=1e-9, equal_nan=True)


def test_nothing_changes_when_all_vectors_are_turned_together() -> None:
    rng = np.random.default_rng(0)
    vectors, title = unit(rng, 24, 8), unit(rng, 8)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    one, two = measure(high_level_semantic, inputs(vectors, title)), measure(high_level_semantic, inputs(vectors @ turn, title @ turn))
    for name in ("frame_title", "shot_measure", "title"): assert np.allclose(one[name], two[name], atol=1e-5, equal_nan=True)


def test_backwards_the_trend_and_the_place_of_the_best_turn_round() -> None:
    cosine, times = np.random.default_rng(1).uniform(0, 0.4, 20), np.arange(20.0)
    on, back = consistency(cosine, times, 5.0, 0.28), consistency(cosine[::-1], times, 5.0, 0.28)
    for k in ("mean", "best", "worst", "near_share"): assert on[k] == pytest.approx(back[k])
    assert on["trend"] == pytest.approx(-back["trend"]) and on["best_at"] == pytest.approx(1 - back["best_at"])


def test_uneven_pictures_are_weighted_by_the_time_that_they_stand_for() -> None:
    "Nine pictures in the first second and one at ten: the last one stands for nearly half of the time."
    times = np.append(np.linspace(0, 1, 9), 10.0)
    made = consistency(np.append(np.zeros(9), 1.0), times, 5.0, 0.5)
    assert made["near_share"] == pytest.approx(0.45) and made["mean"] == pytest.approx(0.45) and made["opening_less_rest"] == pytest.approx(-1)


def test_a_video_no_longer_than_its_opening_has_no_rest() -> None:
    made = consistency(np.array([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 2.0]), 5.0, 0.28)
    assert made["opening"] == pytest.approx(made["mean"]) and np.isnan(made["opening_less_rest"])


@pytest.mark.parametrize("n", [1, 2])
def test_few_pictures_have_no_trend(n: int) -> None:
    made = measure(high_level_semantic, inputs(np.eye(8)[:n], np.eye(8)[0], (0.0, 6.0), scores=True))
    told = dict(zip(TITLE, made.title))
    assert np.isnan(told["trend"]) and told["best"] == pytest.approx(1) and np.isnan(told["best_at"]) == (n == 1)
    assert np.isnan(made.theme[:, 1]).all() == (n == 1) and np.isnan(made.shot_measure[:, 1:3]).all()


def test_a_shot_without_a_picture_has_no_measures_and_the_others_keep_theirs() -> None:
    vectors = np.repeat(np.eye(8)[:2], 6, axis=0)           # twelve pictures, every half second
    made = measure(high_level_semantic, inputs(vectors, np.eye(8)[1], (0.0, 3.0, 3.0, 6.0))).shot_measure
    assert np.isnan(made[1]).all() and np.isnan(made[:, 1]).all()
    assert np.allclose(made[[0, 2]][:, [0, 2, 3]], [[1, 1, 0], [1, 1, 1]], atol=1e-6)


def test_opposite_pictures_have_no_direction() -> None:
    made = shot_distances(np.array([[1.0, 0], [-1, 0], [0, 1]]), np.array([0, 0, 1]), 2)
    assert made[0, 0] == -1 and np.isnan(made[:, 1:]).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(2, 20))
def test_themes_are_shares_of_the_highest_entropy(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.zeros((n, len(PROMPTS)))
    for own in SETS.values(): score[:, own] = rng.dirichlet(np.full(len(own), 0.3), n)
    made = themes(score, np.arange(float(n)))
    assert ((made >= 0) & (made <= 1)).all() and (made[:, 1] <= made[:, 0] + 1e-9).all()
    still = themes(np.repeat(score[:1], n, axis=0), np.arange(float(n)))
    assert np.allclose(still[:, 1], 0, atol=1e-9)


def test_themes_of_even_shares_are_even() -> None:
    score = np.zeros((4, len(PROMPTS)))
    for own in SETS.values(): score[:, own] = 1 / len(own)
    assert np.allclose(themes(score, np.arange(4.0)), [[1, 0]] * 4, atol=1e-9)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ContractError, match="one length, got 8 and 6"): measure(high_level_semantic, inputs(np.eye(8), np.eye(6)[0]))
