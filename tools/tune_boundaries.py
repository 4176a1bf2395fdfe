"""Learn the weights of kit/boundaries from generated clips, and write them as trendflow/assets/boundaries.json.

    python tools/tune_boundaries.py         needs the labelled clips beside the repository; takes some minutes

Uses the footage and the seeds for tuning only. What tests use, tests/test_shots.py, is never looked at here.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
CLIPS = ROOT.parent / "shared" / "data" / "videos"
OUT = ROOT / "trendflow" / "assets" / "boundaries.json"
RATES = (12.5, 12.5, 12.5, 10.0, 8.33, 12.5)                # frame/s – of the small view
SAME, OTHER = 0.65, 0.35                                    # overlap from which a pair is the transition, and below which it is not


def clips() -> Iterator[tuple[np.ndarray, np.ndarray, list[dict]]]:
    "Small frames, their times and the transitions of every clip to learn from."
    import transition_clips as t
    quick = {"kinds": ("cut",), "n_transitions": 12, "body": (5, 16), "trouble": 0.15}
    mixed = {"n_transitions": 6, "body": (8, 30), "trouble": 0.2}
    plan = [(range(180), {}), (range(200, 260), quick), (range(260, 300), mixed),
            (range(300, 360), {"n_transitions": 0, "body": (80, 300), "trouble": 1.0}), (range(360, 390), {"n_transitions": 0, "body": (100, 400), "trouble": 0.0})]
    for seeds, options in plan:
        for seed in seeds:
            frames, truth = t.compose(CLIPS, t.TUNING_CLIPS, seed, upright=seed % 5 == 4, **options)
            yield *t.small_view(frames, np.arange(len(frames)) / t.FPS, RATES[seed % 6]), truth
    for seed in range(390, 500):
        frames = (t.passing if seed % 4 else t.still)(CLIPS, t.TUNING_CLIPS, seed)
        yield *t.small_view(frames, np.arange(len(frames)) / t.FPS), []


def labels(times_s: np.ndarray, truth: list[dict], lag: int) -> np.ndarray:
    "1 for the pairs that are a transition, 0 for those that are none, -1 for those in between."
    a = np.arange(len(times_s) - lag)
    b, out = a + lag, np.zeros(len(a), int)
    for told in truth:
        cut = told["kind"] == "cut"
        last = np.searchsorted(times_s, told["end_s"] - 1e-6)
        first = last - 1 if cut else np.searchsorted(times_s, told["start_s"] + 1e-6) - 1
        common = np.clip(np.minimum(b, last) - np.maximum(a, first), 0, None)
        overlap = common / (np.maximum(b, last) - np.minimum(a, first))
        none = (lag >= 3) if cut else (overlap < OTHER)     # a long stretch with a cut in it is no soft transition
        out[(common > 0) & (out == 0) & ~none] = -1
        out[overlap >= SAME] = 1
    return out


def fitted(x: np.ndarray, y: np.ndarray) -> dict:
    "Weights of a logistic model with squares and products."
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    z = (x - mean) / scale
    i, j = np.triu_indices(z.shape[1])
    model = LogisticRegression(C=0.1, max_iter=1000).fit(np.concatenate([z, z[:, i] * z[:, j]], 1), y)
    short = lambda v: [float(f"{q:.5g}") for q in v]
    return {"mean": short(mean), "scale": short(scale), "bias": short(model.intercept_)[0],
            "linear": short(model.coef_[0, :z.shape[1]]), "square": short(model.coef_[0, z.shape[1]:])}


def main() -> None:
    from trendflow.core.identity import digest
    from trendflow.kit.boundaries import LAGS, distances, evidence, looks_of
    xs, ys, lags = [], [], []
    for frames, times_s, truth in clips():
        looks = looks_of([frames])
        d = distances(looks)
        for lag in (k for k in LAGS if k < len(looks)):
            xs.append(evidence(d, looks.contrast, lag))
            ys.append(labels(times_s, truth, lag))
            lags.append(np.full(len(xs[-1]), lag))
    x, y, lag = np.concatenate(xs).astype(float), np.concatenate(ys), np.concatenate(lags)
    data = {"cut": fitted(x[(lag == 1) & (y >= 0)], y[(lag == 1) & (y >= 0)]), "soft": fitted(x[(lag > 1) & (y >= 0)], y[(lag > 1) & (y >= 0)]),
            "cut_from": 0.5, "soft_from": 0.7}
    version = json.loads(OUT.read_text())["version"] + 1 if OUT.exists() else 1
    asset = {"id": "boundaries", "version": version, "digest": digest(data), "licence": "Apache-2.0", "data": data,
             "what": "weights of the transition detector, learned by tools/tune_boundaries.py"}
    OUT.write_text(json.dumps(asset, indent=1) + "\n", encoding="utf-8")
    print(f"{len(y)} pairs, {(y == 1).sum()} transitions: wrote {OUT.relative_to(ROOT)}, version {version}")


if __name__ == "__main__": main()
