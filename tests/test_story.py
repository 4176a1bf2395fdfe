"""The curve of visual energy on hand-made videos: what it must notice, and what it must not depend on."""
from __future__ import annotations

import numpy as np
import pytest
from trendflow.core import samples
from trendflow.core.columns import row
from trendflow.core.measure import measure
from trendflow.core.roles import face_landmarks, image_embeddings, motion, shots
from trendflow.visual.story_structure import PARTS, SUMMARY, cutting, face_time, movement, peaks_of, resampled, story_structure


def video(seconds: float, picture, flow, cuts=(), fps: float = 2.0) -> dict:
    "Inputs of a video: number of the picture and flow as functions of time, and the times of the cuts."
    n = round(seconds * fps)
    on = samples.frames("static", n=n, fps=fps)
    images, moves, cut = (samples.artifact(r, on=on) for r in (image_embeddings, motion, shots))
    t = np.arange(n) / fps
    images.arrays["embedding"] = np.eye(400, dtype=np.float32)[[int(picture(x)) for x in t]]
    moves.arrays["flow_mean"] = np.array([flow(x) for x in t], np.float32)
    edges = np.array([0.0, *cuts, seconds])
    cut.arrays |= {"event_start_s": edges[1:-1], "event_end_s": edges[1:-1], "shot_start_s": edges[:-1], "shot_end_s": edges[1:]}
    return {"images": images, "motion": moves, "shots": cut}


def told(inputs: dict, **config) -> dict[str, float]: return dict(zip(SUMMARY, measure(story_structure, inputs, config).summary.tolist()))


def chase(at: float, seconds: float = 120.0, fps: float = 2.0) -> dict:
    "A calm video with ten seconds of haste."
    hot = lambda x: at <= x < at + 10
    return video(seconds, lambda x: 1 + x // 0.9 if hot(x) else 0, lambda x: 0.5 if hot(x) else 0.01, [t for t in np.arange(at, at + 10, 0.9)], fps)


@pytest.mark.parametrize("at", [0.0, 30.0, 55.0, 109.0])
def test_the_climax_is_where_the_haste_is(at: float) -> None:
    got = told(chase(at))
    assert at - 2 <= got["climax_position"] * 120 <= at + 12
    assert got["peaks_per_minute"] == 0.5 and got["climax_height"] > 0.6 and 5 <= got["climax_width"] <= 18
    assert (got["hook_lift"] > 0.3) == (at == 0)


def test_a_calm_video_is_low_and_a_wild_one_is_high() -> None:
    calm, wild = told(video(60, lambda x: 0, lambda x: 0.01)), told(video(60, lambda x: x * 2, lambda x: 1.0, np.arange(0.7, 60, 0.7)))
    assert calm["energy_mean"] < 0.05 and wild["energy_mean"] > 0.75
    for got in (calm, wild): assert np.isnan(got["climax_position"]) and got["peaks_per_minute"] == 0 and np.isnan(got["first_peak"]) and abs(got["trend"]) < 0.05


def test_the_sampling_rate_hardly_matters() -> None:
    curves = [measure(story_structure, chase(50, fps=fps)).curve for fps in (4.0, 2.0, 1.0)]
    for other in curves[1:]: assert abs(other - curves[0])[:, 0].mean() < 0.02 and abs(other - curves[0])[:, 0].max() < 0.2


def test_a_long_video_with_rare_pairs() -> None:
    "Twenty minutes with a picture every 1.5 s and a pair every 3 s; what happens in minute 15 is found there."
    given = video(1200, lambda x: x // 1.5 % 300 if 880 < x < 920 else 0, lambda x: 0.4 if 880 < x < 920 else 0.02, fps=2 / 3)
    moves = samples.artifact(motion, on=samples.frames("static", n=400, fps=1 / 3))
    moves.arrays["flow_mean"] = np.where(abs(moves.times_s - 900) < 20, 0.4, 0.02).astype(np.float32)
    got = told({**given, "motion": moves})
    assert abs(got["climax_position"] * 1200 - 900) < 25 and got["peaks_per_minute"] == pytest.approx(0.05)


def test_rising_and_falling() -> None:
    up, down = (told(video(60, lambda x: 0, f)) for f in (lambda x: x / 200, lambda x: 0.3 - x / 200))
    assert up["trend"] > 0.1 and down["trend"] == pytest.approx(-up["trend"], abs=0.02) and up["hook_lift"] < 0 < down["hook_lift"]
    quarters = measure(story_structure, video(60, lambda x: 0, lambda x: x / 200)).quarter_energy
    assert (np.diff(quarters) > 0).all()


def test_more_of_anything_is_never_less_energy() -> None:
    rng = np.random.default_rng(0)
    base = video(40, lambda x: x // 10, lambda x: 0.05, [10, 20, 30])
    more = video(40, lambda x: x // 10, lambda x: 0.05, sorted([10, 20, 30, *rng.uniform(0, 40, 5)]))
    faster = video(40, lambda x: x // 10, lambda x: 0.07, [10, 20, 30])
    for other in (more, faster): assert (measure(story_structure, other).curve[:, 0] >= measure(story_structure, base).curve[:, 0] - 1e-6).all()


@pytest.mark.parametrize(("seconds", "status"), [(0.5, "empty"), (2.0, "empty"), (3.5, "ok"), (6.0, "ok")])
def test_short_videos(seconds: float, status: str) -> None:
    made = measure(story_structure, video(seconds, lambda x: x, lambda x: 0.1, fps=4.0))
    assert made.status == status and (status == "ok" or made.meta["empty_reason"] == "video_too_short")
    if status == "ok": assert np.isfinite(made.curve).all() and np.isfinite(made.quarter_energy).all()


def test_absent_inputs() -> None:
    given = chase(40)
    whole, alone = measure(story_structure, given), measure(story_structure, {**given, "shots": None})
    assert np.isnan(alone.curve[:, PARTS.index("cutting")]).all() and np.array_equal(alone.curve[:, 1:3], whole.curve[:, 1:3])
    given["motion"].arrays["flow_mean"] = np.full(240, np.nan, np.float32)
    still = measure(story_structure, given)
    assert np.isnan(still.curve[:, 2]).all() and np.isfinite(still.curve[:, 0]).all()


def test_a_small_hill_on_the_slope_of_a_high_one() -> None:
    "The high hill begins earlier, at half of its height, and comes first."
    t = np.arange(40.0)
    energy = 0.9 * np.exp(-((t - 24) / 9) ** 2)
    energy[12] += 0.15
    hills = peaks_of(energy, t + 0.5, 0.05)
    assert len(hills["event_start_s"]) == 2 and (np.diff(hills["event_start_s"]) >= 0).all()
    assert hills["time"] == 12.5 and (hills["event_start_s"] <= hills["event_end_s"]).all()


@pytest.mark.parametrize("seed", range(20))
def test_any_curve_has_peaks_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = measure(story_structure, video(150, lambda x: rng.integers(40), lambda x: rng.random() ** 4, np.sort(rng.uniform(0, 150, 20))))
    assert made.status == "ok" and len(made.peak_height) > 3 and (made.peak_prominence <= made.peak_height + 1e-6).all()


def test_parts_of_the_curve() -> None:
    assert cutting(np.array([]), np.arange(5.0), 5.0).tolist() == [0] * 5
    assert np.isnan(movement(np.arange(3.0), np.full(3, np.nan), np.arange(3.0), 3.0)).all()
    x = np.random.default_rng(1).random((37, 2))
    for n in (1, 4, 37, 64): assert np.allclose(resampled(x, n).mean(0), x.mean(0))
    assert np.allclose(resampled(x, 37), x)
    waves = peaks_of(0.5 - 0.3 * np.cos(np.arange(120) * 2 * np.pi / 20), np.arange(120) + 0.5, 0.1)
    assert len(waves["peak_height"]) == 6 and (np.diff(waves["event_start_s"]) > 0).all() and (waves["event_end_s"] > waves["event_start_s"]).all()


def test_faces_in_time() -> None:
    faces = samples.artifact(face_landmarks, on=samples.frames("static", n=11, fps=1.0))
    at = np.array([0, 0, 1, 2, 5], np.int32)
    faces.arrays |= {"face_frame_row": at, "track_id": np.array([0, 1, 0, 0, 2], np.int32)}
    assert face_time(faces) == pytest.approx([0.35, 0.25]) and face_time(faces, until_s=2.0) == pytest.approx([1.0, 1.0])
    blank = samples.artifact(face_landmarks, "empty")
    blank.meta["empty_reason"] = "no_faces_in_video"
    assert face_time(blank).tolist() == [0, 0]
    blank.meta["empty_reason"] = "dependency_empty"
    assert np.isnan(face_time(blank)).all()


def test_no_column_is_constant() -> None:
    rows = [row(measure(story_structure, given), story_structure) for given in (chase(0), chase(70), video(60, lambda x: x // 4, lambda x: x / 100, [5, 30]))]
    faces = samples.artifact(face_landmarks, on=samples.frames("static", n=24))
    rows.append(row(measure(story_structure, {**chase(3), "faces": faces}), story_structure))
    same = [k for k in rows[0] if len({str(r[k]) for r in rows}) == 1 and not k.endswith("present")]
    assert not same, f"{same} never vary"
