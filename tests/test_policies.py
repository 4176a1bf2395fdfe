"""Sampling policies on random timelines."""

import numpy as np
import pytest
from clips import times_of
from hypothesis import given as any_example
from hypothesis import settings
from hypothesis import strategies as st

from trendflow.core.errors import SamplingError
from trendflow.core.sampling import Budget, Dense, Pairs, SameAs
from trendflow.segment.policies import GRID_FPS, SLACK_S, count, grid, halving, nearest, positions, rows, union_of


def given(*strategies):
    "The same examples every time, without a time limit for one of them."
    return lambda test: settings(deadline=None, max_examples=80, derandomize=True)(any_example(*strategies)(test))


@st.composite
def timelines(draw):
    "Presentation times and the end of the last frame: constant, jittery or wild rates, late starts, frozen stretches."
    n = draw(st.integers(1, 600))
    gap = draw(st.sampled_from([1 / 120, 1 / 60, 1 / 30, 0.04, 0.1, 1.0, 7.3]))
    kind = draw(st.sampled_from(["constant", "jitter", "wild", "frozen"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    gaps = np.full(n, gap)
    if kind == "jitter": gaps *= rng.uniform(0.9, 1.1, n)
    if kind == "wild": gaps *= rng.choice([0.2, 1, 1, 9], n)
    if kind == "frozen": gaps[rng.integers(0, n)] = 40.0
    times = draw(st.sampled_from([0.0, 1.3])) + np.concatenate([[0], np.cumsum(gaps[:-1])])
    return np.round(times, 9), float(times[-1] + gaps[-1])


@st.composite
def budgets(draw):
    a, b, c = sorted(draw(st.tuples(*[st.integers(1, 500)] * 3)))
    return Budget(a, b, c, max_fps=draw(st.sampled_from([0.5, 1.0, 2.0, 4.0])))


@given(timelines(), budgets())
def test_budget_rows_are_sorted_unique_inside_and_as_many_as_asked(timeline, budget):
    times, end = timeline
    chosen = rows(budget, times, end).source
    assert chosen.dtype == np.int32 and (np.diff(chosen) > 0).all()
    assert 0 <= chosen[0] and chosen[-1] < len(times)
    seconds = end - times[0]
    assert 1 <= len(chosen) <= max(min(budget.max, int(budget.max_fps * seconds + 1e-6)), 1)
    there_are = len(grid(times, end))       # frames that are a quarter of a second apart
    assert len(chosen) == min(count(budget, seconds), there_are)
    assert len(chosen) >= min(budget.min, max(int(budget.max_fps * seconds), 1), there_are)


@given(timelines(), budgets(), budgets())
def test_budgets_are_nested(timeline, one, other):
    times, end = timeline
    a, b = sorted((set(rows(x, times, end).source.tolist()) for x in (one, other)), key=len)
    assert a <= b


@given(budgets(), st.floats(0.01, 5000), st.floats(0, 5000))
def test_counts_grow_with_duration_and_stay_within_the_budget(budget, seconds, more):
    assert count(budget, seconds) <= count(budget, seconds + more) <= budget.max
    assert count(budget, seconds) >= min(budget.min, max(int(budget.max_fps * seconds), 1))


def test_the_curve_meets_its_corners():
    b = Budget(60, 120, 200)
    assert [count(b, s) for s in (15, 60, 1200, 10**5)] == [60, 120, 200, 200]
    assert count(Budget(200, 400, 800, max_fps=2), 60) == 120
    assert count(b, 0.0) == 1


@pytest.mark.parametrize("n", [5, 16, 33, 64, 100, 127, 200])
def test_budgets_are_evenly_spread(n):
    "The largest gap is at most twice the smallest, up to the rounding to cells and frames."
    times = np.arange(9000) / 30
    at = times[rows(Budget(n, n, n), times, 300.0).source]
    gaps = np.diff(np.concatenate([[-(at[0])], at, [2 * 300 - at[-1]]]))[1:-1]
    assert gaps.max() <= 2 * gaps.min() + 3 / GRID_FPS
    assert at[0] <= 2 * 300 / n and at[-1] >= 300 - 2 * 300 / n


def test_budgets_are_never_denser_than_four_a_second_anywhere():
    times = np.arange(1000) / 100
    at = times[rows(Budget(500, 500, 500), times, 10.0).source]
    assert len(at) == 40 and np.diff(at).min() >= 0.25 - 1e-9


@given(st.integers(1, 5000))
def test_halving_takes_every_cell_once(cells):
    assert sorted(halving(cells).tolist()) == list(range(cells))


@given(timelines(), st.sampled_from([1.0, 5.0, 12.5, 30.0]), st.sampled_from([None, 3.0, 60.0]))
def test_dense_keeps_its_distance_and_leaves_no_hole(timeline, fps, max_s):
    times, end = timeline
    chosen = rows(Dense(fps, max_s), times, end).source
    seconds = end - times[0]
    gap = max(1.0, seconds / max_s if max_s else 1.0) / fps
    assert chosen[0] == 0 and (np.diff(chosen) > 0).all() and chosen[-1] < len(times)
    at = times[chosen]
    if len(at) > 1: assert np.diff(at).min() >= gap - SLACK_S - 1e-9 or np.diff(times).min() < SLACK_S
    # a frame is left out only when it is nearer than the gap to the one before
    left_out = np.setdiff1d(np.arange(len(times)), chosen)
    before = at[np.searchsorted(chosen, left_out) - 1]
    assert (times[left_out] - before < gap).all()
    assert len(chosen) <= seconds / (gap - SLACK_S) + 1


def test_dense_takes_every_frame_of_a_slow_video():
    times = np.array(times_of(100, 10, False, 1000)) / 1000
    assert (rows(Dense(12.5), times, 10.0).source == np.arange(100)).all()


@given(timelines(), budgets(), st.sampled_from([0.05, 0.1, 0.5]))
def test_pairs_are_budget_rows_with_the_first_frame_after_the_gap(timeline, budget, gap):
    times, end = timeline
    pairs, plain = rows(Pairs(budget, gap), times, end), rows(budget, times, end).source
    assert set(pairs.source.tolist()) <= set(plain.tolist()) and len(plain) - len(pairs) <= np.sum(times > times[-1] - gap - SLACK_S)
    assert (pairs.partner > pairs.source).all() and (pairs.partner < len(times)).all()
    np.testing.assert_allclose(pairs.dt_s, times[pairs.partner] - times[pairs.source])
    assert (pairs.dt_s >= gap - SLACK_S - 1e-9).all() or np.diff(times).max() < gap
    nearer = np.maximum(pairs.partner - 1, pairs.source)
    assert ((nearer == pairs.source) | (times[nearer] - times[pairs.source] < gap - SLACK_S)).all()
    assert set(pairs.needed.tolist()) == set(pairs.source.tolist()) | set(pairs.partner.tolist())


@given(timelines(), st.lists(budgets(), min_size=1, max_size=4))
def test_index_maps_invert(timeline, wishes):
    times, end = timeline
    parts = [rows(b, times, end).source for b in wishes] + [rows(Pairs(wishes[0]), times, end).needed]
    union = union_of(parts)
    assert (np.diff(union) > 0).all()
    for part in parts: assert (union[positions(union, part)] == part).all()
    assert set(union.tolist()) == set().union(*(p.tolist() for p in parts))


@given(timelines(), st.lists(st.floats(-1, 700), min_size=1, max_size=20))
def test_nearest_is_nearest(timeline, moments):
    times, _ = timeline
    at = np.array(moments)
    assert (np.abs(times[nearest(times, at)] - at) <= np.abs(times[:, None] - at).min(0) + 1e-12).all()


def test_what_cannot_be_sampled_raises():
    with pytest.raises(SamplingError, match="Probe the video first"): rows(Budget(1, 1, 1), np.array([]), 1.0)
    with pytest.raises(SamplingError, match="Resolve same_as"): rows(SameAs("faces"), np.array([0.0]), 1.0)
    with pytest.raises(SamplingError, match="faces: every frame"): positions(np.array([1, 3], np.int32), np.array([2]), "faces")
