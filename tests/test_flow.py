"""Camera recovery on warps of real pictures with known movement, determinism, and pairs in which there is nothing to follow."""
from __future__ import annotations

from dataclasses import replace
from functools import cache
from io import BytesIO

import av
import cv2
import numpy as np
import pytest
from skimage import data

from trendflow.core import samples
from trendflow.core.measure import measure
from trendflow.kit.flow import FLOW_SIDE, dense_flow, fit_similarity, pair_motion
from trendflow.kit.image import luma, shrink
from trendflow.providers.core_optical_flow import core_optical_flow

PICTURES = {"astronaut": data.astronaut, "cat": data.chelsea, "coffee": data.coffee, "galaxies": data.hubble_deep_field, "grass": data.grass}
DT = 0.1
SIZES = {"wide": (640, 360), "tall": (360, 640), "small": (176, 144)}


@cache
def picture(name: str) -> np.ndarray:
    "A picture of 1600 px width."
    p = PICTURES[name]()
    p = np.dstack([p] * 3) if p.ndim == 2 else p
    scale = 1600 / p.shape[1]
    return cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def window(p, size=(640, 360), pan=(0.0, 0.0), zoom=0.0, turn=0.0, noise=1.5, seed=0):
    "What a camera sees after a pan (frame widths), a zoom (log) and a turn of the picture (degrees), with sensor noise."
    width, height = size
    base = 0.55 * min(p.shape[1] / width, p.shape[0] / height)
    c, s = base * np.exp(-zoom) * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    m = np.array([[c, s], [-s, c]])
    centre = np.array(p.shape[1::-1]) / 2 + np.array(pan) * base * width
    seen = cv2.warpAffine(p, np.column_stack([m, centre - m @ [(width - 1) / 2, (height - 1) / 2]]), size,
                          flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT)
    if noise == 0: return seen
    grain = np.random.default_rng(seed).standard_normal((height, width, 1), np.float32) * np.float32(noise * 1.4)
    return np.clip(seen + grain, 0, 255).astype(np.uint8)


def camera(p, size=(640, 360), pan=(0.0, 0.0), zoom=0.0, turn=0.0):
    "The camera that is found for a movement given per second."
    return pair_motion(window(p, size, seed=1), window(p, size, (pan[0] * DT, pan[1] * DT), zoom * DT, turn * DT, seed=2), DT)


def with_object(view, x, y):
    "The view with a sharp picture over a third of it."
    height, width = view.shape[:2]
    w, h = int(width * 0.58), int(height * 0.58)
    out = view.copy()
    out[y:y + h, x:x + w] = cv2.resize(data.rocket(), (w, h), interpolation=cv2.INTER_AREA)
    return out


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("pan", [(0.02, 0.0), (0.1, -0.05), (0.3, 0.1), (-0.6, 0.0)])
def test_pan_within_5_percent(name, pan):
    found = camera(picture(name), pan=pan).camera
    assert np.hypot(*(found[:2] - pan)) < 0.05 * np.hypot(*pan)
    assert abs(found[2]) < 0.005 and abs(found[3]) < 0.3


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("zoom", [-0.5, -0.1, 0.05, 0.2, 1.0])
def test_zoom_within_5_percent_and_about_the_centre(name, zoom):
    found = camera(picture(name), zoom=zoom).camera
    assert abs(found[2] - zoom) < 0.05 * abs(zoom)
    assert np.abs(found[:2]).max() < 0.005, "a pure zoom has no pan: it is about the centre of the frame, not about the origin"


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("turn", [-20.0, 3.0])
def test_rotation_within_5_percent(name, turn):
    assert abs(camera(picture(name), turn=turn).camera[3] - turn) < 0.05 * abs(turn)


@pytest.mark.parametrize("size", SIZES)
def test_all_at_once_in_frame_widths_whatever_the_size(size):
    truth = dict(pan=(0.2, -0.1), zoom=0.1, turn=5.0)
    found = camera(picture("cat"), SIZES[size], **truth).camera
    assert np.allclose(found, [0.2, -0.1, 0.1, 5.0], rtol=0.05)


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee"])
@pytest.mark.parametrize("truth", [dict(pan=(0.02, 0.0)), dict(pan=(0.1, 0.05)), dict(pan=(0.3, 0.0)), dict(zoom=0.1)])
@pytest.mark.parametrize("moved", [(0, 0), (8, -4)])
def test_a_moving_object_over_a_third_of_the_picture_is_not_the_camera(name, truth, moved):
    p, pan, zoom = picture(name), truth.get("pan", (0.0, 0.0)), truth.get("zoom", 0.0)
    first = with_object(window(p, seed=1), 60, 80)
    second = with_object(window(p, pan=(pan[0] * DT, pan[1] * DT), zoom=zoom * DT, seed=2), 60 + moved[0], 80 + moved[1])
    m = pair_motion(first, second, DT)
    assert np.hypot(*(m.camera[:2] - pan)) < (0.05 * np.hypot(*pan) if zoom == 0 else 0.005)
    assert abs(m.camera[2] - zoom) < (0.05 * zoom if zoom else 0.005)
    assert m.inlier_share > 0.4


def coded(frames, crf=30):
    "Frames after H.264 at a quality that is poor even for the web."
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for f in frames: out.mux(stream.encode(av.VideoFrame.from_ndarray(f, format="rgb24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as back: return [f.to_ndarray(format="rgb24") for f in back.decode(video=0)]


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize("truth", [(0.1, -0.05, 0.0), (0.3, 0.0, 0.0), (0.0, 0.0, 0.1), (0.0, 0.0, -0.3), (0.1, 0.0, 0.2)])
def test_generated_clips_within_5_percent_after_coding(name, truth):
    p, (x, y, zoom) = picture(name), truth
    def view(t):                                # pan in widths of the present frame per second
        scale = np.exp(-zoom * t)
        way = t if zoom == 0 else (1 - scale) / zoom
        return window(p, pan=(x * way, y * way), zoom=zoom * t, noise=1, seed=int(t * 1000))
    frames = coded([view(i / 25) for i in range(14)])
    found = np.median([pair_motion(frames[i], frames[i + 3], 0.12).camera for i in range(0, 11, 3)], axis=0)
    assert np.hypot(*(found[:2] - (x, y))) < max(0.05 * np.hypot(x, y), 0.003)
    assert abs(found[2] - zoom) < max(0.05 * abs(zoom), 0.003)


def test_the_sample_video_has_the_camera_that_made_it():
    truth = samples.truth()
    with av.open(str(samples.clip())) as c: frames = [f.to_ndarray(format="rgb24") for f in c.decode(video=0)]
    soft = [i for t in truth["transitions"] if "frames" in t for i in range(t["start_frame"], t["end_frame"] + 1)]
    for shot in truth["segments"]:
        (x0, y0, w0), (x1, y1, w1), n, first = shot["crop_start"], shot["crop_end"], shot["frames"], shot["first_frame"]
        per_s = truth["fps"] / (n - 1)
        off, size = [], []
        for i in range(3, n - 6, 12):
            if first + i in soft or first + i + 3 in soft: continue
            width = w0 * (w1 / w0) ** (i / (n - 1))                 # the zoom factor grows evenly, the centre moves evenly
            known = np.array([(x1 - x0) / width, (y1 - y0) / width, np.log(w0 / w1), 0]) * per_s
            off.append(pair_motion(frames[first + i], frames[first + i + 3], 3 / truth["fps"]).camera - known)
            size.append(known)
        off, size = np.median(off, 0), np.median(size, 0)
        assert np.hypot(*off[:2]) < max(0.05 * np.hypot(*size[:2]), 0.002), (shot["source"], size, off)
        assert abs(off[2]) < max(0.05 * abs(size[2]), 0.002), (shot["source"], size, off)
        assert abs(off[3]) < 0.2


def test_the_residual_is_the_object():
    p = picture("coffee")
    m = pair_motion(with_object(window(p), 60, 80), with_object(window(p, pan=(0.01, 0.0)), 70, 80), DT)
    truth = (0.01 + 10 / 640) / DT          # the object moves right in the picture, the background moves left with the camera's pan
    share = (abs(m.residual) > truth / 2).mean()
    assert 0.25 < share < 0.42
    inside = m.residual[15:30, 12:48].real         # cells of 8 px well within the object
    assert abs(np.median(inside) - truth) < 0.1 * truth


def test_a_change_of_light_is_no_movement():
    p = window(picture("cat"), noise=0)
    darker = (p * 0.7).astype(np.uint8)
    m = pair_motion(p, darker, DT)
    assert np.abs(m.camera[:2]).max() < 0.002 and m.tracked_share > 0.9


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_blank_frames_have_no_camera(level):
    blank = np.full((360, 640, 3), level, np.uint8)
    m = pair_motion(blank, blank, DT)
    assert np.isnan(m.camera).all() and np.isnan(m.flow).all() and np.isnan(m.residual).all() and np.isnan(m.inlier_share)
    assert m.texture_share == 0 and np.isnan(m.tracked_share)


@pytest.mark.parametrize("sigma", [1, 3, 30])
def test_noise_has_no_camera(sigma):
    rng = np.random.default_rng(0)
    a, b = (np.clip(rng.normal(60, sigma, (360, 640, 3)), 0, 255).astype(np.uint8) for _ in range(2))
    m = pair_motion(a, b, DT)
    assert np.isnan(m.camera).all() and np.isnan(m.inlier_share)


def test_across_a_cut_nothing_is_followed():
    pictures = [window(picture(n)) for n in PICTURES]
    for i, a in enumerate(pictures):
        for j, b in enumerate(pictures):
            if i != j: assert np.isnan(pair_motion(a, b, DT).flow).all(), (i, j)


def test_static_frames_are_measured_as_still():
    p = picture("astronaut")
    same = pair_motion(window(p), window(p), DT)
    assert np.abs(same.camera).max() < 1e-4 and abs(same.flow).max() < 1e-3 and same.inlier_share == 1
    noisy = pair_motion(window(p, seed=1), window(p, seed=2), DT)
    assert np.abs(noisy.camera[:2]).max() < 0.001 and abs(noisy.flow).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (2, 16), (31, 640), (32, 32), (33, 47)])
def test_small_frames_do_not_crash(size):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    m = pair_motion(a, a, DT)
    assert m.camera.shape == (4,) and (min(size) >= 32 or np.isnan(m.texture_share))


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan")])
def test_a_pair_without_time_between_is_no_pair(dt):
    p = window(picture("cat"))
    assert np.isnan(pair_motion(p, p, dt).camera).all()


def test_frames_far_apart_are_not_compared():
    pairs = samples.frames("pan", n=4, size=(180, 320), pairs=True)
    mixed = replace(pairs, dt_s=np.array([0.1, 0.25, 0.3, 1.0]))
    made = measure(core_optical_flow, {"frames": mixed})
    assert np.isfinite(made.flow_mean).tolist() == [True, True, False, False] and np.isfinite(made.share[:, 1:]).all(1).tolist() == [True, True, False, False]
    assert measure(core_optical_flow, {"frames": replace(pairs, dt_s=np.ones(4))}).meta["empty_reason"] == "nothing_to_follow"


def test_equal_input_gives_equal_numbers_and_leaves_the_random_state_alone():
    a, b = window(picture("coffee")), window(picture("coffee"), pan=(0.02, 0.01), zoom=0.02)
    numpy_state, one = np.random.get_state()[1].copy(), pair_motion(a, b, DT)
    before = cv2.getNumThreads()
    try:
        for threads in (1, 2, 5):
            cv2.setRNGSeed(threads)
            cv2.setNumThreads(threads)
            two = pair_motion(a, b, DT)
            assert (one.camera == two.camera).all() and (one.flow == two.flow).all() and one.inlier_share == two.inlier_share
            assert cv2.getNumThreads() == threads
    finally: cv2.setNumThreads(before)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_the_fit_is_exact_with_half_of_the_points_wrong():
    rng = np.random.default_rng(3)
    at = rng.uniform(-0.5, 0.5, 400) + 1j * rng.uniform(-0.3, 0.3, 400)
    by = (0.03 - 0.02j) * at + (0.01 + 0.02j)
    by[:200] = 0.1 * (rng.normal(size=200) + 1j * rng.normal(size=200))
    grow, shift, _ = fit_similarity(at, by)
    assert abs(grow - (0.03 - 0.02j)) < 1e-6 and abs(shift - (0.01 + 0.02j)) < 1e-6


def test_points_in_one_place_make_no_camera():
    at = 0.01 * np.random.default_rng(0).normal(size=(50, 2)) @ [1, 1j]
    grow, shift, _ = fit_similarity(at, np.zeros(50, complex))
    assert np.isnan(grow) and np.isnan(shift)


def test_the_dense_flow_runs_small():
    a = luma(window(picture("cat")))
    assert dense_flow(shrink(a, FLOW_SIDE), shrink(a, FLOW_SIDE)).shape == (180, 320, 2)
