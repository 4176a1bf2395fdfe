"""Pitch against exact tones and glides, against librosa's reference and pYIN as a peer, on real speech."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_audio import sound_file

from trendflow.core.audio import Audio
from trendflow.kit.models import Models
from trendflow.kit.pitch import CONTOUR, HOP, LOWEST, RATE, STEP_S, contour, pitch_blocks, pitch_track, read_pitch, step_times

MODELS = Models(("pitch",))
SPEECH = ("speech/librispeech_198-209-0000.ogg", "speech/librispeech_3436-172162-0000.ogg", "speech/speechbrain/LJ050-0131.wav", "speech/jfk_inaugural_11s.flac")


def of(y: np.ndarray, rate: int = RATE):
    "Track of samples."
    return pitch_track(Audio.from_array(y, rate), MODELS)


def harmonic(f0: np.ndarray, rate: int = RATE, n: int = 12) -> np.ndarray:
    "A buzz whose pitch is f0 [sample] Hz."
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return sum(np.sin(k * phase) / k * (k * f0 < rate / 2) for k in range(1, n)) * 0.15


def cents(found: np.ndarray, truth: np.ndarray) -> np.ndarray: return 1200 * np.log2(found / truth)


# --- exact truth ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hz", (70, 110, 220, 440, 880, 1760))
def test_held_tones(hz: int) -> None:
    for rate in (16000, 48000):
        track = of(harmonic(np.full(2 * rate, float(hz)), rate), rate)
        inside = slice(6, -6)
        assert np.isfinite(track.f0[inside]).mean() > 0.95
        assert np.nanmax(np.abs(cents(track.f0[inside], hz))) < 35 and abs(np.nanmedian(cents(track.f0[inside], hz))) < 7


@pytest.mark.parametrize(("low", "high"), ((80, 320), (400, 100), (300, 1200)))
def test_glides(low: int, high: int) -> None:
    curve = np.geomspace(low, high, 4 * RATE)
    track = of(harmonic(curve))
    error = cents(track.f0, np.interp(track.times_s, np.arange(len(curve)) / RATE, curve))[6:-6]
    assert np.isfinite(error).mean() > 0.95 and np.nanmedian(np.abs(error)) < 8 and np.nanpercentile(np.abs(error), 99) < 60
    assert abs(contour(track.f0[6:-6])[list(CONTOUR).index("slope")] - 3 * np.log2(high / low)) < 0.5       # 12 semitones an octave, in 4 s


def test_noise_hum_and_silence_have_no_pitch() -> None:
    rng, t = np.random.default_rng(0), np.arange(4 * RATE) / RATE
    hum = 0.02 * np.sin(2 * np.pi * 50 * t) + 0.001 * rng.standard_normal(len(t))
    for y in (0.1 * rng.standard_normal(len(t)), np.zeros(len(t)), hum): assert np.isfinite(of(y).f0).mean() < 0.02


def test_blocks_give_what_the_whole_gives() -> None:
    y = harmonic(np.geomspace(90, 500, 5 * RATE)).astype(np.float32)
    run = MODELS.load("pitch", read_pitch)
    for n in (0, 1, HOP - 1, HOP, HOP + 1, len(y)):
        whole = np.concatenate([np.zeros((0, 2), np.float32), *pitch_blocks(y[:n], run)])
        assert len(whole) == n // HOP
        for block in (7, 64, 311): np.testing.assert_allclose(np.concatenate([whole[:0], *pitch_blocks(y[:n], run, block)]), whole, atol=0.02)


def test_the_track_is_computed_once() -> None:
    audio, calls = Audio.from_array(harmonic(np.full(RATE, 200.0)), RATE), []
    class Counting(Models):
        def load(self, *a):
            calls.append(a)
            return super().load(*a)
    first, second = pitch_track(audio, Counting(("pitch",))), pitch_track(audio, Counting(("pitch",)))
    assert len(calls) == 1 and np.array_equal(first.f0, second.f0, equal_nan=True)


def test_steps_of_windows_are_those_of_the_track() -> None:
    audio = Audio.from_array(harmonic(np.geomspace(90, 500, 5 * RATE)), RATE)
    track, edges = pitch_track(audio, MODELS), np.array([0.0, 0.8, 1.7, 3.504, 5.0])
    parts = [track.between(a, b) for a, b in zip(edges, edges[1:])]
    assert np.array_equal(np.concatenate(parts), track.f0, equal_nan=True)
    for a, part in zip(edges, parts):
        at = np.searchsorted(track.times_s, step_times(np.array([a]), len(part))[0] - 1e-6)
        assert np.array_equal(track.f0[at], part, equal_nan=True)


def test_contour_of_made_up_curves() -> None:
    held, gone = contour(np.full(50, 200.0)), contour(np.r_[np.full(5, 200.0), np.full(50, np.nan)])
    assert held[:6].round(9).tolist() == [200, 0, 0, 0, 0, 1] and np.isnan(gone[:6]).all() and gone[6] == 5 / 55
    two = np.r_[200 * 2**(np.arange(40) / 12 * STEP_S * 10), [np.nan] * 20, 300 * 2**(np.arange(40) / 12 * STEP_S * 10)]    # two phrases that rise by 10 semitones per second
    assert np.allclose(contour(two)[[3, 4]], 10) and contour(two)[5] == 0


# --- labelled and peers ------------------------------------------------------------------------------------------------------------

def test_librosa_reference_glide(shared_data: Path) -> None:
    """The reference values belong to a chirp from 220 to 640 Hz in one second. Here it has overtones: to a pure sine the network gives no confidence."""
    rate, hop = 22050, 512
    curve = np.geomspace(220, 640, rate)
    track = of(np.pad(harmonic(curve, rate), rate), rate)
    for name, first in (("yin", 1.0), ("pyin", 0.0)):
        reference = np.load(shared_data / f"golden/librosa/pitch-{name}.npy")
        at = (np.arange(len(reference)) * hop + 512 + rate / np.abs(reference) / 2) / rate + first      # half of YIN's window of 1024 and of its lag
        use = (reference > 0) & (at > 1.1) & (at < 1.9)
        found = np.interp(at[use], track.times_s, track.f0)
        assert use.sum() > 30 and np.abs(cents(found, reference[use])).max() < 30 and np.median(np.abs(cents(found, reference[use]))) < 10


def test_speech_lies_where_voices_lie(shared_data: Path) -> None:
    y, rate = sound_file(shared_data / SPEECH[1])
    track = of(y[:8 * rate], rate)
    low, middle, high = np.nanpercentile(track.f0, [1, 50, 99])
    assert 80 < low and 110 < middle < 170 and high < 300 and 0.4 < np.isfinite(track.f0).mean() < 0.8


@pytest.mark.slow
def test_octaves_on_speech_against_pyin(shared_data: Path) -> None:
    librosa = pytest.importorskip("librosa")
    apart, together, fine = 0, 0, []
    for name in SPEECH:
        y, rate = sound_file(shared_data / name)
        audio = Audio.from_array(y[:10 * rate], rate)
        track = pitch_track(audio, MODELS)
        peer, voiced, _ = librosa.pyin(np.asarray(audio.mono(RATE)), fmin=LOWEST, fmax=600, sr=RATE, frame_length=1024, hop_length=HOP)
        n = min(len(peer), len(track.f0))
        both = voiced[:n] & np.isfinite(track.f0[:n])
        error = np.abs(cents(track.f0[:n][both], peer[:n][both]))
        together, apart = together + both.sum(), apart + (error > 600).sum()
        fine.append(np.median(error))
    assert together > 800 and apart / together < 0.02 and max(fine) < 20, (together, apart, fine)
