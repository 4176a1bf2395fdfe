"""What is measured of a sound is a matter of the sound, not of when it begins, of what is around it, or of how loudly it was recorded."""
from __future__ import annotations

import numpy as np
import pytest
from trendflow.core import samples
from trendflow.core.audio import Audio
from trendflow.core.columns import row
from trendflow.core.contract import contract
from trendflow.core.measure import measure
from trendflow.core.registry import discover
from trendflow.segment.windows import FAMILIES, family_entry, lay, segments_of

RATE, LATE = 48000, 320 * 2048      # Hz; samples – 588 frames of the shared spectrum, 147 of the long one
NAMES = ("band_energy_extractor", "chroma_extractor", "hpss_extractor", "loudness_extractor", "mel_extractor", "mfcc_extractor", "onset_extractor", "rhythmic_extractor",
         "spectral_entropy_extractor", "spectral_extractor", "tempo_extractor")


def features(name: str, audio: Audio) -> dict[str, float]:
    c = contract(discover()[name])
    rule = c.windows if c.windows.window_s else FAMILIES[c.windows.family]
    given = {"audio": audio, "segments": segments_of(rule.family, family_entry(lay(*audio.coverage, rule), rule, RATE))}
    return row(measure(c, given), c)


def sound() -> np.ndarray: return np.concatenate([samples.audio("music", 7.0).stereo(), samples.audio("noise", 1.0).stereo()])


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_that_starts_late_and_ends_early_measures_the_same(name: str) -> None:
    y = sound()
    padded = np.concatenate([np.zeros((LATE, 2), np.float32), y, np.zeros((3 * RATE, 2), np.float32)])
    one, two = features(name, Audio.from_array(y, RATE)), features(name, Audio.from_array(padded, RATE, (LATE / RATE, (LATE + len(y)) / RATE)))
    for column in one: assert two[column] == pytest.approx(one[column], rel=0.02, abs=1e-3, nan_ok=True), column


@pytest.mark.parametrize("name", ["onset_extractor", "rhythmic_extractor", "tempo_extractor"])
def test_a_quiet_recording_has_the_same_rhythm(name: str) -> None:
    one, two = features(name, Audio.from_array(sound(), RATE)), features(name, Audio.from_array(sound() / 20, RATE))
    for column in one: assert two[column] == pytest.approx(one[column], rel=0.02, abs=1e-3, nan_ok=True), column


def test_that_a_noise_begins_is_no_onset() -> None:
    noise = Audio.from_array(np.random.default_rng(0).normal(size=5 * RATE) * 0.1, RATE)
    assert features("onset_extractor", noise)["onset_extractor.measure.rate.value"] == 0
