"""Jitter, shimmer and harmonicity of voices that were made with known ones, and on real speech."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter, resample_poly
from test_audio import sound_file

from trendflow.core.audio import Audio
from trendflow.kit.models import Models
from trendflow.kit.pitch import HOP, RATE, pitch_track
from trendflow.kit.voice import METRICS, harmonicity, period_marks, perturbation, steadiness, strengths, voice


def made_up(f0: float, jitter: float = 0.0, shimmer: float = 0.0, noise_db: float | None = None, seconds: float = 4.0, glide: float = 0.0, seed: int = 0):
    "Pulses through three formants: sound at 16 kHz, periods in s, strengths. `glide` in octaves per second."
    rng, rate, n = np.random.default_rng(seed), 10 * RATE, int(seconds * f0)
    period, height = (1 + jitter * rng.normal(size=n)) / (f0 * 2**(glide * np.arange(n) / f0)), 1 + shimmer * rng.normal(size=n)
    at = 0.02 + np.r_[0, np.cumsum(period)[:-1]]
    x = np.zeros(int((at[-1] + 0.1) * rate))
    x[np.round(at * rate).astype(int)] = height
    for hz, width in ((500, 80), (1500, 120), (2500, 160)):
        r = np.exp(-np.pi * width / rate)
        x = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hz / rate), r * r], x)
    y = resample_poly(x, 1, 10)[:int((at[-1] + 0.02) * RATE)]
    y = 0.3 * y / np.abs(y).max()
    if noise_db is not None: y = y + y.std() * 10**(-noise_db / 20) * rng.normal(size=len(y))
    return y.astype(np.float32), np.diff(np.round(at * rate) / rate), height


def read(y: np.ndarray, f0: float | np.ndarray) -> dict[str, float]:
    n = len(y) // HOP
    return dict(zip(METRICS, steadiness(voice(y, np.full(n, f0) if np.isscalar(f0) else f0[:n], np.ones(n, bool)), 0, 99)))


def local(x: np.ndarray) -> float: return np.abs(np.diff(x)).mean() / x.mean()


def of_three(x: np.ndarray) -> float: return np.abs(2 * x[1:-1] - x[:-2] - x[2:]).mean() / 3 / x.mean()


@pytest.mark.parametrize("f0", (90.0, 120.0, 210.0))
def test_known_jitter_and_shimmer_come_back(f0: float) -> None:
    for jitter, shimmer in ((0.01, 0.0), (0.02, 0.0), (0.0, 0.05), (0.0, 0.1)):
        y, periods, height = made_up(f0, jitter, shimmer)
        found = read(y, f0)
        if jitter:
            assert abs(found["jitter"] / local(periods) - 1) < 0.16 and abs(found["jitter_rap"] / of_three(periods) - 1) < 0.18
        else:
            assert found["jitter"] < 0.002 and abs(found["shimmer"] / local(height) - 1) < 0.16 and abs(found["shimmer_apq3"] / of_three(height) - 1) < 0.16


def test_a_perfect_voice_is_perfect() -> None:
    found = read(made_up(100.0)[0], 100.0)
    assert found["jitter"] < 1e-3 and found["shimmer"] < 5e-3 and found["harmonicity"] > 30


@pytest.mark.parametrize("noise_db", (3, 10, 20))
def test_known_noise_comes_back(noise_db: int) -> None:
    for f0 in (80.0, 160.0, 320.0): assert abs(read(made_up(f0, noise_db=noise_db)[0], f0)["harmonicity"] - noise_db) < 1


def test_a_glide_is_no_rap() -> None:
    y, periods, _ = made_up(120.0, glide=0.5, seconds=2.0)
    at = np.r_[0.02, 0.02 + np.cumsum(periods)]
    curve = np.interp(np.arange(len(y) // HOP) * HOP / RATE, at[:-1], 1 / periods)
    found = read(y, curve)
    assert found["jitter"] > 4 * found["jitter_rap"] and found["jitter_rap"] < 1e-3


def test_edges() -> None:
    none = voice(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, bool))
    assert len(none.times_s) == 0 and np.isnan(steadiness(none, 0, 1)).all()
    n = 100
    noise = np.random.default_rng(0).normal(size=n * HOP)
    assert np.isnan(steadiness(voice(noise, np.full(n, np.nan), np.ones(n, bool)), 0, 9)).all()
    assert np.isnan(steadiness(voice(made_up(100.0)[0], np.full(n, 100.0), np.zeros(n, bool)), 0, 9)).all()
    assert len(period_marks(np.zeros(50), np.full(50, 100.0))) == 0 and np.isnan(harmonicity(np.zeros(5000), np.array([5]), np.array([100.0]))[0])
    assert perturbation(np.zeros(0), 1.3).shape == (0, 2) and np.isnan(perturbation(np.array([1.0]), 1.3)).all()
    assert np.isnan(strengths(np.ones(10), np.array([0.0, 9.0]))).all()
    assert np.isfinite(voice(np.zeros(n * HOP), np.full(n, 100.0), np.ones(n, bool)).period[:, 0]).sum() == 0       # silence has no periods


def test_read_speech_is_that_of_healthy_voices(shared_data: Path) -> None:
    for name in ("librispeech_3436-172162-0000.ogg", "speechbrain/LJ050-0131.wav"):
        x, rate = sound_file(shared_data / "speech" / name)
        audio = Audio.from_array(x[:6 * rate], rate)
        track = pitch_track(audio, Models(("pitch",)))
        found = dict(zip(METRICS, steadiness(voice(audio.mono(RATE), track.f0, np.ones(len(track.f0), bool)), 0, 99)))
        assert 0.003 < found["jitter_rap"] < 0.012 and 0.015 < found["shimmer_apq3"] < 0.05 and 8 < found["harmonicity"] < 15, (name, found)
