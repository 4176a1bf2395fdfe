"""Clipping, bandwidth, noise, stereo and speech marks of sounds whose faults were put in."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly
from test_audio import sound_file

from trendflow.audio.quality_extractor import METRICS, clipped_share, quality_extractor
from trendflow.core import samples
from trendflow.core.audio import Audio
from trendflow.core.measure import measure
from trendflow.kit.dnsmos import RATE, SIZE, read_dnsmos, speech_marks
from trendflow.kit.models import Models

SPEECH = ("librispeech_198-209-0000.ogg", "jfk_inaugural_11s.flac", "speechbrain/LJ050-0131.wav")


def of(y: np.ndarray, rate: int = 48000, coverage=None) -> dict[str, float]:
    audio = Audio.from_array(y, rate, coverage)
    made = measure(quality_extractor, {"audio": audio, "segments": samples.segments("spectral", audio.duration_s, 2.0, 2.0), "speech": None})
    return dict(zip(METRICS, made["measure"].astype(float)))


def heard(path: Path, seconds: float = 9.0) -> tuple[np.ndarray, int]:
    x, rate = sound_file(path)
    return x[:int(seconds * rate), 0].astype(np.float64), rate


# --- clipping ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", SPEECH)
def test_clipping_is_seen_at_any_scale(shared_data: Path, name: str) -> None:
    x, rate = heard(shared_data / "speech" / name)
    parts = [x[i:i + 2 * rate] for i in range(0, len(x) - rate, 2 * rate)]
    assert all(clipped_share(p) == 0 for p in parts)
    limit = np.quantile(np.abs(x), 0.99)
    for scale in (1, 0.37, 1 / limit):
        found = np.array([clipped_share(np.clip(p, -limit, limit) * scale) for p in parts])
        loud = np.array([(np.abs(p) >= limit).mean() > 5e-3 for p in parts])
        assert loud.any() and (found[loud] > 0.5 * 5e-3).all()


def test_no_false_alarm_on_tones_noise_and_music(shared_data: Path) -> None:
    t, rng = np.arange(96000) / 48000, np.random.default_rng(0)
    for hz in (20, 50, 100, 250, 400, 440, 480, 500, 600, 750, 1000, 2000, 4000): assert clipped_share(np.round(0.8 * np.sin(2 * np.pi * hz * t) * 32767) / 32768) == 0, hz
    assert clipped_share(rng.normal(size=96000)) == 0 and clipped_share(np.zeros(100)) == 0 and clipped_share(np.zeros(0)) == 0
    for file in sorted((shared_data / "music").glob("*/*.ogg")):
        x, rate = heard(file, 10)
        assert all(clipped_share(x[i:i + 2 * rate]) == 0 for i in range(0, len(x) - rate, 2 * rate)), file.name


# --- the rest ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", (8000, 16000, 22050, 32000))
def test_the_source_of_a_resampled_sound_is_found(rate: int, shared_data: Path) -> None:
    x, own = heard(shared_data / "speech/apollo_radio.mp3", 4)
    wide = x + 0.02 * np.random.default_rng(0).normal(size=len(x))
    narrow = resample_poly(resample_poly(wide, rate, own), 48000, rate)
    found = of(narrow)
    assert 0.9 < found["bandwidth"] / (rate / 2) < 1.13 and found["cutoff_drop"] > 25


def test_a_full_spectrum_has_no_end() -> None:
    wide, own = 0.02 * np.random.default_rng(0).normal(size=4 * 48000), 48000
    assert of(wide, own)["bandwidth"] == own / 2 and of(wide, own)["cutoff_drop"] == 0


def test_levels_offset_and_channels_are_what_was_put_in() -> None:
    rng, n = np.random.default_rng(0), 8 * 48000
    noise = 0.001 * rng.normal(size=(n, 2))
    one, two = rng.normal(size=(2, n)) * 0.1
    loud = (np.arange(n) // 48000 % 2 == 1)[:, None]
    found = of(noise + loud * np.stack([one, one], 1))
    assert abs(found["noise_floor"] + 60) < 0.5 and abs(found["dynamic_range"] - 40) < 1 and found["digital_silence_share"] == 0
    assert found["stereo_width"] < 0.01 and found["channel_correlation"] > 0.99
    apart, opposed, mono = of(np.stack([one, two], 1)), of(np.stack([one, -one], 1)), of(one)
    assert abs(apart["stereo_width"] - 0.5) < 0.02 and abs(opposed["stereo_width"] - 1) < 1e-6 and abs(opposed["channel_correlation"] + 1) < 1e-6
    assert (mono["stereo_width"], mono["channel_correlation"]) == (0, 1)
    assert abs(of(one + 0.05)["dc_offset"] - 0.05) < 1e-3
    t = np.arange(n) / 48000
    assert abs(of(0.5 * np.sin(2 * np.pi * 300 * t))["crest_factor"] - 3.01) < 0.01
    half = of(one * (np.arange(n) < n / 2))
    assert abs(half["digital_silence_share"] - 0.5) < 0.02 and abs(half["noise_floor"] + 20) < 0.5         # the silence that is digital is no noise floor


def test_only_real_sound_counts() -> None:
    y = np.zeros(10 * 48000)
    y[3 * 48000:7 * 48000] = 0.1 * np.random.default_rng(0).normal(size=4 * 48000)
    assert of(y)["digital_silence_share"] > 0.5 and of(y, coverage=(3.0, 7.0))["digital_silence_share"] == 0


# --- speech --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", SPEECH[:2])
def test_noise_lowers_the_marks(shared_data: Path, name: str) -> None:
    session = Models(("speech_quality",)).load("speech_quality", read_dnsmos)
    x, rate = sound_file(shared_data / "speech" / name)
    y = np.asarray(Audio.from_array(x, rate).mono(RATE)[:SIZE])
    noise = y.std() * np.random.default_rng(0).normal(size=len(y))
    marks = np.array([speech_marks(session, y + k * noise) for k in (0, 0.1, 1)])
    assert (np.diff(marks[:, 1]) < -0.5).all() and (np.diff(marks[:, 2]) < -0.4).all() and marks[0, 2] > 2.6
    assert ((marks > 0.9) & (marks < 5)).all()


def test_short_speech_is_repeated_as_its_authors_do(shared_data: Path) -> None:
    session = Models(("speech_quality",)).load("speech_quality", read_dnsmos)
    x, rate = sound_file(shared_data / "speech" / SPEECH[0])
    y = np.asarray(Audio.from_array(x, rate).mono(RATE)[:3 * RATE])
    assert np.array_equal(speech_marks(session, y), speech_marks(session, np.concatenate([y] * 4)))
