"""Depth: order against stereo, statistics by hand, MiDaS against a net of modules, checkpoints that do not fit."""
from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from trendflow.core import samples
from trendflow.core.checks import check_component
from trendflow.core.contract import Empty, contract
from trendflow.core.errors import ModelUnavailable, UsageError
from trendflow.core.measure import measure
from trendflow.core.roles import DEPTH
from trendflow.core.sources import Frames
from trendflow.kit.depth import depth_arrays, nearness, previews, separation, statistics
from trendflow.kit.effnet import run
from trendflow.kit.midas import inverse_depth, net_size, prepared, read_midas, tensors
from trendflow.kit.models import Models, pin
from trendflow.providers.core_depth_fast import _load as load_fast
from trendflow.providers.core_depth_fast import core_depth_fast
from trendflow.providers.core_depth_midas import core_depth_midas


# --- what is made of a map ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(5))
def test_nearness_keeps_the_order_and_forgets_unit_and_zero(seed: int) -> None:
    inverse = np.random.default_rng(seed).gamma(2, 1, (40, 50))
    near = nearness(inverse)
    assert near.min() == 0 and near.max() == 1
    assert np.allclose(near, nearness(1000 * inverse - 7), atol=1e-5)
    inside = (near > 0) & (near < 1)
    assert inside.mean() > 0.95 and spearmanr(near[inside], inverse[inside])[0] > 0.9999


def test_a_few_wild_values_do_not_decide() -> None:
    inverse = np.tile(np.linspace(1, 2, 100), (100, 1))
    wild = inverse.copy()
    wild[::10, ::10] = np.where(np.arange(10) % 2, 1e6, -1e6)
    assert np.median(abs(nearness(wild) - nearness(inverse))) < 0.02


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e9, np.nan])
def test_an_even_map_has_no_nearness(value: float) -> None:
    near = nearness(np.full((8, 8), value))
    assert np.isnan(near).all() and np.isnan(statistics(near)).all()


@pytest.mark.parametrize("seed", range(5))
def test_separation_is_the_best_of_all_cuts(seed: int) -> None:
    x = np.random.default_rng(seed).random((9, 7)) ** 3
    def between(cut: float) -> float:
        low, high = x[x <= cut], x[x > cut]
        return low.size * high.size * (low.mean() - high.mean()) ** 2 / x.size ** 2
    assert separation(x) == pytest.approx(max(between(c) for c in np.sort(x.ravel())[:-1]) / x.var())


def test_statistics_of_a_person_before_a_wall() -> None:
    scene = np.zeros((64, 64), np.float32)
    scene[16:64, 22:42] = 1
    found = dict(zip(DEPTH, statistics(scene)))
    assert found["separation"] == pytest.approx(1) and found["near_share"] == pytest.approx(48 * 20 / 64 ** 2)
    assert found["centre"] == pytest.approx(20 / 22, abs=0.01) and found["lower_half"] == pytest.approx((32 * 20 - 16 * 20) / (32 * 64))
    assert found["detail"] == pytest.approx((20 + 2 * 48) / (2 * 63 * 64))


@pytest.mark.parametrize("n", [0, 1, 8, 9, 200])
def test_previews_show_frames_that_have_a_map(n: int) -> None:
    maps = np.arange(n, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    maps[::3] = np.nan
    shown, row = previews(maps)
    there = row[row >= 0]
    assert len(there) == min(8, n - len(range(0, n, 3))) and (np.diff(there) > 0).all() and (there % 3 > 0).all()
    assert (shown[: len(there), 0, 0] == there).all() and np.isnan(shown[len(there):]).all()


def test_blank_frames_among_others_are_absent() -> None:
    frames = samples.frames(n=6)
    pixels = frames.pixels.copy()
    pixels[[1, 4]] = 0
    made = depth_arrays(replace(frames, pixels=pixels), lambda rgb: rgb.mean(2))
    assert not isinstance(made, Empty)
    assert np.isnan(made["statistic"]).any(1).tolist() == [False, True, False, False, True, False]
    assert made["preview_row"].tolist() == [0, 2, 3, 5, -1, -1, -1, -1]


# --- FastDepth ------------------------------------------------------------------------------------------------------------------

def test_the_order_of_depth_agrees_with_a_stereo_pair_better_than_the_row_does(shared_data: Path) -> None:
    left, right = (cv2.imread(str(shared_data / "images" / "skimage" / f"motorcycle_{side}.png")) for side in ("left", "right"))
    matcher = cv2.StereoSGBM_create(0, 128, 5, P1=200, P2=800, disp12MaxDiff=1, uniquenessRatio=10, speckleWindowSize=100, speckleRange=2)
    disparity = matcher.compute(*(cv2.cvtColor(x, cv2.COLOR_BGR2GRAY) for x in (left, right))) / 16
    known, row = disparity > 0, np.arange(1, dtype=np.int32)
    made = measure(core_depth_fast, {"frames": Frames(left[None, ..., ::-1], row, row, row, row * 1.0, 1.0)})
    near = cv2.resize(made.preview[0], left.shape[1::-1])
    order, prior = spearmanr(near[known], disparity[known])[0], spearmanr(np.indices(known.shape)[0][known], disparity[known])[0]
    assert order > 0.7 and order > prior + 0.05
    assert statistics(made.preview[0]) == pytest.approx(made.statistic[0]) and made.preview_row.tolist() == [0] + [-1] * 7


def test_fast_depth_is_shared_by_threads() -> None:
    metres = Models(("depth",)).load("depth", load_fast)
    pictures = list(samples.frames("pictures", n=4, size=(90, 160)))
    alone = [metres(p) for p in pictures]
    with ThreadPoolExecutor(4) as pool: together = list(pool.map(metres, pictures * 3))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 3, together))
    assert all(0 < m.min() < m.max() < 15 for m in alone), "metres"


# --- MiDaS ----------------------------------------------------------------------------------------------------------------------

def random_state(seed: int = 0) -> dict[str, torch.Tensor]:
    "Tensors of MiDaS small, seeded, whose batch norms and biases do something."
    g = torch.Generator().manual_seed(seed)
    def values(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        if name.endswith("num_batches_tracked"): return torch.tensor(7)
        if len(shape) > 1: return torch.randn(shape, generator=g) * (1 / int(np.prod(shape[1:]))) ** 0.5
        if name.endswith("bias") or "mean" in name: return torch.randn(shape, generator=g) * 0.1
        return 0.5 + torch.rand(shape, generator=g)
    made = {name: values(name, shape) for name, shape in tensors().items()}
    return made | {k: abs(made[k]) for k in made if ".output_conv.4." in k}          # else the last ReLU may leave nothing


class Unit(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(n, n, 3, padding=1), nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x): return x + self.conv2(torch.relu(self.conv1(torch.relu(x))))


class Fusion(nn.Module):
    def __init__(self, n: int, out: int) -> None:
        super().__init__()
        self.out_conv, self.resConfUnit1, self.resConfUnit2 = nn.Conv2d(n, out, 1), Unit(n), Unit(n)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, x, own=None): return self.out_conv(self.up(self.resConfUnit2(x if own is None else x + self.resConfUnit1(own))))


class Scratch(nn.Module):
    "The decoder as modules, as its paper draws it."
    def __init__(self) -> None:
        super().__init__()
        for n, (inner, width) in enumerate(zip((32, 48, 136, 384), (64, 128, 256, 512)), 1):
            setattr(self, f"layer{n}_rn", nn.Conv2d(inner, width, 3, padding=1, bias=False))
            setattr(self, f"refinenet{n}", Fusion(width, max(64, width // 2)))
        self.output_conv = nn.Sequential(nn.Conv2d(64, 32, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(32, 32, 3, padding=1),
                                         nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU())

    def forward(self, maps):
        own = [getattr(self, f"layer{n}_rn")(m) for n, m in enumerate(maps, 1)]
        x = self.refinenet4(own[3])
        for n in (3, 2, 1): x = getattr(self, f"refinenet{n}")(x, own[n - 1])
        return self.output_conv(x)[:, 0]


def test_the_decoder_is_that_of_modules() -> None:
    state = random_state()
    modules = Scratch().eval()
    modules.load_state_dict({k.removeprefix("scratch."): v for k, v in state.items() if k.startswith("scratch.")}, strict=True)
    model = read_midas(state)
    pictures = prepared(next(iter(samples.frames("pictures", n=1, size=(90, 160)))))
    with torch.inference_mode(): want = modules(run(model.encoder, torch.from_numpy(pictures), (1, 2, 4, 6)).maps).numpy()
    have = inverse_depth(model, pictures)
    assert have.shape == (1, 128, 256) and want.std() > 0
    assert np.allclose(have, want, atol=1e-4 * abs(want).max())


def test_pictures_together_are_pictures_alone() -> None:
    model = read_midas(random_state())
    pictures = [prepared(p) for p in samples.frames("pictures", n=3, size=(90, 160))]
    together = inverse_depth(model, np.concatenate(pictures))
    assert all(np.allclose(together[i], inverse_depth(model, p)[0], atol=1e-4 * together.max()) for i, p in enumerate(pictures))


def test_a_checkpoint_that_does_not_fit_is_refused_with_a_list() -> None:
    state = random_state()
    odd = {k: v for k, v in state.items() if k != "pretrained.layer2.0.1.bn2.bias"} | {"pretrained.layer5.0.weight": torch.zeros(1), "scratch.output_conv.4.bias": torch.zeros(2)}
    with pytest.raises(UsageError) as caught: read_midas(odd)
    for name in ("pretrained.layer2.0.1.bn2.bias", "pretrained.layer5.0.weight", "scratch.output_conv.4.bias"): assert name in str(caught.value)


@pytest.mark.parametrize(("height", "width", "want"), [(360, 640, (128, 256)), (640, 360, (256, 128)), (480, 640, (192, 256)), (64, 64, (256, 256)),
                                                       (1, 500, (32, 256)), (1080, 1920, (128, 256))])
def test_the_size_of_the_input(height: int, width: int, want: tuple[int, int]) -> None: assert net_size(height, width) == want


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    "A random checkpoint in a cache of its own."
    monkeypatch.setenv("TRENDFLOW_MODELS", str(tmp_path / "cache"))
    torch.save(random_state(), tmp_path / "midas.pt")
    return pin(f"midas_{re.sub(r'[^a-z0-9]', '', tmp_path.name.lower())}", {"any_name.pt": tmp_path / "midas.pt"}, name="random", engine="torch").key


def test_midas_keeps_the_contract(pinned: str) -> None:
    c = replace(contract(core_depth_midas), config={"model": pinned})
    assert "deterministic: ok" in check_component(c)
    made = measure(c, {"frames": samples.frames("pictures", n=2, size=(180, 320))})
    assert [m["model_name"] for m in made.meta["models_used"]] == ["random"] and np.isfinite(made.statistic).all()


def test_midas_without_its_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRENDFLOW_MODELS", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="midas_small"): measure(core_depth_midas, {"frames": samples.frames("one")})
