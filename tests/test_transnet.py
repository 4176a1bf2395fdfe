"""TransNet V2 against a plain 3-D convolution of the same tensors, and its transitions against labelled truth."""
from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_shots import Event, Score, truth_of
from trendflow.core import samples
from trendflow.core.contract import contract
from trendflow.core.framesdir import open_frames_dir
from trendflow.core.measure import measure
from trendflow.core.roles import TRANSITIONS
from trendflow.kit.models import find, loaded
from trendflow.kit.transnet import load_transnet, shot_ends, thumbnails
from trendflow.providers.core_transnetv2 import core_transnetv2, runs
from trendflow.segment.probe import probe
from trendflow.segment.segmenter import plan_video, write_frames


@pytest.fixture(scope="module")
def net(): return loaded("transnetv2", load_transnet)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    "110 frames of the sample video around a cut: three windows."
    return thumbnails([samples.frames("pictures", 799).pixels[60:170]])


# --- the authors' scheme, without any of our shortcuts ---------------------------------------------------------------------------

def plain(pictures: np.ndarray) -> np.ndarray:
    "Both heads [frame, head], window by window, each on its own, with 3-D convolutions and batch normalisation."
    import torch
    told = torch.load(next(iter(find("transnetv2").values())), weights_only=True)
    n, out = len(pictures), []
    end = 25 + 50 - (n % 50 or 50)
    padded = np.concatenate([np.repeat(pictures[:1], 25, 0), pictures, np.repeat(pictures[-1:], end, 0)])
    with torch.inference_mode():
        for start in range(0, len(padded) - 99, 50): out.append(plain_window(told, torch.from_numpy(padded[start:start + 100]))[25:75])
        return torch.cat(out)[:n].numpy()


def plain_window(told, seen):
    import torch
    from torch.nn import functional as F

    def dense(x, name): return F.linear(x, told[f"{name}.weight"], told[f"{name}.bias"])

    def around(v):
        cosine = F.pad(v @ v.T, (50, 50))
        return torch.stack([cosine[i, i:i + 101] for i in range(len(v))])

    x, means = seen.permute(3, 0, 1, 2)[None].float() / 255, []
    for i in range(3):
        for j in range(2):
            name = f"SDDCNN.{i}.DDCNN.{j}."
            each = [F.conv3d(F.conv3d(x, told[f"{name}Conv3D_{d}.layers.0.weight"], padding=(0, 1, 1)),
                             told[f"{name}Conv3D_{d}.layers.1.weight"], padding=(d, 0, 0), dilation=(d, 1, 1)) for d in (1, 2, 4, 8)]
            x = F.relu(F.batch_norm(torch.cat(each, 1), *(told[f"{name}bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")), eps=1e-3))
            if j == 0: short = x
        x = F.avg_pool3d(x + short, (1, 2, 2))
        means.append(x.mean((3, 4))[0].T)
    colours = torch.zeros(len(seen), 512)
    for frame, pixels in zip(colours, seen.reshape(len(seen), -1, 3).int() >> 5):
        for r, g, b in pixels.tolist(): frame[64 * r + 8 * g + b] += 1
    found = dense(torch.cat(means, 1), "frame_sim_layer.projection")
    parts = [F.relu(dense(around(F.normalize(v, dim=1)), f"{name}.fc")) for v, name in ((colours, "color_hist_layer"), (found, "frame_sim_layer"))]
    deep = F.relu(dense(torch.cat([*parts, x[0].permute(1, 2, 3, 0).flatten(1)], 1), "fc1"))
    return torch.sigmoid(torch.cat([dense(deep, "cls_layer1"), dense(deep, "cls_layer2")], 1))


def test_numbers_are_those_of_the_plain_network(net, pictures: np.ndarray) -> None:
    ours, theirs = shot_ends(net, pictures), plain(pictures)
    print(f"largest difference of {ours.size} probabilities: {abs(ours - theirs).max():.1e}")
    assert np.allclose(ours, theirs, atol=1e-5, rtol=0) and theirs[:, 0].max() > 0.9 and theirs.min() < 0.001


def test_random_state_is_left_alone_and_threads_agree(net, pictures: np.ndarray) -> None:
    import torch
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with ThreadPoolExecutor(2) as pool: first, second = pool.map(lambda _: shot_ends(net, pictures[:30]), range(2))
    assert torch.equal(torch.get_rng_state(), state[0]) and np.random.get_state()[1].tolist() == state[1] and random.getstate() == state[2]
    assert np.array_equal(first, second) and not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("n", [0, 1, 50, 51])
def test_any_number_of_frames(net, pictures: np.ndarray, n: int) -> None:
    out = shot_ends(net, pictures[:n])
    assert out.shape == (n, 2) and np.isfinite(out).all() and (out[:, 0] < 0.5).all()


# --- runs ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(20))
def test_runs_are_in_order_and_apart(seed: int) -> None:
    probability = np.random.default_rng(seed).random((200, 2)).astype(np.float32)
    found = runs(probability, threshold=0.7)
    assert found and all(0 <= b.first < b.last < 200 and b.probability > 0.7 for b in found)
    assert all(a.last <= b.first + 1 for a, b in zip(found, found[1:]))
    assert all((b.kind == "cut") == (b.last == b.first + 1) for b in found)


def test_two_peaks_of_one_transition_are_one() -> None:
    marks = np.zeros((30, 2), np.float32)
    marks[[10, 14], 0], marks[8:17, 1] = 0.8, 0.9
    assert [(b.first, b.last, b.kind) for b in runs(marks)] == [(8, 17, "unknown")]
    assert runs(np.zeros((0, 2), np.float32)) == [] and runs(np.ones((5, 2), np.float32)) == []


# --- real clips ------------------------------------------------------------------------------------------------------------------

def detect(path: Path, work: Path) -> list[Event]:
    "What is found in a file, decoded as in a run; the shots must tile it."
    write_frames(path, plan_video(probe(path), {"core_transnetv2": contract(core_transnetv2).sample}), work)
    frames = open_frames_dir(work).frames("core_transnetv2")
    made = measure(core_transnetv2, {"frames": frames})
    assert made.shot_start_s[0] == 0 and made.shot_end_s[-1] >= frames.times_s[-1] and np.array_equal(made.shot_end_s[:-1], made.shot_start_s[1:])
    assert len(made.shot_start_s) == len(made.event_start_s) + 1 and (made.shot_end_s > made.shot_start_s).all()
    return [(TRANSITIONS[k], float(s), float(e)) for k, s, e in zip(made.transition_kind, made.event_start_s, made.event_end_s)]


def bikes(shared_data: Path) -> list[Event]:
    return [("cut", i / 25, i / 25) for i in json.loads((shared_data / "truth.json").read_text())["shots"]["bikes.mp4"]["first_frames"][1:]]


def test_cuts_of_a_real_clip(shared_data: Path, tmp_path: Path) -> None:
    score = Score()
    score.add(detect(shared_data / "shots" / "bikes.mp4", tmp_path), bikes(shared_data))
    assert score.f1 == 1.0 and score.named == score.true, str(score)


@pytest.mark.slow
def test_labelled_clips(shared_data: Path, tmp_path: Path) -> None:
    cuts, mixed, folder = Score(), Score(), shared_data / "shots"
    cuts.add(detect(folder / "bikes.mp4", tmp_path / "bikes"), bikes(shared_data))
    for name in ("hardcuts_18", "vertical_fastcuts_30"): cuts.add(detect(folder / f"{name}.mp4", tmp_path / name), truth_of(folder / f"{name}.json"))
    mixed.add(detect(folder / "mixed_transitions_14.mp4", tmp_path / "mixed"), truth_of(folder / "mixed_transitions_14.json"))
    print(f"cuts: {cuts}\nmixed: {mixed}")
    assert cuts.f1 >= 0.98 and cuts.named["cut"] >= 0.98 * cuts.hit["cut"]
    assert mixed.f1 >= 0.8 and mixed.named["cut"] == mixed.true["cut"]
    assert detect(folder / "single_shot_static.mp4", tmp_path / "static") == []
