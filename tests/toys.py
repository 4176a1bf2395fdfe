"""Components for tests, in a module of their own so that worker processes can import them. None of them is part of the package."""
from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from trendflow.core.artifact import Artifact
from trendflow.core.axes import Array
from trendflow.core.contract import component
from trendflow.core.registry import scratch_registry
from trendflow.core.sampling import Budget, Sample
from trendflow.core.sources import Frames, Texts
from trendflow.kit.models import Models

NUMBER = [Array("n", (), doc="a number")]
LOOK = Sample(Budget(4, 8, 16))

with scratch_registry():

    @component(family="visual", kind="core", sampling=LOOK, outputs=[Array("bright", ("frame",), doc="mean, 0 to 1", pool=("mean",))])
    def toy_bright(frames: Frames, *, gamma: float = 1.0) -> dict:
        "How bright each frame is."
        return {"bright": np.array([f.mean() / 255 for f in frames], "float32") ** np.float32(gamma)}

    @component(family="visual", kind="module", axes={"frame": "toy_bright"}, outputs=[Array("step", ("frame",), doc="change of brightness")])
    def toy_step(toy_bright: Artifact) -> dict:
        "How much brightness changes."
        return {"step": np.diff(toy_bright.bright, prepend=toy_bright.bright[:1]).astype("float32")}

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_fails(texts: Texts) -> dict:
        "Always fails. Kept to prove that a run goes on."
        raise ValueError(f"the title is {texts.title}")

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_after(toy_fails: Artifact) -> dict:
        "Needs what always fails."
        return {"n": 1.0}

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_title(texts: Texts) -> dict:
        "Length of the title."
        return {"n": float(len(texts.title or ""))}

    @component(family="text", kind="text", provides="speaker_turns", opens=("turn",), outputs=[Array("speaker_id", ("turn",), "int32", unit="id", doc="speaker")])
    def toy_turns(texts: Texts) -> dict:
        "Two speakers, two seconds each."
        return {"turn_start_s": np.array([0.0, 2.0]), "turn_end_s": np.array([2.0, 4.0]), "speaker_id": np.array([0, 1], np.int32)}

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_crash(texts: Texts) -> dict:
        "Dies as a native library does."
        os.abort()

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_hang(texts: Texts) -> dict:
        "Never comes back."
        while True: time.sleep(0.1)

    @component(family="visual", kind="core", sampling=LOOK, axes={}, outputs=NUMBER)
    def toy_interrupted(frames: Frames) -> dict:
        "Looks for ten seconds, and the user presses Ctrl-C when it begins."
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            time.sleep(0.01)
            frames[0]
        return {"n": 1.0}

    @component(family="text", kind="text", outputs=NUMBER, cost="gpu")
    def toy_gpu_a(texts: Texts) -> dict:
        "Uses a fake device."
        return {"n": on_device()}

    @component(family="text", kind="text", outputs=NUMBER, cost="gpu")
    def toy_gpu_b(texts: Texts) -> dict:
        "Uses the same fake device."
        return {"n": on_device()}

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_slow(texts: Texts) -> dict:
        "Takes a moment, so that a run can be killed in the middle."
        time.sleep(0.3)
        return {"n": 1.0}

    @component(family="text", kind="text", outputs=NUMBER)
    def toy_flaky(texts: Texts) -> dict:
        "A service that is away twice, then there."
        CALLS.append(1)
        if len(CALLS) % 3: raise ConnectionError("reset")
        return {"n": float(len(CALLS))}

    @component(family="visual", kind="core", sampling=LOOK, opens=("line",), outputs=[Array("n_characters", ("line",), "int32", unit="count", doc="length")],
               raw_text=(Array("text", ("line",), "U40", doc="what was read"),))
    def toy_reads(frames: Frames) -> dict:
        "Pretends to read a secret in the first frame."
        return {"line_frame_row": np.zeros(1, "int32"), "n_characters": np.array([10], "int32"), "text": np.array(["secretword"])}

    @component(family="visual", kind="core", sampling=LOOK, opens=("line",), outputs=[Array("n_characters", ("line",), "int32", unit="count", doc="length")],
               raw_text=(Array("text", ("line",), "U40", doc="what was read"),))
    def toy_misreads(frames: Frames) -> dict:
        "Fails over a secret."
        raise ValueError("cannot parse 'secretword'")

    @component(family="visual", kind="core", sampling=LOOK, outputs=NUMBER, models=lambda config: (config["model"],))
    def toy_network(frames: Frames, models: Models, *, model: str = "toy") -> dict:
        "A network of one number."
        return {"n": float(models.load(model, weights_of)[0])}


def weights_of(files: dict[str, Path]) -> bytes: return files["w.bin"].read_bytes()


CALLS: list[int] = []
DEVICE = {"now": 0, "peak": 0}


def on_device() -> float:
    "Work on a device that notices when it is used twice at once."
    DEVICE["now"] += 1
    DEVICE["peak"] = max(DEVICE["peak"], DEVICE["now"])
    time.sleep(0.05)
    DEVICE["now"] -= 1
    return 1.0


ALL = {f.__name__: f for f in (toy_bright, toy_step, toy_fails, toy_after, toy_title, toy_crash, toy_hang, toy_gpu_a, toy_gpu_b, toy_slow, toy_flaky, toy_reads, toy_misreads,
                               toy_interrupted)}
