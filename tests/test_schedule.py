"""The schedule: every step runs once, after what it waits for, and never more at once than there is room."""
from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trendflow.core.errors import UsageError
from trendflow.run.executor import Step, run_steps
from trendflow.run.threads import limit_threads


@st.composite
def graphs(draw) -> list[Step]:
    "Steps that wait for earlier ones, in any order of preference."
    n = draw(st.integers(1, 10))
    steps = [Step(f"s{i}", frozenset(f"s{j}" for j in range(i) if draw(st.booleans())), draw(st.integers(1, 3)), draw(st.booleans())) for i in range(n)]
    return draw(st.permutations(steps))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 4), st.integers(1, 2))
def test_any_graph_is_worked_through(steps: list[Step], workers: int, gpu: int) -> None:
    guard, running, done, faults = threading.Lock(), [], [], []

    def work(step: Step) -> None:
        with guard:
            running.append(step)
            threads = sum(s.threads for s in running)
            if threads > workers and len(running) > 1: faults.append(f"{threads} threads of {workers}")
            if sum(s.gpu for s in running) > gpu: faults.append("too many on the GPU")
            if not step.after <= set(done): faults.append(f"{step.name} before {step.after}")
        with guard:
            running.remove(step)
            done.append(step.name)

    with ThreadPoolExecutor(8) as pool:
        run_steps(steps, lambda s: pool.submit(work, s), lambda s, f: f.result(), workers=workers, gpu=gpu)
    assert sorted(done) == sorted(s.name for s in steps) and faults == []


def test_an_error_ends_the_schedule_after_the_running_steps_have_ended() -> None:
    ended, given_up = [], []

    def work(step: Step) -> None:
        if step.name == "bad": raise ValueError("no")
        threading.Event().wait(0.05)
        ended.append(step.name)

    steps = [Step("slow", frozenset()), Step("bad", frozenset()), Step("after", frozenset({"slow"}))]
    with ThreadPoolExecutor(4) as pool, pytest.raises(ValueError, match="no"):
        run_steps(steps, lambda s: pool.submit(work, s), lambda s, f: f.result(), workers=4, give_up=lambda: given_up.append(1))
    assert ended == ["slow"] and given_up == [1]


def test_a_limit_holds_until_the_last_video_has_ended_and_then_is_undone() -> None:
    def now() -> tuple[int, int]: return cv2.getNumThreads(), torch.get_num_threads()
    kept = now()
    try:
        cv2.setNumThreads(3), torch.set_num_threads(3)
        before, first, second = now(), limit_threads(1), limit_threads(1)
        first.__enter__()
        second.__enter__()
        with pytest.raises(UsageError, match="one limit at a time"), limit_threads(2): pass
        first.__exit__(None, None, None)
        assert now() == (1, 1)
        second.__exit__(None, None, None)
        assert now() == before != (1, 1)
    finally: cv2.setNumThreads(kept[0]), torch.set_num_threads(kept[1])
