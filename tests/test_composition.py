"""Composition: invariances of each number, pictures that differ as people say they do, and the join to providers with other budgets."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from trendflow.core import samples
from trendflow.core.columns import columns, row
from trendflow.core.measure import measure
from trendflow.core.roles import detections, face_landmarks
from trendflow.core.sources import Frames
from trendflow.kit.image import luma, shrink
from trendflow.providers.core_object_detections import core_object_detections
from trendflow.segment.policies import rows
from trendflow.visual.frames_composition import (
    MEASURE,
    SUBJECT,
    attention,
    blocks,
    covered,
    edge_density,
    frames_composition,
    main_subject,
    straight_lines,
    symmetry,
)


def frames_of(pictures: list[np.ndarray]) -> Frames:
    at = np.arange(len(pictures))
    return Frames(np.stack(pictures), at, (10 * at).astype(np.int32), at.astype(np.int32), at / 4, len(at) / 4)


def measured(*pictures: np.ndarray) -> list[dict[str, float]]:
    "The measures of pictures, by name."
    return [dict(zip(MEASURE, map(float, m))) for m in measure(frames_composition, {"frames": frames_of(list(pictures))}).measure]


def boxes_on(frames: Frames, role, key: str, at: list[int], **arrays):
    "An artifact with these rows."
    made = samples.artifact(role, on=frames)
    return type(made)({**made.arrays, key: np.array(at, np.int32), **arrays}, made.meta)


def scene(seed: int = 0, size: tuple[int, int] = (360, 640)) -> np.ndarray:
    "A smooth coloured picture."
    coarse = np.random.default_rng(seed).random((6, 9, 3)).astype(np.float32)
    return (255 * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)).astype(np.uint8)


# --- each number ----------------------------------------------------------------------------------------------------------------

def test_the_mirror_image_has_the_same_composition_on_the_other_side():
    for seed in range(3):
        one, two = measured(scene(seed), scene(seed)[:, ::-1])
        assert two["balance_x"] == pytest.approx(-one["balance_x"], abs=0.01)
        for name in ("edge_density", "texture_entropy", "negative_space", "symmetry", "balance_y", "attention_spread"):
            assert two[name] == pytest.approx(one[name], abs=0.02), name


def test_a_picture_beside_its_mirror_image_is_symmetric():
    half = scene(1)[:, :320]
    one, two = measured(np.hstack([half, half[:, ::-1]]), scene(1))
    assert one["symmetry"] > 0.99 and one["balance_x"] == pytest.approx(0, abs=0.01) and two["symmetry"] < 0.9


def test_light_above_and_dark_below_is_no_symmetry():
    rng = np.random.default_rng(0)
    sky = np.linspace(255, 0, 36)[:, None] + rng.normal(0, 8, (36, 64))
    assert abs(symmetry(sky.clip(0, 255).astype(np.uint8))) < 0.2


@pytest.mark.parametrize("factor", [0.5, 0.75])
def test_darker_pictures_have_less_contrast_but_the_same_order(factor):
    one, two = measured(scene(2), (scene(2) * factor).astype(np.uint8))
    assert two["symmetry"] == pytest.approx(one["symmetry"], abs=0.03)
    assert two["texture_entropy"] < one["texture_entropy"] and two["negative_space"] >= one["negative_space"]


def test_nothing_is_constant_by_construction():
    "Every measure moves between pictures that differ."
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    door = np.full((360, 640, 3), 230, np.uint8)
    door[60:, 400:560] = 30
    hill = np.full((360, 640, 3), 230, np.uint8)
    cv2.line(hill, (0, 350), (640, 20), (10, 10, 10), 5)
    table = np.array([list(m.values()) for m in measured(scene(0), noise, door, hill, np.hstack([door[:, 320:], door[:, 320:]]))])
    assert (np.nanstd(table, 0) > 0.005).all(), dict(zip(MEASURE, np.nanstd(table, 0)))
    assert table[2, MEASURE.index("vertical_share")] > 0.5 and table[3, MEASURE.index("line_length")] > 1
    assert table[3, MEASURE.index("vertical_share")] == table[3, MEASURE.index("horizontal_share")] == 0


def test_more_grain_less_space():
    plain, rng = np.full((180, 320), 128.0), np.random.default_rng(0)
    seen = [blocks((plain + rng.normal(0, s, plain.shape)).clip(0, 255).astype(np.uint8), 4) for s in (0, 1, 3, 6, 20)]
    entropy, space = zip(*seen)
    assert list(entropy) == sorted(entropy) and list(space) == sorted(space, reverse=True) and space[1] == 1 and space[-1] == 0


@pytest.mark.parametrize("at", [(8, 10), (8, 52), (27, 10), (27, 52), (18, 32)])
def test_the_eye_goes_to_the_one_thing_that_is_there(at):
    ground = np.random.default_rng(1).integers(90, 110, (36, 64)).astype(np.uint8)
    ground[at[0] - 2:at[0] + 2, at[1] - 2:at[1] + 2] = 240
    x, y, _ = attention(ground)
    assert (x, y) == pytest.approx((at[1] / 64 - 0.5, at[0] / 36 - 0.5), abs=0.03)


def test_real_pictures(shared_data):
    def grey(name: str) -> np.ndarray: return shrink(luma(np.ascontiguousarray(cv2.imread(str(shared_data / "images" / "skimage" / name))[..., ::-1])), 320)
    page, cat, rocket = grey("page.png"), grey("chelsea.png"), grey("rocket.jpg")
    assert edge_density(page, 16) > 3 * edge_density(cat, 16)
    assert blocks(rocket, 4)[1] > 0.4 > 2 * blocks(cat, 4)[1], "the evening sky behind the rocket is empty"
    assert straight_lines(rocket)[2] > 0.4, "the rocket and its masts stand upright"
    assert attention(shrink(rocket, 64))[1] > 0.2, "the lights are at the bottom"


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (90, 2), (15, 17), (33, 33)])
def test_small_frames(size):
    made = measure(frames_composition, {"frames": frames_of([scene(0, (60, 90))[:size[0], :size[1]]])})
    assert made.status == "ok" and 0 <= made.measure[0, 0] <= 1


# --- the subject ----------------------------------------------------------------------------------------------------------------

def test_covered_equals_a_count_of_cells():
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 40):
        corner = np.sort(rng.integers(0, 101, (n, 2, 2)), axis=1)
        seen = np.zeros((100, 100), bool)
        for (x0, y0), (x1, y1) in corner: seen[y0:y1, x0:x1] = True
        assert covered(corner.reshape(n, 4) / 100) == pytest.approx(seen.mean(), abs=1e-9)


def test_a_person_comes_before_a_larger_thing():
    box = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8], [0.6, 0.2, 0.9, 0.9]])
    assert main_subject(box, np.array([63, 1, 44]))[0] == pytest.approx(0.2)
    assert main_subject(box, np.array([63, 1, 1]))[0] == pytest.approx(0.75), "of two people the larger one"
    assert main_subject(box, np.array([63, 44, 44]))[0] == pytest.approx(0.5)


def test_looked_at_and_nothing_there_is_not_the_same_as_not_looked_at():
    frames = frames_of([scene(i) for i in range(4)])
    even = replace(frames, rows=frames.rows[::2], source_frame_indices=frames.source_frame_indices[::2], frame_indices=frames.frame_indices[::2], times_s=frames.times_s[::2])
    found = boxes_on(even, detections, "detection_frame_row", [0, 0], box=np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32), class_id=np.array([1, 3], np.int32))
    subject = dict(zip(SUBJECT, measure(frames_composition, {"frames": frames, "things": found}).subject.T))
    assert np.array_equal(subject["n_subjects"], [2, np.nan, 0, np.nan], equal_nan=True)
    assert np.array_equal(subject["coverage"], [0.5, np.nan, 0, np.nan], equal_nan=True)
    assert np.array_equal(subject["x"], [0.25, np.nan, np.nan, np.nan], equal_nan=True)
    assert np.isnan(subject["headroom"]).all()


def test_a_video_without_faces_or_things_is_measured():
    frames = frames_of([scene(i) for i in range(3)])
    for kind in ("empty", None):
        given = {name: samples.artifact(role, kind, frames) if kind else None for name, role in (("things", detections), ("faces", face_landmarks))}
        made = measure(frames_composition, {"frames": frames, **given})
        assert made.status == "ok" and np.isnan(made.subject).all() and np.isfinite(made.measure[:, 0]).all()
        values = row(made, frames_composition)
        assert list(values) == columns(frames_composition) and np.isnan(values["frames_composition.subject.n_subjects.mean"])


def test_headroom_is_that_of_the_largest_face():
    frames = frames_of([scene(0), scene(1)])
    made = boxes_on(frames, face_landmarks, "face_frame_row", [0, 0], box=np.array([[0.1, 0.05, 0.2, 0.1], [0.4, -0.1, 0.8, 0.5]], np.float32))
    subject = measure(frames_composition, {"frames": frames, "faces": made}).subject
    assert subject[0, 6:].tolist() == [0.0, 0.5] and np.isnan(subject[1]).all() and np.isnan(subject[0, :6]).all()


@pytest.mark.parametrize("seconds", [0.4, 3, 17, 60, 61, 300, 900, 1200, 5000])
def test_every_frame_of_it_is_a_frame_of_the_detector(seconds):
    from trendflow.core.contract import contract
    times = np.arange(0, seconds, 0.04)
    own, theirs = (rows(contract(c).sample.policy, times, seconds).source for c in (frames_composition, core_object_detections))
    assert np.isin(own, theirs).all() and (seconds < 61 or len(own) < len(theirs))


def test_subjects_of_real_frames():
    frames = samples.frames("pictures", n=8, size=(360, 640))
    found = measure(core_object_detections, {"frames": frames})
    subject = measure(frames_composition, {"frames": frames, "things": found}).subject
    assert subject[[0, 5, 7], 5].tolist() == [0, 0, 0] and (subject[[1, 2, 6], 5] >= 1).all()
    assert (subject[[1, 2, 6], 3] > 0.4).all() and np.array_equal(subject[:, 4] == 0, found["count"].sum(1) == 0)
