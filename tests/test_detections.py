"""The small network against OpenCV's run of the same graph, real pictures and clips, YOLO checkpoints as data, files that must be refused."""
from __future__ import annotations

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from trendflow.core import samples
from trendflow.core.errors import UsageError
from trendflow.core.measure import measure
from trendflow.core.roles import COCO, shots
from trendflow.core.sources import Frames
from trendflow.kit.models import find, loaded, pin
from trendflow.kit.ssd import anchors, graph_constants, load_ssd, ssd
from trendflow.providers.core_object_detections import AREA, GROUPS, core_object_detections, one_thing_once


def net(): return loaded("detection", load_ssd)


def image(path: Path) -> np.ndarray: return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def still(picture: np.ndarray, n: int = 1) -> Frames:
    "A picture, n times, four a second."
    at = np.arange(n)
    return Frames(np.stack([picture] * n), at, at.astype(np.int32), at.astype(np.int32), at / 4, n / 4)


def clip(path: Path, times_s: list[float]) -> Frames:
    "Frames of a clip at about these times, 640 wide."
    pixels, times, want = [], [], list(times_s)
    with av.open(str(path)) as video:
        for f in video.decode(video=0):
            if not want: break
            if f.time >= want[0]:
                pixels.append(f.reformat(640, round(320 * f.height / f.width) * 2, "rgb24").to_ndarray())
                times.append(f.time)
                want.pop(0)
    at = np.arange(len(times))
    return Frames(np.stack(pixels), at, at.astype(np.int32), at.astype(np.int32), np.array(times), times[-1] + 0.1)


def names(made) -> list[str]: return [COCO[k] for k in made.class_id.tolist()]


# --- the small network ----------------------------------------------------------------------------------------------------------

def test_every_box_is_that_of_opencv():
    files = find("detection")
    reference = cv2.dnn.readNetFromTensorflow(*(str(files[n]) for n in ("frozen_inference_graph.pb", "ssd_mobilenet_v2_coco_2018_03_29.pbtxt")))
    pictures = samples.frames("pictures", n=8, size=(360, 640))
    for picture in [pictures[1], pictures[2], pictures[6], *samples.frames("noise", n=1, size=(91, 203))]:
        box, score, kind = ssd(net(), picture, 0.2)
        reference.setInput(cv2.dnn.blobFromImage(picture, size=(300, 300), swapRB=False))
        known = reference.forward()[0, 0]
        known = known[known[:, 2] >= 0.2]
        known = known[np.argsort(-known[:, 2], kind="stable")]
        assert kind.tolist() == known[:, 1].astype(int).tolist()
        assert np.allclose(score, known[:, 2], atol=1e-5)
        assert np.allclose(box, known[:, 3:], atol=5e-4), "OpenCV's description says 0.333 where the graph says 0.3333"


def test_the_anchors_are_those_of_the_graph():
    const, at = graph_constants(find("detection")["frozen_inference_graph.pb"]), 0
    for i, cells in enumerate((19, 10, 5, 3, 2, 1)):
        scale, ratio = const[f"MultipleGridAnchorGenerator/mul_{15 + 8 * i}/x"], const[f"MultipleGridAnchorGenerator/Sqrt{f'_{i}' if i else ''}/x"]
        n = cells * cells * len(scale)
        mine = anchors()[at:at + n].reshape(-1, len(scale), 4)
        assert np.allclose(mine[:, :, 2], scale * np.sqrt(ratio), rtol=1e-5) and np.allclose(mine[:, :, 3], scale / np.sqrt(ratio), rtol=1e-5)
        at += n
    assert at == len(anchors())


def test_threads_share_the_network_and_agree():
    pictures = samples.frames("pictures", n=4, size=(360, 640))
    alone = [ssd(net(), p, 0.1) for p in pictures]
    with ThreadPoolExecutor(4) as pool: together = list(pool.map(lambda p: ssd(net(), p, 0.1), pictures))
    assert all(np.array_equal(a, b) for x, y in zip(alone, together) for a, b in zip(x, y))


@pytest.mark.parametrize("size", [(1, 1), (2, 640), (360, 2), (31, 47)])
def test_odd_sizes(size):
    box, score, kind = ssd(net(), np.full((*size, 3), 128, np.uint8), 0.3)
    assert box.shape == (len(score), 4) and len(kind) == len(score)


# --- what is found --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "what"), [("chelsea.png", "cat"), ("coffee.png", "cup"), ("astronaut.png", "person"), ("camera.png", "person"),
                                            ("motorcycle_left.png", "motorcycle")])
def test_the_labelled_thing_is_the_surest(shared_data, name, what):
    made = measure(core_object_detections, {"frames": still(image(shared_data / "images" / "skimage" / name))})
    assert names(made)[0] == what and made.score[0] > 0.7


def test_skier_and_skis(shared_data):
    made = measure(core_object_detections, {"frames": still(image(shared_data / "images" / "coco" / "000000000785.jpg"))})
    assert sorted(names(made)) == ["person", "skis"] and made["count"][0, list(GROUPS).index("sports")] == 1


@pytest.mark.parametrize("name", ["page.png", "rocket.jpg", "text.png"])
def test_pages_and_a_rocket_hold_nothing_of_coco(shared_data, name):
    made = measure(core_object_detections, {"frames": still(image(shared_data / "images" / "skimage" / name))})
    assert made.status == "ok" and not len(made.score)


def test_the_face_lies_within_the_person(shared_data):
    made = measure(core_object_detections, {"frames": still(image(shared_data / "images" / "faces" / "obama.jpg"))})
    height, width = image(shared_data / "images" / "faces" / "obama.jpg").shape[:2]
    x0, y0, x1, y1 = made.box[names(made).index("person")] * [width, height, width, height]
    assert x0 < 349 and y0 < 142 and x1 > 617 and y1 > 409


def test_a_busy_street_and_a_park(shared_data):
    street = measure(core_object_detections, {"frames": clip(shared_data / "videos" / "bangkok_traffic.mp4", [0.5, 1.5, 2.5, 3.5])})
    vehicles = street["count"][:, list(GROUPS).index("vehicle")]
    assert (vehicles >= 7).all() and (vehicles <= 25).all(), "about a dozen are near enough to be told from each other"
    assert street.area[:, AREA.index("object_largest")].max() < 0.1, "the box around all cars is no car"
    park = measure(core_object_detections, {"frames": clip(shared_data / "videos" / "park_sports.mp4", [0.0, 0.25, 0.37, 0.5])})
    assert set(names(park)) == {"person"} and abs(np.median(park["count"][:, 0]) - 2) <= 0.5, "two people stand on the lawn"


# --- the rows -------------------------------------------------------------------------------------------------------------------

def test_boxes_stay_inside_and_rows_are_in_order(shared_data):
    made = measure(core_object_detections, {"frames": clip(shared_data / "videos" / "bangkok_traffic.mp4", [0.0, 0.5])}, {"least_score": 0.05})
    assert len(made.score) > 40 and made.box.min() >= 0 and made.box.max() <= 1 and (made.box[:, 2:] > made.box[:, :2]).all()
    assert (np.diff(made.detection_frame_row) >= 0).all() and set(made.class_id.tolist()) <= set(COCO) and made.score.min() >= 0.05
    assert (np.bincount(made.detection_frame_row, minlength=2) == made["count"].sum(1)).all()


def test_a_thing_that_stays_is_one_track_until_a_cut(shared_data):
    frames = still(image(shared_data / "images" / "skimage" / "chelsea.png"), 6)
    config = {"least_score": 0.6}
    assert measure(core_object_detections, {"frames": frames}, config).track_id.tolist() == [0] * 6
    cut = samples.artifact(shots, on=frames)                       # two shots, the second from the middle
    assert measure(core_object_detections, {"frames": frames, "shots": cut}, config).track_id.tolist() == [0, 0, 0, 1, 1, 1]
    none = samples.artifact(shots, "empty", frames)
    assert measure(core_object_detections, {"frames": frames, "shots": none}, config).track_id.tolist() == [0] * 6


def test_the_groups_are_the_supercategories():
    group = dict(zip(COCO.values(), np.searchsorted(list(GROUPS.values()), list(COCO))))
    told = {"person": "person", "bicycle": "vehicle", "boat": "vehicle", "traffic_light": "outdoor", "bench": "outdoor", "bird": "animal", "giraffe": "animal",
            "backpack": "accessory", "suitcase": "accessory", "frisbee": "sports", "tennis_racket": "sports", "bottle": "kitchen", "bowl": "kitchen", "banana": "food",
            "cake": "food", "chair": "furniture", "toilet": "furniture", "tv": "electronic", "cell_phone": "electronic", "microwave": "appliance", "refrigerator": "appliance",
            "book": "indoor", "toothbrush": "indoor"}
    assert {k: list(GROUPS)[group[k]] for k in told} == told


def test_duplicates_crowds_and_boxes_outside():
    box = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [1.1, 0, 1.4, 1], [-0.2, -0.2, 0.3, 0.3]])
    kept, score, kind = one_thing_once(box, np.array([0.5, 0.9, 0.8, 0.4]), np.array([3, 8, 1, 1]), 0.8)
    assert kind.tolist() == [8, 1] and kept.min() >= 0, "the worse of two equal boxes and the box outside are gone"
    nothing = one_thing_once(np.empty((0, 4)), np.empty(0), np.empty(0, int), 0.8)
    assert [x.shape for x in nothing] == [(0, 4), (0,), (0,)]


# --- YOLO: the checkpoint is data -----------------------------------------------------------------------------------------------

@cache
def ultralytics():
    from trendflow.kit.yolo import ultralytics_here
    return ultralytics_here()


@pytest.fixture(scope="module")
def seeded(tmp_path_factory) -> Path:
    "yolo11n with random weights, saved as Ultralytics saves it."
    import torch
    parts = ultralytics()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = parts.tasks.DetectionModel("yolo11n.yaml", verbose=False)
        model.train()(torch.rand(2, 3, 64, 64))                     # the batch norms see something
    model.names, model.args = {i: n.replace("_", " ") for i, n in enumerate(COCO.values())}, {"imgsz": 640}
    path = tmp_path_factory.mktemp("yolo") / "yolo11n.pt"
    torch.save({"epoch": -1, "best_fitness": None, "model": model.eval().half(), "ema": None, "train_args": {"imgsz": 640}, "version": "8.3.0"}, path)
    return path


def test_it_finds_what_ultralytics_finds(seeded, tmp_path, monkeypatch):
    from trendflow.kit.yolo import load_yolo, yolo
    ultralytics()
    from ultralytics import YOLO
    picture = samples.frames("pictures", n=8, size=(360, 640))[1]
    box, score, kind = yolo(load_yolo({"yolo11n.pt": seeded}), picture, 1e-5)
    monkeypatch.chdir(tmp_path)
    told = YOLO(str(seeded)).predict(picture[..., ::-1].copy(), conf=1e-5, verbose=False, save=False)[0].boxes
    assert len(score) == len(told) > 0
    assert np.allclose(score, told.conf.numpy(), rtol=1e-3) and np.allclose(box, told.xyxyn.numpy(), atol=1e-3)
    assert kind.tolist() == [list(COCO)[int(c)] for c in told.cls]


def test_a_pinned_checkpoint_runs_by_config(seeded, tmp_path, monkeypatch):
    monkeypatch.setenv("TRENDFLOW_MODELS", str(tmp_path))
    pin("own_yolo", {"own.pt": seeded}, name="own", engine="torch")
    given = {"frames": samples.frames("pictures", n=2, size=(180, 320))}
    made = measure(core_object_detections, given, {"model": "own_yolo", "least_score": 1e-5})
    assert made.status == "ok" and made.meta["models_used"][0]["model_name"] == "own"
    assert measure(core_object_detections, given, {"model": "own_yolo", "least_score": 1e-5}).meta["content_digest"] == made.meta["content_digest"]


class Runs:
    "A pickle that would make a file when it is loaded."
    def __init__(self, path): self.path = path
    def __reduce__(self): return pathlib.Path.touch, (pathlib.Path(self.path),)


class Commands(Runs):
    def __reduce__(self): return os.system, (f"touch {self.path}",)


class Calls(Runs):
    def __reduce__(self): return eval, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize("trap", [Runs, Commands, Calls])
@pytest.mark.parametrize("place", ["model", "beside", "within"])
def test_a_file_that_would_run_something_is_refused(seeded, tmp_path, trap, place):
    import torch
    from trendflow.kit.yolo import load_yolo
    told = torch.load(seeded, weights_only=False)                   # our own file
    target = tmp_path / "trapped"
    if place == "within": told["model"].model[0].extra = trap(target)
    else: told["model" if place == "model" else "note"] = trap(target)
    torch.save(told, tmp_path / "bad.pt")
    with pytest.raises(UsageError, match="was not loaded"): load_yolo({"bad.pt": tmp_path / "bad.pt"})
    assert not target.exists()


@pytest.mark.parametrize("change", [{"activation": "__import__('os').system('touch trapped')"}, {"head": [[-1, 1, "torch_load", ["x.pt"]]]},
                                    {"head": [[-1, 1, "TorchVision", [8, "resnet18", "DEFAULT"]]]}, {"backbone": "Conv"}, {"head": [["Detect"]]}])
def test_a_plan_that_would_do_more_than_build_is_refused(seeded, tmp_path, monkeypatch, change):
    import torch
    from trendflow.kit.yolo import load_yolo
    monkeypatch.chdir(tmp_path)
    told = torch.load(seeded, weights_only=False)
    told["model"].yaml = {**told["model"].yaml, **change}
    torch.save(told, tmp_path / "bad.pt")
    with pytest.raises(UsageError, match="plan"): load_yolo({"bad.pt": tmp_path / "bad.pt"})
    assert not (tmp_path / "trapped").exists()


def test_other_classes_other_weights_and_other_files_are_refused(seeded, tmp_path):
    import torch
    from trendflow.kit.yolo import load_yolo
    def altered(change):
        told = torch.load(seeded, weights_only=False)
        change(told["model"])
        torch.save(told, tmp_path / "bad.pt")
        return {"bad.pt": tmp_path / "bad.pt"}
    with pytest.raises(UsageError, match="2 classes are not the 80"): load_yolo(altered(lambda m: setattr(m, "names", {0: "logo", 1: "text"})))
    with pytest.raises(UsageError, match="not the 80"): load_yolo(altered(lambda m: setattr(m, "names", {i: f"class{i}" for i in range(80)})))
    with pytest.raises(UsageError, match="do not fit"): load_yolo(altered(lambda m: m.model.__delitem__(3)))
    for content in (b"", b"no pickle", b"PK\x03\x04 no zip"):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(UsageError, match="checkpoint|as data"): load_yolo({"bad.pt": tmp_path / "bad.pt"})
    torch.save({"state": torch.zeros(3)}, tmp_path / "bad.pt")
    with pytest.raises(UsageError, match="no model"): load_yolo({"bad.pt": tmp_path / "bad.pt"})


def test_ultralytics_leaves_no_trace(tmp_path):
    "In a process of its own: the first import, with a home of its own, and a network that raises."
    import subprocess
    import sys
    code = """
import os, socket, sys, warnings
from pathlib import Path
def refuse(*a, **k): raise AssertionError("the network was asked for")
socket.getaddrinfo = socket.socket.connect = refuse
import cv2, numpy as np, torch
from trendflow.kit.models import torchvision_here
torchvision_here()
state = lambda: (cv2.getNumThreads(), torch.get_num_threads(), np.get_printoptions()["linewidth"], torch.initial_seed(), np.random.get_state()[1][:4].tolist(),
                 {k: v for k, v in os.environ.items() if not k.startswith("TORCHINDUCTOR")}, os.getcwd(), torch._tensor_str.get_printoptions(), list(warnings.filters), torch.save)
before = state()
from trendflow.kit.yolo import load_yolo, ultralytics_here
load_yolo({"a.pt": Path(sys.argv[1])})
assert state() == before, (state(), before)
"""
    torch_file = tmp_path / "a.pt"
    home = tmp_path / "home"
    home.mkdir()
    import torch
    parts = ultralytics()
    model = parts.tasks.DetectionModel("yolo11n.yaml", verbose=False)
    model.names = dict(enumerate(n.replace("_", " ") for n in COCO.values()))
    torch.save({"model": model}, torch_file)
    found = [str(Path(samples.__file__).parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": os.pathsep.join(p for p in found if p)}
    done = subprocess.run([sys.executable, "-c", code, str(torch_file)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [p for p in home.rglob("*") if "ltralytics" in str(p)] and sorted(p.name for p in tmp_path.iterdir()) == ["a.pt", "home"]


def test_frames_that_change_size_give_the_same_boxes(seeded):
    "The network keeps its anchors for the last size; another size between must not matter."
    from trendflow.kit.yolo import load_yolo, yolo
    net_, wide, tall = load_yolo({"yolo11n.pt": seeded}), *(samples.frames("scene", n=1, size=s)[0] for s in ((180, 320), (320, 180)))
    first = yolo(net_, wide, 1e-5)
    yolo(net_, tall, 1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(first, yolo(net_, wide, 1e-5)))
