"""Picture quality: BRISQUE beside OpenCV's, and every measure against graded damage that was done to real frames."""
from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scipy.stats import rankdata
from trendflow.core import samples
from trendflow.core.measure import measure
from trendflow.core.sources import Frames
from trendflow.kit.brisque import features, load_brisque
from trendflow.kit.image import LIGHT, luma, shrink
from trendflow.kit.models import Models
from trendflow.visual.shot_quality import METRICS, blockiness, shot_quality

# --- BRISQUE ----------------------------------------------------------------------------------------------------------------------

OPENCV = {                      # scores of cv2.quality.QualityBRISQUE 4.13 for each picture as it is, blurred and noisy
    "coffee.png": (3.81, 68.59, 40.78), "chelsea.png": (0.0, 52.25, 47.59), "astronaut.png": (0.16, 47.9, 44.01),
    "camera.png": (0.0, 48.29, 54.5), "motorcycle_left.png": (17.73, 52.53, 49.51), "rocket.jpg": (9.27, 66.59, 62.89),
}


@pytest.fixture(scope="module")
def brisque(): return Models(("brisque",)).load("brisque", load_brisque)


@pytest.mark.parametrize("name", OPENCV)
def test_brisque_scores_as_opencv_does(name: str, brisque, shared_data: Path) -> None:
    grey = cv2.imread(str(shared_data / "images" / "skimage" / name), cv2.IMREAD_GRAYSCALE)
    noisy = (grey + 15 * np.random.default_rng(0).standard_normal(grey.shape)).clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose([brisque.score(x) for x in (grey, cv2.GaussianBlur(grey, (0, 0), 1.5), noisy)], OPENCV[name], atol=0.2)


def test_brisque_of_what_has_no_statistics(brisque) -> None:
    rng = np.random.default_rng(0)
    for flat in (np.full((360, 640), 7, np.uint8), np.zeros((32, 32), np.uint8), rng.integers(0, 255, (31, 400), np.uint8)): assert np.isnan(brisque.score(flat))
    edge = np.full((64, 64), 50, np.uint8)
    edge[:, 32:] = 200
    assert np.isfinite(features(edge)).any() and 0 <= brisque.score(rng.integers(0, 255, (33, 32), np.uint8)) <= 100


def test_brisque_does_not_mind_a_mirror(brisque) -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (200, 300), np.uint8), (0, 0), 1)
    assert abs(brisque.score(picture) - brisque.score(picture[:, ::-1].copy())) < 0.5


# --- graded damage ----------------------------------------------------------------------------------------------------------------

CLIPS = ("tears_of_steel_battle.webm", "nasa_13013_multitrack.mp4", "bangkok_traffic.mp4", "friday.mp4", "obama_speech.mp4", "intel_bottles.mp4", "flower.mp4",
         "shuttle_vp8.webm", "bikes.mp4", "intel_car_detection.mp4")


def noisy(x: np.ndarray, s: float) -> np.ndarray: return (x + s * np.random.default_rng(0).standard_normal(x.shape)).clip(0, 255).round().astype(np.uint8)
def curve(x: np.ndarray, f) -> np.ndarray: return (255 * f(np.arange(256) / 255)).round().clip(0, 255).astype(np.uint8)[x]


def colour_noise(x: np.ndarray, s: float) -> np.ndarray:
    "Noise of chroma at half size, as video stores it."
    ycc = cv2.cvtColor(x, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    grain = s * np.random.default_rng(1).standard_normal((x.shape[0] // 2, x.shape[1] // 2, 2)).astype(np.float32)
    ycc[..., 1:] += cv2.resize(grain, x.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(ycc.clip(0, 255).round().astype(np.uint8), cv2.COLOR_YCrCb2RGB)


def tinted(x: np.ndarray, k: float) -> np.ndarray:
    "The light of another lamp."
    light = LIGHT[x] * np.array([1, 1 / (1 + k), (1 - k) / (1 + k)])
    return (255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)).round().astype(np.uint8)


DAMAGE = {                      # name → how, levels in increasing order of damage
    "blur": (lambda x, s: cv2.GaussianBlur(x, (0, 0), s), (0.6, 1, 1.5, 2.5, 4)), "noise": (noisy, (2, 4, 8, 14, 22)), "colour noise": (colour_noise, (4, 8, 12, 18, 26)),
    "jpeg": (lambda x, q: cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, q])[1], cv2.IMREAD_COLOR), (70, 45, 25, 15, 8)),
    "darker": (lambda x, e: curve(x, lambda v: v ** e), (1.3, 1.7, 2.2, 3, 4)), "overexposed": (lambda x, e: curve(x, lambda v: v * e), (1.2, 1.5, 1.9, 2.4, 3)),
    "flat": (lambda x, e: curve(x, lambda v: 0.45 + e * (v - 0.45)), (0.85, 0.7, 0.55, 0.4, 0.25)), "tinted": (tinted, (0.1, 0.2, 0.3, 0.45, 0.6)),
    "posterised": (lambda x, n: ((np.floor(x / 256 * n) + 0.5) * 256 / n).astype(np.uint8), (64, 48, 32, 24, 16)),
    "hazy": (lambda x, t: (x * t + 215 * (1 - t)).round().astype(np.uint8), (0.85, 0.7, 0.55, 0.4, 0.25)),
}
FOLLOWS = {"blur": ("blur", 1), "sharpness": ("blur", -1), "brisque": ("blur", 1), "noise": ("noise", 1), "chroma_noise": ("colour noise", 1), "blockiness": ("jpeg", 1),
           "under_share": ("darker", 1), "exposure": ("darker", -1), "over_share": ("overexposed", 1), "contrast": ("flat", -1), "local_contrast": ("flat", -1),
           "cast": ("tinted", 1), "haze": ("hazy", 1), "banding": ("posterised", 1)}
KIN = {("contrast", "hazy"), ("local_contrast", "hazy"), ("haze", "flat")}         # haze is a loss of contrast


def many(pictures: list[np.ndarray]) -> Frames:
    rank = np.arange(len(pictures), dtype=np.int32)
    return Frames(np.stack(pictures), rank, rank, rank, rank * 1.0, float(len(pictures)))


def measured(pictures: list[np.ndarray]) -> np.ndarray:
    "The measures of pictures of one size, [picture, metric]."
    on = many(pictures)
    return measure(shot_quality, {"frames": on, "shots": samples.artifact("shots", on=on)})["measure"]


def real_frames(folder: Path, n: int, clips: tuple[str, ...] = CLIPS) -> Iterator[list[np.ndarray]]:
    "A few decoded frames of each clip, at the size of the view."
    for name in clips:
        with av.open(str(folder / "videos" / name)) as video:
            shown = [f for i, f in enumerate(video.decode(video=0)) if i in range(20, 20 + 40 * n, 40)]
        yield [shrink(f.to_ndarray(format="rgb24"), 640) for f in shown]


@pytest.fixture(scope="module")
def graded(shared_data: Path) -> dict[str, np.ndarray]:
    "Damage → [frame, level, metric]; level 0 is the frame as it is. Contours need a smooth picture, so that one is smoothed before."
    out: dict[str, list] = {name: [] for name in DAMAGE}
    for (frame,) in real_frames(shared_data, 1, CLIPS[::2]):
        smooth = cv2.GaussianBlur(frame, (0, 0), 3)
        levels = [[f(smooth if name == "posterised" else frame, level) for level in steps] for name, (f, steps) in DAMAGE.items()]
        rows = measured([frame, smooth, *(x for steps in levels for x in steps)])
        for k, name in enumerate(DAMAGE): out[name].append(np.vstack([rows[int(name == "posterised")], rows[2 + 5 * k:7 + 5 * k]]))
    return {name: np.array(x) for name, x in out.items()}


def rank_correlation(x: np.ndarray) -> float: return float(np.corrcoef(np.arange(len(x)), rankdata(x))[0, 1])


def test_each_measure_follows_its_own_damage(graded: dict[str, np.ndarray]) -> None:
    rho = {name: sign * np.mean([rank_correlation(x[:, METRICS.index(name)]) for x in graded[damage] if np.ptp(x[:, METRICS.index(name)]) > 0])
           for name, (damage, sign) in FOLLOWS.items()}
    print("rank correlation with the level:", {k: round(float(v), 3) for k, v in rho.items()})
    assert min(rho.values()) >= 0.9


def test_each_measure_reacts_most_to_its_own_damage(graded: dict[str, np.ndarray]) -> None:
    own_columns = [METRICS.index(name) for name in FOLLOWS]
    clean = graded["blur"][:, 0, own_columns]
    change = {d: dict(zip(FOLLOWS, np.nanmean((x[:, 4] - x[:, 0])[:, own_columns], axis=0) / np.nanstd(clean, axis=0))) for d, x in graded.items()}     # fourth of five levels
    print(f"\n{'change / deviation of clean frames':34}", *(f"{d[:9]:>10}" for d in DAMAGE))
    for name in FOLLOWS: print(f"{name:34}", *(f"{change[d][name]:10.2f}" for d in DAMAGE))
    for name, (own, sign) in FOLLOWS.items():
        seen = {d: float(x[name]) for d, x in change.items() if (name, d) not in KIN}
        assert sign * seen[own] == max(abs(v) for v in seen.values()), f"{name}: {seen}"


def test_no_measure_says_what_another_says(shared_data: Path) -> None:
    rows = np.vstack([measured(frames) for frames in real_frames(shared_data, 3)])[:, [METRICS.index(name) for name in FOLLOWS]]
    rho = np.ma.corrcoef(np.ma.masked_invalid([rankdata(c, nan_policy="omit") for c in rows.T])).filled(0)
    np.fill_diagonal(rho, 0)
    print("\nrank correlation over", len(rows), "frames of", len(CLIPS), "clips")
    for name, row in zip(FOLLOWS, rho): print(f"{name:15}", *(f"{v:6.2f}" for v in row))
    assert abs(rho).max() <= 0.95


# --- really compressed clips ------------------------------------------------------------------------------------------------------

def encoded(pictures: list[np.ndarray], crf: int) -> np.ndarray:     # [y, x, rgb] – the last frame of an H.264 encode, at the size of the view
    "What a codec leaves of a few frames."
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for x in pictures: out.mux(stream.encode(av.VideoFrame.from_ndarray(x, "rgb24")))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as video: return shrink([f.to_ndarray(format="rgb24") for f in video.decode(video=0)][-1], 640)


@pytest.mark.parametrize("side", [640, 854, 1280])
def test_blocks_of_h264_show_at_source_sizes_beyond_the_view(side: int, shared_data: Path) -> None:
    found = []
    for name in ("flower.mp4", "bt709_full_range_720p.mp4"):
        with av.open(str(shared_data / "videos" / name)) as video: pictures = [f.to_ndarray(format="rgb24") for i, f in enumerate(video.decode(video=0)) if 10 <= i < 14]
        pictures = [cv2.resize(x, (side, side * 9 // 32 * 2), interpolation=cv2.INTER_AREA) for x in pictures]
        found.append([blockiness(luma(encoded(pictures, crf))) for crf in (20, 38, 46)])
    print(side, np.round(found, 2).tolist())
    assert all(x[2] > x[0] + 0.1 for x in found)


# --- scale, faces, depth ----------------------------------------------------------------------------------------------------------

def test_a_small_source_is_as_blurred_as_it_looks_on_the_screen(shared_data: Path) -> None:
    ((frame,),) = real_frames(shared_data, 1, ("intel_bottles.mp4",))
    at = {name: [measured([shrink(frame, side)])[0, METRICS.index(name)] for side in (640, 320, 160)] for name in ("blur", "sharpness")}
    assert at["blur"] == sorted(at["blur"]) and at["sharpness"] == sorted(at["sharpness"], reverse=True)


def test_the_largest_face_is_measured_on_the_same_source_frame_only() -> None:
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 255, (360, 640, 3), np.uint8), (0, 0), 3)
    frame[100:250, 200:400] = np.kron(rng.integers(100, 255, (15, 20, 1), np.uint8), np.ones((10, 10, 3), np.uint8))
    frame[:36, :64] = cv2.GaussianBlur(frame[100:136, 200:264], (0, 0), 4) // 2
    on = many([frame] * 4)
    small, large = [0.0, 0.0, 0.1, 0.1], [200 / 640, 100 / 360, 400 / 640, 250 / 360]
    faces = samples.artifact("face_landmarks", on=many([frame] * 2))
    faces.arrays.update(face_frame_row=np.array([0, 1, 1], np.int32), box=np.array([small, large, small], np.float32), source_frame_indices=np.array([1, 2], np.int32))
    made = measure(shot_quality, {"frames": on, "shots": samples.artifact("shots", on=on), "faces": faces})["measure"]
    sharp, light = made[:, METRICS.index("face_sharpness")], made[:, METRICS.index("face_exposure")]
    assert np.isnan(sharp[[0, 3]]).all() and np.isfinite(sharp[1:3]).all()
    assert sharp[2] > sharp[1] + 0.2 and light[2] > light[1]


def test_a_face_without_a_face_on_these_frames_is_nan(shared_data: Path) -> None:
    frame = np.full((36, 64, 3), 90, np.uint8)
    on = many([frame])
    for kind in ("one", "empty"):
        inputs = {"frames": on, "shots": samples.artifact("shots", on=on), "faces": samples.artifact("face_landmarks", kind), "depth": samples.artifact("depth", kind)}
        assert np.isnan(measure(shot_quality, inputs)["measure"][:, METRICS.index("face_sharpness")]).all()


def test_nothing_of_the_frame_is_a_share_of_itself() -> None:
    "Shares are against absolute levels: a grey frame has none, a dark one only dark."
    for level, want in ((128, (0, 0)), (10, (1, 0)), (245, (0, 1))):
        row = measured([np.full((36, 64, 3), level, np.uint8)])[0]
        assert (row[METRICS.index("under_share")], row[METRICS.index("over_share")]) == want
