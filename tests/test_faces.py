"""Faces: counts and boxes on labelled pictures, the signs of the pose, small faces, tracks, threads, and no way to the network."""
from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from trendflow.core.measure import measure
from trendflow.core.roles import BLENDSHAPES
from trendflow.core.sources import Frames
from trendflow.kit.image import shrink
from trendflow.kit.models import Models
from trendflow.kit.tracks import overlap
from trendflow.providers.core_face_landmarks import _load, core_face_landmarks, distinct, faces_of, windows


def frames(pictures: list[np.ndarray], fps: float = 1.0) -> Frames:
    rank = np.arange(len(pictures), dtype=np.int32)
    return Frames(np.stack(pictures), rank, rank * 25, rank, rank / fps, len(pictures) / fps)


def clip(path: Path, n: int) -> Frames:
    "Evenly spread frames of a video, 640 px at most."
    with av.open(str(path)) as video: decoded = [(float(f.time), f) for f in video.decode(video=0)]
    rank = np.unique(np.linspace(0, len(decoded) - 1, n).round().astype(np.int32))
    row = np.arange(len(rank), dtype=np.int32)
    pixels = np.stack([shrink(decoded[i][1].to_ndarray(format="rgb24"), 640) for i in rank])
    return Frames(pixels, row, rank, row, np.array([decoded[i][0] for i in rank]), decoded[-1][0] + 0.04)


def picture(path: Path) -> np.ndarray: return cv2.imread(str(path))[..., ::-1].copy()


def found(pictures: list[np.ndarray], **config): return measure(core_face_landmarks, {"frames": frames(pictures)}, config)


@pytest.fixture(scope="module")
def model(): return Models(("face_landmarks",)).load("face_landmarks", _load)


def scene(face: np.ndarray, side: int, x: int, y: int) -> np.ndarray:
    "A square picture, made `side` px large, on grey."
    out = np.full((360, 640, 3), 110, np.uint8)
    out[y:y + side, x:x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return out


def test_both_people_are_seen_in_every_frame_and_keep_their_numbers(shared_data: Path) -> None:
    made = measure(core_face_landmarks, {"frames": clip(shared_data / "videos" / "obama_speech.mp4", 60)})
    assert made.n_faces.tolist() == [2] * 60
    assert np.bincount(made.track_id).tolist() == [60, 60]
    area = (made.box[:, 2:] - made.box[:, :2]).prod(1).reshape(60, 2)
    assert (area[:, 0] >= area[:, 1]).all(), "the larger one comes first"


@pytest.mark.parametrize(("name", "n"), [("astronaut.png", 1), ("coffee.png", 0), ("chelsea.png", 0), ("rocket.jpg", 0), ("clock_motion.png", 0), ("page.png", 0)])
def test_count_in_pictures(shared_data: Path, name: str, n: int) -> None:
    assert found([picture(shared_data / "images" / "skimage" / name)]).length("face") == n


def test_the_box_of_a_portrait(shared_data: Path) -> None:
    made = found([picture(shared_data / "images" / "faces" / "obama.jpg")])
    assert overlap(made.box * [910, 1137, 910, 1137], np.array([[349, 142, 617, 409]]))[0, 0] > 0.6
    shown = dict(zip(BLENDSHAPES, made.blendshape[0]))
    assert min(shown["mouth_smile_left"], shown["mouth_smile_right"]) > 0.5 > max(shown["eye_blink_left"], shown["jaw_open"])


@pytest.mark.parametrize("name", ["park_sports.mp4", "intel_bottles.mp4", "tractor_vp9.webm", "flower.mp4"])
def test_no_face_where_there_is_none(shared_data: Path, name: str) -> None:
    assert measure(core_face_landmarks, {"frames": clip(shared_data / "videos" / name, 8)}).meta["empty_reason"] == "no_faces_in_video"


def test_pose_says_to_which_side_a_head_is_turned(shared_data: Path) -> None:
    film = clip(shared_data / "videos" / "tears_of_steel_battle.webm", 24)
    both = [measure(core_face_landmarks, {"frames": frames([p if not mirrored else p[:, ::-1] for p in film])}) for mirrored in (False, True)]
    single = [i for i in range(24) if both[0].n_faces[i] == both[1].n_faces[i] == 1]
    one, two = (m.pose[np.isin(m.face_frame_row, single)] for m in both)
    assert len(one) >= 5 and abs(one[:, 0]).max() > 25
    assert np.allclose(one, two * [-1, 1, -1], atol=12)
    nose = np.array([m[1, 0] - (m[234, 0] + m[454, 0]) / 2 for m in both[0].landmark])           # tip of the nose, between the edges of the cheeks
    turned = abs(both[0].pose[:, 0]) > 10
    assert (np.sign(nose) == np.sign(both[0].pose[:, 0]))[turned].all(), "a nose to the right of the picture is a head turned to its left"


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_roll_is_the_turn_in_the_plane(shared_data: Path, degrees: int) -> None:
    upright = picture(shared_data / "images" / "faces" / "obama.jpg")
    turned = cv2.warpAffine(upright, cv2.getRotationMatrix2D((483, 275), degrees, 1), upright.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)     # against the clock
    made = found([upright, turned])
    assert abs(made.pose[1, 2] - made.pose[0, 2] - degrees) < 4
    assert np.allclose(made.pose[0, :2], made.pose[1, :2], atol=5)


def test_pose_does_not_depend_on_the_place_in_the_picture(shared_data: Path) -> None:
    face = picture(shared_data / "images" / "skimage" / "astronaut.png")[:330, 60:390]
    made = found([scene(face, 330, x, y) for x in (0, 155, 310) for y in (0, 30)])
    assert len(made.pose) == 6 and np.ptp(made.pose, axis=0).max() < 4


@pytest.mark.parametrize("height", [48, 70, 110, 160])
def test_small_faces_are_found_anywhere(model, shared_data: Path, height: int) -> None:
    face = picture(shared_data / "images" / "skimage" / "astronaut.png")[:250, 100:350]        # the face is 106 px high in it
    side = round(250 * height / 106)
    for x in np.linspace(0, 640 - side, 5).astype(int):
        for y in {0, max(0, (360 - side) // 2), max(0, 360 - side)}:
            (one,) = faces_of(model, scene(face[:360], min(side, 360), x, y), 6, 0.7)
            assert abs(one["box"][0] * 640 - x - 0.27 * side) < 0.1 * side


def test_at_most_as_many_as_are_asked_for(shared_data: Path) -> None:
    two = clip(shared_data / "videos" / "obama_speech.mp4", 3)
    made = measure(core_face_landmarks, {"frames": two}, {"num_faces": 1})
    assert made.n_faces.tolist() == [1, 1, 1]


def test_a_cut_ends_the_tracks(shared_data: Path) -> None:
    portrait = picture(shared_data / "images" / "skimage" / "astronaut.png")
    video, models = frames([portrait] * 4), Models(("face_landmarks",))
    def tracks(shots): return core_face_landmarks(video, models, shots)["track_id"].tolist()
    assert tracks(None) == [0, 0, 0, 0] and tracks(SimpleNamespace(shot_start_s=np.array([0, 1.5]))) == [0, 0, 1, 1]


def test_tracks_hold_when_frames_are_rare(shared_data: Path) -> None:
    portrait = picture(shared_data / "images" / "skimage" / "astronaut.png")
    made = measure(core_face_landmarks, {"frames": frames([portrait] * 3, fps=0.3)})
    assert made.track_id.tolist() == [0, 0, 0]


def test_four_threads_see_what_one_sees(model, shared_data: Path) -> None:
    film = list(clip(shared_data / "videos" / "obama_speech.mp4", 4))
    alone = [faces_of(model, f, 6, 0.7) for f in film]
    with ThreadPoolExecutor(4) as pool: together = list(pool.map(lambda f: faces_of(model, f, 6, 0.7), film * 3))
    for a, b in zip(alone * 3, together):
        assert len(a) == len(b) and all(np.array_equal(x["landmark"], y["landmark"]) and np.array_equal(x["blendshape"], y["blendshape"]) for x, y in zip(a, b))


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (37, 63), (400, 150)])
def test_pictures_of_any_size(model, size: tuple[int, int]) -> None:
    assert faces_of(model, np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8), 6, 0.7) == []


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (176, 144), (1, 3), (360, 90)])
def test_windows_cover_the_picture(width: int, height: int) -> None:
    assert len(windows(width, height)) > 1
    seen = np.zeros((height, width), int)
    for x0, y0, x1, y1 in windows(width, height)[1:]:
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height and x1 - x0 == y1 - y0
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1


def test_distinct_keeps_the_first_of_any_two() -> None:
    rng = np.random.default_rng(1)
    low = rng.random((40, 2))
    boxes = np.concatenate([low, low + 0.3 * rng.random((40, 2))], 1)
    kept = distinct(boxes)
    assert kept[0] == 0 and distinct(boxes[kept]).tolist() == list(range(len(kept))) and distinct(boxes[:0]).size == 0


LIFE = """
import os, socket
import numpy as np
import mediapipe, scipy.linalg                      # importing may start a thread of a BLAS, whose number is the machine's affair
before = set(os.listdir("/proc/self/task"))
from trendflow.kit.models import Models
from trendflow.providers.core_face_landmarks import _load, faces_of
from trendflow.core import samples
model = Models(("face_landmarks",)).load("face_landmarks", _load)
assert faces_of(model, np.zeros((90, 90, 3), np.uint8), 6, 0.7) == []
assert any(faces_of(model, frame, 6, 0.7) for frame in samples.frames("pictures", 8, (360, 640)))
def filtered(t): return [l.split()[1] for l in open(f"/proc/self/task/{t}/status") if l.startswith("Seccomp:")][0] == "2"
own = sorted(set(os.listdir("/proc/self/task")) - before)
socket.socket().close()
print(len(own), sum(filtered(t) for t in own), any(filtered(t) for t in before))
"""


def test_no_thread_of_mediapipe_can_open_a_socket_and_the_process_ends() -> None:
    done = subprocess.run([sys.executable, "-c", LIFE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    n, refused, others = done.stdout.split()
    assert int(n) == int(refused) > 2 and others == "False"
