"""Tempo, beats and onsets by mir_eval against labels, with librosa's tracker in the same tests."""
from __future__ import annotations

from pathlib import Path

import mir_eval
import numpy as np
import pytest
from scipy.io import loadmat
from test_audio import sound_file

from trendflow.core import samples
from trendflow.core.audio import Audio
from trendflow.kit import tempo
from trendflow.kit.beats import beats, tempo_curve

SPEECH_FILES = ("librispeech_198-209-0000.ogg", "jfk_inaugural_11s.flac", "zh.flac")


def heard(path: Path) -> Audio: return Audio.from_array(*sound_file(path))


def music() -> Audio:
    "The music of the sample video."
    part = samples.truth()["audio"]["music"]
    return Audio.from_array(samples.audio("recording", 32.0).stereo()[round(part["start_s"] * 48000):round(part["end_s"] * 48000)], 48000)


def clicks(times: np.ndarray, seconds: float, seed: int = 0) -> Audio:
    "Bursts of noise, in faint noise."
    rng = np.random.default_rng(seed)
    x, hit = 1e-3 * rng.normal(size=int(seconds * tempo.RATE)), np.exp(-np.arange(2000) / 200)
    for at in times:
        i = round(at * tempo.RATE)
        x[i:i + 2000] += (0.3 * hit * rng.normal(size=2000))[:len(x) - i]
    return Audio.from_array(x, tempo.RATE)


def tracked(audio: Audio, bpm: float) -> np.ndarray:
    "Times of the beats at a given tempo."
    strength = tempo.onset_strength(audio)
    return beats(strength, np.full(len(strength), bpm)).times_s


# --- tempo ---------------------------------------------------------------------------------------------------------------------

def test_tempo_by_mir_eval(shared_data: Path) -> None:
    """P-score of the two best tempi: the one that is found, and its half or double, whichever is stronger. All references are met within 4 %."""
    annotated = np.loadtxt(shared_data / "music/madmom/sample.tempo")
    slow, fast, first = loadmat(shared_data / "golden/librosa/beat-tempo-000.mat")["t"].ravel()
    exact = samples.truth()["audio"]["music"]["tempo_bpm"]
    for audio, reference, weight in ((heard(shared_data / "music/madmom/sample.wav"), annotated[:2], annotated[2]),
                                     (heard(shared_data / "golden/librosa/test2_8000.wav"), np.array([slow, fast]), first),
                                     (heard(next((shared_data / "music/librosa").glob("*trumpet-06.ogg"))), np.array([90.0, 180.0]), 0.5),
                                     (music(), np.array([exact / 2, exact]), 0.0)):
        found = tempo.pulse(tempo.onset_strength(audio))
        second = found.bpm * (0.5 if np.nan_to_num(found.half, nan=-1) > np.nan_to_num(found.double, nan=-1) or found.bpm > 140 else 2)
        score, one, _ = mir_eval.tempo.detection(reference, weight, np.sort([found.bpm, second]), tol=tempo.AGREE)
        assert one and score >= 0.5, (reference, found)
    assert score == 1


def test_a_tempo_is_told_from_its_double_where_the_truth_is_exact() -> None:
    assert tempo.agrees(tempo.pulse(tempo.onset_strength(music())).bpm, 120, octaves=False)


# --- beats ---------------------------------------------------------------------------------------------------------------------

def test_beats_by_mir_eval(shared_data: Path) -> None:
    clip, reference = heard(shared_data / "music/madmom/sample.wav"), np.loadtxt(shared_data / "music/madmom/sample.beats")[:, 0]
    assert mir_eval.beat.f_measure(reference, tracked(clip, 87.5)) == 1
    alone = tracked(clip, tempo.pulse(tempo.onset_strength(clip)).bpm)
    assert mir_eval.beat.f_measure(reference, alone) >= 0.66                    # at double tempo
    long, matlab = heard(shared_data / "golden/librosa/test2_8000.wav"), loadmat(shared_data / "golden/librosa/beat-beat-000.mat")["beats"].ravel()
    assert mir_eval.beat.f_measure(matlab, beats(tempo.onset_strength(long)).times_s) > 0.95
    truth = np.array(samples.truth()["audio"]["music"]["beats_s"])
    whole = beats(tempo.onset_strength(samples.audio("recording", 32.0))).times_s
    assert mir_eval.beat.f_measure(truth, whole) == 1 and mir_eval.beat.cemgil(truth, whole)[0] > 0.9      # speech before and after it has no beats


@pytest.mark.slow
def test_beats_are_at_least_those_of_librosa(shared_data: Path) -> None:
    librosa = pytest.importorskip("librosa")
    clip, long = heard(shared_data / "music/madmom/sample.wav"), heard(shared_data / "golden/librosa/test2_8000.wav")
    truth = np.array(samples.truth()["audio"]["music"]["beats_s"]) - samples.truth()["audio"]["music"]["start_s"]
    for audio, reference in ((clip, np.loadtxt(shared_data / "music/madmom/sample.beats")[:, 0]), (music(), truth),
                             (long, loadmat(shared_data / "golden/librosa/beat-beat-000.mat")["beats"].ravel())):
        peer = librosa.beat.beat_track(y=np.asarray(audio.mono(22050)), sr=22050, units="time")[1]
        own = tracked(audio, tempo.pulse(tempo.onset_strength(audio)).bpm)
        assert mir_eval.beat.f_measure(reference, own) >= mir_eval.beat.f_measure(reference, peer)


@pytest.mark.parametrize("bpm", (70, 96, 123.4, 150))
def test_beats_of_metronomes(bpm: float) -> None:
    truth = np.arange(0.7, 20, 60 / bpm)
    found = beats(tempo.onset_strength(clicks(truth, 20.5)))
    assert mir_eval.beat.f_measure(truth, found.times_s) > 0.97 and (found.stretch == 0).all()
    assert np.abs(found.times_s[:, None] - truth).min(axis=1).max() < 0.015


def test_a_tempo_that_glides_is_followed() -> None:
    truth = np.cumsum(60 / np.linspace(100, 130, 60))
    found = beats(tempo.onset_strength(clicks(truth, truth[-1] + 1))).times_s
    assert mir_eval.beat.f_measure(truth, found) > 0.95


def test_two_pieces_are_two_stretches() -> None:
    truth = np.r_[np.arange(1, 16, 0.6), np.arange(30, 45, 0.45)]
    found = beats(tempo.onset_strength(clicks(truth, 46)))
    assert found.stretch.max() == 1 and mir_eval.beat.f_measure(truth, found.times_s) > 0.95


def test_no_pulse_no_beats(shared_data: Path) -> None:
    rng = np.random.default_rng(0)
    assert len(beats(np.zeros(0))) == 0 and len(beats(np.zeros(3))) == 0 and len(beats(np.zeros(1000))) == 0
    assert len(beats(tempo.onset_strength(Audio.from_array(0.1 * rng.normal(size=20 * 22050), 22050)))) == 0
    for name in SPEECH_FILES:
        strength = tempo.onset_strength(heard(shared_data / "speech" / name))
        assert np.isnan(tempo_curve(strength)).mean() > 0.9, name


# --- onsets --------------------------------------------------------------------------------------------------------------------

def test_onsets_by_mir_eval(shared_data: Path) -> None:
    strength = tempo.onset_strength(heard(shared_data / "music/madmom/sample.wav"))
    found = tempo.onset_times(strength, tempo.onset_frames(strength))
    reference = np.loadtxt(shared_data / "music/madmom/sample.onsets")
    f, precision, recall = mir_eval.onset.f_measure(reference, found)
    assert precision == 1 and recall > 0.85 and f > 0.92
    assert mir_eval.onset.f_measure(reference, found, window=0.025)[1] > 0.9


def test_onset_strength_is_that_of_the_reference(shared_data: Path) -> None:
    "Ellis's strength has another scale, other bands and 250 frames per second; brought to ours it rises at the same places."
    strength = tempo.onset_strength(heard(shared_data / "golden/librosa/test2_8000.wav"))
    theirs = loadmat(shared_data / "golden/librosa/beat-onset-000.mat")["onsetenv"].ravel()
    at = np.arange(len(theirs)) / 250
    smooth = np.convolve(theirs, np.hanning(15) / np.hanning(15).sum(), "same")
    best = max(np.corrcoef(np.interp(np.arange(len(strength))[5:-5] / tempo.FPS + late, at, smooth), strength[5:-5])[0, 1] for late in np.arange(-0.04, 0.06, 0.01))
    assert best > 0.7


def test_clicks_are_placed_to_milliseconds() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(60) * 0.35 + rng.uniform(0.2, 0.4, 60)
    strength = tempo.onset_strength(clicks(truth, 23))
    found = tempo.onset_times(strength, tempo.onset_frames(strength))
    assert len(found) == 60 and np.abs(found - truth).max() < 0.012 and abs(np.median(found - truth)) < 0.003
