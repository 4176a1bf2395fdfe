"""Shots against labelled truth: real clips with known cuts, and generated soft transitions from footage and seeds that tuning never saw."""
from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import transition_clips as t
from scipy.optimize import linear_sum_assignment
from trendflow.core import samples
from trendflow.core.framesdir import open_frames_dir
from trendflow.core.measure import measure
from trendflow.core.roles import TRANSITIONS
from trendflow.core.sources import Frames
from trendflow.segment.probe import probe
from trendflow.segment.segmenter import plan_video, write_frames
from trendflow.visual.cut_detection import cut_detection

FILES = ("hardcuts_18", "mixed_transitions_14", "single_shot_static", "vertical_fastcuts_30")
TOLERANCE_S = 0.1                                           # for cuts; soft transitions must overlap
Event = tuple[str, float, float]                            # kind, start, end in seconds
FAMILY = {"fade": "dissolve", "fadeblack": "fade", "fadewhite": "fade", "wipeleft": "wipe", "slideleft": "slide"}     # names of ffmpeg's xfade


# --- scoring --------------------------------------------------------------------------------------------------------------------

def match(found: list[Event], truth: list[Event]) -> list[tuple[int, int]]:
    "The largest one-to-one matching; among equal ones the nearest."
    if not found or not truth: return []
    value = np.zeros((len(found), len(truth)))
    for i, (_, s, e) in enumerate(found):
        for j, (kind, start, end) in enumerate(truth):
            apart = max(s - end, start - e)
            if apart <= (TOLERANCE_S if kind == "cut" else 0) + 1e-9: value[i, j] = 10 + 1 / (1 + abs(s + e - start - end))
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(-value)) if value[i, j] > 0]


class Score:
    "Counts over many clips."

    def __init__(self) -> None: self.found, self.true, self.hit, self.named = 0, Counter(), Counter(), Counter()

    def add(self, found: list[Event], truth: list[Event]) -> None:
        pairs = match(found, truth)
        self.found += len(found)
        self.true.update(kind for kind, *_ in truth)
        self.hit.update(truth[j][0] for _, j in pairs)
        self.named.update(truth[j][0] for i, j in pairs if found[i][0] == {"slide": "wipe"}.get(truth[j][0], truth[j][0]))

    def recall(self, kind: str) -> float: return self.hit[kind] / self.true[kind]

    @property
    def f1(self) -> float: return 2 * self.hit.total() / max(self.found + self.true.total(), 1)

    def __str__(self) -> str:
        each = ", ".join(f"{k} {self.hit[k]}/{n} (named so {self.named[k]})" for k, n in sorted(self.true.items()))
        return f"F1 {self.f1:.3f}, precision {self.hit.total() / max(self.found, 1):.3f}; recall {each}"


def test_matching_is_one_to_one() -> None:
    assert match([("cut", 1.0, 1.0), ("cut", 1.05, 1.05)], [("cut", 1.04, 1.04)]) == [(1, 0)]
    assert match([("cut", 1.15, 1.15)], [("cut", 1.0, 1.0)]) == [] and match([("wipe", 1.0, 2.0)], [("dissolve", 1.9, 3.0)]) == [(0, 0)]


# --- sources --------------------------------------------------------------------------------------------------------------------

def detect(frames: Frames) -> list[Event]:
    made = measure(cut_detection, {"frames": frames})
    return [(TRANSITIONS[k], float(s), float(e)) for k, s, e in zip(made.transition_kind, made.event_start_s, made.event_end_s)]


def of_file(path: Path, work: Path) -> list[Event]:
    "What is found in a file, decoded as in a run."
    source = probe(path)
    write_frames(path, plan_video(source, {"cut_detection": cut_detection_sample()}), work)
    return detect(open_frames_dir(work).frames("cut_detection"))


def cut_detection_sample():
    from trendflow.core.contract import contract
    return contract(cut_detection).sample


def truth_of(path: Path) -> list[Event]:
    told = json.loads(path.read_text())
    out = []
    for x in told["transitions"]:
        if x["type"] == "cut": out.append(("cut", x["first_frame_of_new_shot"] / told["fps"], x["first_frame_of_new_shot"] / told["fps"]))
        else: out.append((FAMILY.get(x["type"], x["type"]), (x["start_frame"] - 1) / told["fps"], (x["end_frame"] + 1) / told["fps"]))
    return out


def generated(folder: Path, seed: int, **options) -> tuple[Frames, list[Event]]:
    pictures, truth = t.compose(folder, t.TESTING_CLIPS, seed, upright=seed % 5 == 4, **options)
    small, times_s = t.small_view(pictures, np.arange(len(pictures)) / t.FPS)
    at = np.arange(len(small))
    return (Frames(small, at, (times_s * t.FPS).round().astype(np.int32), at.astype(np.int32), times_s, len(pictures) / t.FPS),
            [(x["kind"], x["start_s"], x["end_s"]) for x in truth])


# --- real clips -----------------------------------------------------------------------------------------------------------------

def test_the_sample_video(tmp_path: Path) -> None:
    found, truth = of_file(samples.clip(), tmp_path), truth_of(samples.folder() / "sample.truth.json")
    score = Score()
    score.add(found, truth)
    assert score.f1 == 1.0 and score.named == score.true, f"{score}: {found}"


def test_hard_cuts_and_soft_ones_of_real_clips(shared_data: Path, tmp_path: Path) -> None:
    everything, cuts = Score(), Score()
    for name in FILES:
        found, truth = of_file(shared_data / "shots" / f"{name}.mp4", tmp_path / name), truth_of(shared_data / "shots" / f"{name}.json")
        everything.add(found, truth)
        if all(kind == "cut" for kind, *_ in truth): cuts.add(found, truth)
        if name == "single_shot_static": assert found == []
    print(f"files of shots/: {everything}\nof them cuts only: {cuts}")
    assert cuts.f1 >= 0.98 and everything.f1 >= 0.97


# --- generated clips ------------------------------------------------------------------------------------------------------------

def test_soft_transitions_on_seeds_kept_for_testing(shared_data: Path) -> None:
    score = Score()
    for seed in t.TESTING_SEEDS[:24]: score.add(*(lambda f, truth: (detect(f), truth))(*generated(shared_data / "videos", seed)))
    print(f"generated, of 24 seeds: {score}")
    assert score.true.total() - score.true["cut"] >= 60
    assert score.recall("fade") >= 0.8 and score.recall("dissolve") >= 0.6 and score.f1 >= 0.8


def test_single_shots_under_trouble_have_few_transitions(shared_data: Path) -> None:
    found = minutes = 0
    for seed in t.TESTING_SEEDS[100:120]:
        frames, _ = generated(shared_data / "videos", seed, n_transitions=0, body=(100, 300), trouble=0.5)
        found, minutes = found + len(detect(frames)), minutes + frames.duration_s / 60
    print(f"single shots: {found} false transitions in {minutes:.1f} minutes, half of the clips with flash, pan, zoom, shake, dark or exposure")
    assert found / minutes <= 4


@pytest.mark.parametrize("rate", [1.0, 5.0])
def test_low_frame_rates(rate: float) -> None:
    "A slide show: each picture is a shot."
    rng = np.random.default_rng(1)
    pictures = [np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((6, 8, 1))).astype(np.uint8) for _ in range(4)]
    shown = np.stack([p for p in pictures for _ in range(6)])
    at = np.arange(len(shown))
    found = detect(Frames(shown, at, at.astype(np.int32), at.astype(np.int32), at / rate, len(shown) / rate))
    assert [(kind, round(s * rate)) for kind, s, _ in found] == [("cut", 6), ("cut", 12), ("cut", 18)]


# --- beside PySceneDetect -------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_better_than_the_best_detector_of_pyscenedetect_at_no_more_cpu(shared_data: Path, tmp_path: Path) -> None:
    scenedetect = pytest.importorskip("scenedetect")
    # min_scene_len: its default of 15 frames cannot find shots of a third of a second
    detectors = {"adaptive": scenedetect.AdaptiveDetector, "content": scenedetect.ContentDetector, "histogram": scenedetect.HistogramDetector}
    scores, spent = {n: Score() for n in ("ours", *detectors)}, Counter()
    for name in FILES:
        path, truth = shared_data / "shots" / f"{name}.mp4", truth_of(shared_data / "shots" / f"{name}.json")
        start = time.process_time()
        found = of_file(path, tmp_path / name)
        spent["ours"] += time.process_time() - start
        scores["ours"].add(found, truth)
        for other, make in detectors.items():
            start = time.process_time()
            scenes = scenedetect.detect(str(path), make(min_scene_len=6))
            spent[other] += time.process_time() - start
            scores[other].add([("cut", s.seconds, s.seconds) for s, _ in scenes[1:]], truth)
    for name, score in scores.items(): print(f"{name:10} {spent[name]:6.2f} CPU s  {score}")
    best = max(detectors, key=lambda n: scores[n].f1)
    assert scores["ours"].f1 > scores[best].f1 and spent["ours"] <= spent[best]
