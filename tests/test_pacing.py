"""How fast the picture changes: signals of known speed, by what was sampled and by what is absent."""
from __future__ import annotations

import numpy as np
import pytest
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.measure import measure
from trendflow.core.registry import discover
from trendflow.core.sources import Frames
from trendflow.visual.color_light import color_light
from trendflow.visual.video_pacing import CHANGE, SIGNALS, changes, rate, video_pacing


def coloured(colours: list[tuple[int, int, int]], fps: float = 2.0) -> Artifact:
    "Light and colour of frames of one colour each, as the component measures them."
    rank = np.arange(len(colours), dtype=np.int32)
    pixels = np.array(colours, np.uint8)[:, None, None].repeat(18, 1).repeat(32, 2)
    return measure(color_light, {"frames": Frames(pixels, rank, rank, rank, rank / fps, len(rank) / fps)})


def seen(light: Artifact) -> dict[str, dict[str, float]]: return {s: dict(zip(CHANGE, row.tolist())) for s, row in zip(SIGNALS, changes(None, light, 0.2))}


def test_each_signal_sees_its_own_change() -> None:
    turns = seen(coloured([(255, 0, 0), (0, 0, 255)] * 4))                  # two turns a second, wholly
    assert turns["colour"] == pytest.approx({"mean": 2, "std": 0, "burst_share": 1}, abs=1e-6) and turns["saturation"]["mean"] == 0
    fades = seen(coloured([(v, v, v) for v in range(0, 240, 10)]))          # 20 levels a second
    assert fades["brightness"] == pytest.approx({"mean": 20 / 255, "std": 0, "burst_share": 0}, abs=1e-4) and fades["colour"]["mean"] == 0


def test_the_rate_does_not_depend_on_how_densely_a_slope_is_sampled() -> None:
    slope = [(v, v, v) for v in range(30, 230, 5)]
    assert seen(coloured(slope, 4.0))["brightness"] == pytest.approx(seen(coloured(slope[::4], 1.0))["brightness"], abs=1e-3)


def test_uneven_steps_are_weighed_by_their_time() -> None:
    found = rate(np.array([0.3, 0.3]), np.array([0.5, 3.0]), 0.2)
    assert found[0] == pytest.approx(0.6 / 3.5) and found[2] == pytest.approx(0.5 / 3.5)


def test_colour_that_is_nearly_black_or_grey_is_none() -> None:
    dark = seen(coloured([(0, 0, 0), (3, 0, 0), (0, 0, 3), (9, 9, 9)]))
    assert dark["colour"]["mean"] == 0 and np.isnan(dark["saturation"]["mean"])


@pytest.mark.parametrize("kind", ["one", "empty", "absent"])
def test_what_is_absent_is_nan_and_nothing_else_changes(kind: str) -> None:
    full = {"shots": samples.artifact("shots"), "motion": samples.artifact("motion"), "image_embeddings": samples.artifact("image_embeddings"),
            "color_light": samples.artifact(discover()["color_light"])}
    all_of = measure(video_pacing, full)
    for name, rows in (("image_embeddings", [0]), ("color_light", [1, 2, 3])):
        if (name, kind) == ("color_light", "empty"): continue               # it is never empty
        of = discover()[name] if name == "color_light" else name
        made = measure(video_pacing, full | {name: None if kind == "absent" else samples.artifact(of, kind)})
        assert np.isnan(made["change"][rows]).all() and np.isfinite(all_of["change"]).all()
        others = [i for i in range(4) if i not in rows]
        assert np.array_equal(made["change"][others], all_of["change"][others]) and np.array_equal(made["summary"], all_of["summary"], equal_nan=True)
