"""Fit the weights of `kit.transitions` to clips with known transitions, and print them as they stand in its notebook.

    python tools/tune_transitions.py [SEEDS]        number of composed clips, 150 without it

Uses the tuning clips beside the repository only; what the tests score was never seen. About four minutes of CPU.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
VIDEOS = ROOT.parent / "shared" / "data" / "videos"
COMPOSED = ("cut", "fade", "dissolve", "wipe", "slide", "dissolve", "cut")
TROUBLES = ("none", "flash", "dark", "exposure", "shake", "pan", "zoom")
UNSURE = -1                         # labels: candidates that overlap a transition without being it
Clip = tuple[np.ndarray, np.ndarray, list[dict]]       # [frame, y, x, rgb], [frame] s, truth


def clips(names: tuple[str, ...], seeds: range) -> Iterator[Clip]:
    "Composed clips, every eighth upright, and single shots under every trouble."
    from transition_clips import compose, shaken, small_view, spans, take
    for seed in seeds:
        frames, truth = compose(VIDEOS, names, seed, kinds=COMPOSED, n_transitions=7, upright=seed % 8 == 7)
        yield *small_view(frames, np.arange(len(frames)) / 25), truth
    rng = np.random.default_rng(seeds.start)
    for path in (VIDEOS / name for name in names):
        for a, b in spans(path):
            for trouble in TROUBLES if b - a > 2.5 else ():
                n = int(rng.integers(75, 150))
                frames = take(path, float(rng.uniform(a, max(a + 0.01, b - n / 25))), n)
                frames = frames if trouble == "none" else shaken(frames, rng, trouble)
                yield *small_view(frames, np.arange(n) / 25), []


def cut_labels(times: np.ndarray, truth: list[dict]) -> np.ndarray:     # [frame] 1 cut, 0 none, UNSURE
    "What each step between neighbours is."
    label = np.zeros(len(times) - 1, int)
    for t in truth:
        i, j = np.searchsorted(times, [t["start_s"] - 1e-6, t["end_s"]])
        if t["kind"] != "cut": label[max(i - 1, 0):j][label[max(i - 1, 0):j] == 0] = UNSURE
        elif 1 <= i < len(times): label[i - 1] = 1
    return label


def window_labels(times: np.ndarray, truth: list[dict], s: np.ndarray, n: int) -> np.ndarray:   # [window] index into KINDS, 0 none, UNSURE
    "What each window is: a transition when it covers nearly the same time."
    label = np.zeros(len(s), int)
    for t in truth:
        if t["kind"] == "cut": continue
        a, b = np.interp([t["start_s"], t["end_s"]], times, np.arange(len(times)))
        both = (np.minimum(s + n, b) - np.maximum(s, a)) / (np.maximum(s + n, b) - np.minimum(s, a))
        label[both > 0.35] = UNSURE
        label[both > 0.72] = {"fade": 1, "dissolve": 2}.get(t["kind"], 3)
    return label


def tables(source: Iterator[Clip]) -> tuple[np.ndarray, ...]:
    "Evidence and labels of all cuts and of all windows."
    from trendflow.kit.transitions import LENGTHS, MAX_S, Distances, cut_evidence, looks, window_evidence
    rows: tuple[list, ...] = ([], [], [], [])
    for frames, times, truth in source:
        for rate in (1, 3):                                     # cuts at a third of the rate, too
            few = looks([frames[::rate]])
            rows[0].append(cut_evidence(few, Distances(few.thumbs), times[::rate]))
            rows[1].append(cut_labels(times[::rate], truth))
        l = looks([frames])
        d = Distances(l.thumbs)
        for n in LENGTHS:
            s = np.arange(len(l) - n)
            s = s[times[s + n] - times[s] <= MAX_S] if len(s) else s
            if not len(s): continue
            rows[2].append(window_evidence(l, d, times, s, n))
            rows[3].append(window_labels(times, truth, s, n))
    return tuple(np.concatenate(r) for r in rows)


def logistic(x: np.ndarray, weight: np.ndarray, positive: np.ndarray, prior: float) -> np.ndarray:      # [evidence and constant]
    "Weighted ridge regression of log odds on evidence; outliers are clipped while fitting."
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z, sign = np.clip((x - mean) / spread, -4, 4), np.where(positive, 1.0, -1.0)

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (z @ b[:-1] + b[-1])
        slope = -sign * weight / (1 + np.exp(np.clip(margin, -50, 50)))
        return float((np.logaddexp(0, -margin) * weight).sum() + prior * (b[:-1] ** 2).sum()), np.append(z.T @ slope + 2 * prior * b[:-1], slope.sum())

    b = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return np.append(b[:-1] / spread, b[-1] - (b[:-1] / spread * mean).sum())


def fit(cut_x: np.ndarray, cut_y: np.ndarray, x: np.ndarray, y: np.ndarray, shift: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    "Weights of cuts and of windows. Both classes count half, so the constant is lowered by `shift` to make false alarms rare."
    sure = cut_y != UNSURE
    yes = cut_y[sure] == 1
    cut = logistic(cut_x[sure], np.where(yes, 0.5 / yes.sum(), 0.5 / (~yes).sum()), yes, 1e-4)
    x, y = x[y != UNSURE], y[y != UNSURE]
    rows = []
    for kind in (1, 2, 3):
        yes, other = y == kind, (y > 0) & (y != kind)
        rows.append(logistic(x, np.where(yes, 0.5 / yes.sum(), np.where(other, 0.1 / other.sum(), 0.4 / (y == 0).sum())), yes, 1e-3))
    cut[-1], windows = cut[-1] - shift[0], np.stack(rows)
    windows[:, -1] -= shift[1]
    return cut, windows


SHIFT = (4.0, 2.5)


def main(n: int) -> None:
    from transition_clips import TUNING_CLIPS
    cut, windows = fit(*tables(clips(TUNING_CLIPS, range(n))), SHIFT)
    np.set_printoptions(linewidth=200, suppress=True)
    print("CUT_WEIGHTS =", cut.round(2).tolist())
    print("WINDOW_WEIGHTS =", *(w.round(2).tolist() for w in windows), sep="\n    ")


if __name__ == "__main__": main(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
