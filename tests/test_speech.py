"""Speech: when someone speaks, against labels; what was said, against transcripts; subtitles as a transcript."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_audio import sound_file

from trendflow.audio.speech_activity_extractor import speech_activity_extractor
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.audio import Audio
from trendflow.core.measure import measure
from trendflow.kit.models import find
from trendflow.kit.speech import RATE, SECONDS, load_silero, speech_probability, stretches


def sound(path: Path, seconds: float = 60.0) -> Audio:
    "The first minute of any audio file."
    x, rate = sound_file(path)
    return Audio.from_array(x[:round(seconds * rate)], rate)


def activity(audio: Audio) -> Artifact:
    "When someone speaks."
    return measure(speech_activity_extractor, {"audio": audio, "segments": samples.segments("speech_activity", audio.duration_s, 1.0, 1.0)})


# --- when someone speaks ------------------------------------------------------------------------------------------------------------

def test_stretches_are_those_of_the_labels(shared_data: Path) -> None:
    "SpeechBrain's pair: two examples of 2 s in one file; what comes after them has no labels."
    told = json.loads((shared_data / "speech/speechbrain/VAD_train.json").read_text())
    want = np.array([float(t) + e["wav"]["start"] / 16000 for e in told.values() for t in e["speech"].split()]).reshape(-1, 2)
    made = activity(sound(shared_data / "speech/speechbrain/vad_train.wav"))
    found = np.stack([made.speech_start_s, made.speech_end_s], 1)
    found = found[found[:, 0] < 4]
    assert found.shape == want.shape and np.abs(found - want).max() <= 0.08


def test_conversation(shared_data: Path) -> None:
    "Three people for half a minute: few steps are missed, few are false."
    said = [line.split() for line in (shared_data / "diarization/sample.rttm").read_text().splitlines() if line.startswith("SPEAKER")]
    made, grid = activity(sound(shared_data / "diarization/sample.wav")), np.arange(3000) * 0.01 + 0.005
    truth = np.any([(grid >= float(w[3])) & (grid < float(w[3]) + float(w[4])) for w in said], axis=0)
    found = np.any([(grid >= a) & (grid < b) for a, b in zip(made.speech_start_s, made.speech_end_s)], axis=0)
    assert (truth & ~found).sum() <= 0.02 * truth.sum() and (found & ~truth).sum() <= 0.02 * truth.sum()


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_no_speech_in_music_tones_and_birds(shared_data: Path, seconds: int) -> None:
    files = [p for folder in ("music", "loudness") for p in sorted((shared_data / folder).rglob("*")) if p.suffix in (".ogg", ".wav", ".flac")]
    assert len(files) >= 15
    for file in files: assert activity(sound(file, seconds)).meta["empty_reason"] in ("no_speech", "audio_silent"), file.name


@pytest.mark.parametrize("level", [1e-2, 0.1, 0.5])
def test_no_speech_in_noise(level: float) -> None:
    noise = level * np.random.default_rng(1).standard_normal(10 * 16000)
    for x in (noise, np.cumsum(noise) / 50, noise * (1 + np.sin(np.arange(len(noise)) / 4000))):
        assert activity(Audio.from_array(np.clip(x, -1, 1), 16000)).meta["empty_reason"] == "no_speech"


def test_the_network_goes_on_where_a_block_ends() -> None:
    x, silero = np.asarray(samples.audio("recording").mono(RATE)), load_silero(find("speech_activity"))
    later = np.concatenate([np.zeros((2048 - 40) * 512, np.float32), x])          # the first words lie over the border of two blocks
    curve = speech_probability(silero, later)[2048 - 40:]
    alone = speech_probability(silero, np.concatenate([np.zeros(200 * 512, np.float32), x]))[200:]
    assert len(curve) == len(alone) and np.abs(curve - alone).max() < 0.05 and np.array_equal(stretches(curve), stretches(alone))


def test_speech_is_placed_on_the_axis_of_the_video() -> None:
    x = np.asarray(samples.audio("recording").stereo())
    late = Audio.from_array(np.concatenate([np.zeros((2 * 48000, 2), np.float32), x, np.zeros((48000, 2), np.float32)]), 48000, (2.0, 8.0))
    one, two = activity(samples.audio("recording")), activity(late)
    assert np.allclose(two.speech_start_s - 2, one.speech_start_s, atol=2 * SECONDS) and two.speech_end_s.max() <= 8
    assert np.isnan(two.speech_share[[0, 1, 8]]).all() and not np.isnan(two.speech_share[2:8]).any()
    assert np.allclose(two.measure, one.measure, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.2])
def test_a_sound_too_short_for_a_word_has_no_speech(seconds: float) -> None:
    x = np.asarray(samples.audio("recording").stereo())[48000:48000 + round(seconds * 48000)]
    assert activity(Audio.from_array(x, 48000)).meta["empty_reason"] == "no_speech"
