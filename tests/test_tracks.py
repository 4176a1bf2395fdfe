"""Tracks of made-up things whose true numbers are known: the share of rows with the right number, and what must never be joined."""
from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from trendflow.kit.tracks import follow, overlap

FPS = 4


def world(seed: int, n: int, speed: float, size: float, miss: float = 0.1, life_s: float = 10.0):
    "Boxes that fly straight and turn back at the edges: boxes, frames, true numbers, times."
    rng, t = np.random.default_rng(seed), np.arange(10 * FPS) / FPS
    start, angle, born = rng.uniform(0.1, 0.9, (n, 2)), rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 10 - life_s, n)
    boxes, frame, true = [], [], []
    for f, now in enumerate(t):
        at = 1 - abs((start + speed * now * np.stack([np.cos(angle), np.sin(angle)], 1)) % 2 - 1)
        for i in range(n):
            if rng.random() < miss or not born[i] <= now < born[i] + life_s: continue
            half = size * (0.5, 1)[i % 2] * np.array([0.5, 1])
            boxes.append(np.concatenate([at[i] - half, at[i] + half]) + rng.normal(0, 0.005, 4))
            frame.append(f)
            true.append(i)
    return np.array(boxes), np.array(frame), np.array(true), t


def right(track: np.ndarray, true: np.ndarray) -> float:
    "Share of rows with the right number, under the best pairing of found and true numbers."
    table = np.zeros((track.max() + 1, true.max() + 1))
    np.add.at(table, (track, true), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(true))


def mean_right(**how) -> float:
    return float(np.mean([right(follow(b, f, np.zeros(len(b), int), t, np.empty(0)), i) for b, f, i, t in (world(seed, **how) for seed in range(8))]))


@pytest.mark.parametrize(("how", "least"), [(dict(n=6, speed=0.02, size=0.2), 0.99), (dict(n=6, speed=0.1, size=0.1), 0.97), (dict(n=6, speed=0.1, size=0.05), 0.85),
                                            (dict(n=6, speed=0.2, size=0.1), 0.8), (dict(n=16, speed=0.05, size=0.08, miss=0.15, life_s=3.0), 0.9),
                                            (dict(n=40, speed=0.05, size=0.08, miss=0.15, life_s=3.0), 0.84)], ids=str)
def test_most_rows_have_the_right_number(how, least): assert mean_right(**how) >= least


def test_numbers_begin_at_0_and_a_track_has_one_box_a_frame_and_one_class():
    boxes, frame, _, t = world(3, 12, 0.1, 0.1)
    kind = np.random.default_rng(0).integers(0, 3, len(boxes))
    track = follow(boxes, frame, kind, t, np.array([2.5, 6.0]))
    assert sorted(set(track.tolist())) == list(range(track.max() + 1))
    assert len(set(zip(track.tolist(), frame.tolist()))) == len(track), "two boxes of a frame in one track"
    assert all(len(set(kind[track == k].tolist())) == 1 for k in set(track.tolist()))
    shot = np.searchsorted([2.5, 6.0], t, side="right")[frame]
    assert all(len(set(shot[track == k].tolist())) == 1 for k in set(track.tolist())), "a track crosses a cut"


def test_the_order_of_boxes_within_a_frame_does_not_matter():
    boxes, frame, _, t = world(5, 8, 0.1, 0.1)
    order = np.concatenate([np.random.default_rng(f).permutation(np.flatnonzero(frame == f)) for f in np.unique(frame)])
    one, two = follow(boxes, frame, frame * 0, t, np.empty(0)), follow(boxes[order], frame[order], frame * 0, t, np.empty(0))
    assert right(two, one[order]) == 1


@pytest.mark.parametrize("away", [(0.3, 0.0), (0.0, 0.5), (-0.3, 0.3)])
def test_things_far_apart_are_not_joined(away):
    first = np.array([0.4, 0.4, 0.5, 0.6])
    two = np.stack([first, first + np.tile(away, 2)])
    assert follow(two, np.array([0, 1]), np.zeros(2, int), np.array([0, 0.25]), np.empty(0)).tolist() == [0, 1]


def test_two_that_stand_side_by_side_keep_their_numbers():
    left = np.array([0.2, 0.2, 0.3, 0.6])
    both = np.stack([left, left + [0.1, 0, 0.1, 0]] * 5)
    track = follow(both, np.repeat(np.arange(5), 2), np.zeros(10, int), np.arange(5) / 4, np.empty(0))
    assert track.reshape(5, 2).tolist() == [[0, 1]] * 5


def test_overlap_by_hand():
    assert overlap(np.array([[0, 0, 2, 2.0]]), np.array([[1, 1, 3, 3.0], [0, 0, 1, 1], [2, 2, 3, 3]])).tolist() == [[1 / 7, 1 / 4, 0]]
    assert overlap(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]] and overlap(np.empty((0, 4)), np.zeros((2, 4))).shape == (0, 2)


@pytest.mark.parametrize("step_s", [0.25, 1.0, 3.0, 10.0])
def test_what_stands_still_is_followed_however_far_apart_the_frames_lie(step_s):
    still, t = np.tile([0.1, 0.1, 0.4, 0.4], (9, 1)), step_s * np.arange(9)
    assert follow(still, np.arange(9), np.zeros(9, int), t, np.empty(0)).tolist() == [0] * 9
    gone = max(2, int(1.5 / step_s) + 1)                # frames without it: more than 1.5 s and more than a step and a half
    assert follow(still[:2], np.array([0, gone]), np.zeros(2, int), t, np.empty(0)).tolist() == [0, 1]
