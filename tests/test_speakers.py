"Who speaks when: error rate against labelled turns, and the number of voices."
from __future__ import annotations

import warnings
from pathlib import Path

import av
import numpy as np
import pytest

from trendflow.audio.speaker_diarization_extractor import speaker_diarization_extractor
from trendflow.audio.speech_activity_extractor import speech_activity_extractor
from trendflow.core import samples
from trendflow.core.audio import Audio
from trendflow.core.measure import measure

RATE = 16000


def sound(path: Path) -> np.ndarray:
    "[sample] float32 – mono at 16 kHz, as components read it."
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        to = av.AudioResampler("fltp", stream.layout, stream.rate)
        parts = [p.to_ndarray() for f in file.decode(stream) for p in to.resample(f)]
    return Audio.from_array(np.concatenate(parts, axis=1).T, stream.rate).mono(RATE)


def diarized(x: np.ndarray):
    "The artifact of a sound."
    audio = Audio.from_array(x, RATE)
    speech = measure(speech_activity_extractor, {"audio": audio, "segments": samples.segments("speech_activity", audio.duration_s, 1.0, 1.0)})
    return measure(speaker_diarization_extractor, {"audio": audio, "speech": speech})


def error_rate(turns: list[tuple[float, float, object]], made, end_s: float, collar: float, skip_overlap: bool) -> float:
    "Diarization error rate; collar in s on each side of a boundary."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyannote.core import Annotation, Segment, Timeline
        from pyannote.metrics.diarization import DiarizationErrorRate

        def told(rows):
            a = Annotation()
            for i, (start, end, who) in enumerate(rows): a[Segment(start, end), i] = who
            return a
        found = zip(made["turn_start_s"], made["turn_end_s"], made["speaker_id"].tolist())
        return DiarizationErrorRate(collar=2 * collar, skip_overlap=skip_overlap)(told(turns), told(found), uem=Timeline([Segment(0, end_s)]))


def labelled(path: Path, name: str) -> list[tuple[float, float, object]]:
    "Turns of an RTTM file."
    rows = [line.split() for line in path.read_text("utf-8").splitlines()]
    return [(float(r[3]), float(r[3]) + float(r[4]), r[7]) for r in rows if r[1] == name]


def test_a_telephone_call_of_two_women(shared_data: Path):
    made, truth = diarized(sound(shared_data / "diarization/sample.wav")), labelled(shared_data / "diarization/sample.rttm", "sample")
    assert made["measure"][0] == 2
    rates = [error_rate(truth, made, 30.0, collar, skip) for collar in (0, 0.25) for skip in (False, True)]
    assert np.all(np.array(rates) < [0.24, 0.19, 0.10, 0.09]), rates         # .207 .153 .069 .061 when it was written


def test_a_change_in_a_film(shared_data: Path):
    made = diarized(sound(shared_data / "videos/friday.mp4"))
    assert made["speaker_id"].tolist() == [0, 1]
    assert abs(made["turn_start_s"][1] - 3.0) < 0.15                         # friday.vtt


@pytest.mark.parametrize("name", ["jfk_inaugural_11s.flac", "librispeech_198-209-0000.ogg", "librivox/sense_0870.wav", "speechbrain/LJ050-0131.wav"])
def test_one_voice_is_one(shared_data: Path, name: str):
    assert diarized(sound(shared_data / "speech" / name))["measure"][0] == 1


def test_hardly_anyone_speaks(shared_data: Path):
    assert diarized(sound(shared_data / "diarization/trn02.wav")).empty


READERS = {"a": "librispeech_198-209-0000.ogg", "b": "librispeech_3436-172162-0000.ogg", "c": "librispeech_5703-47212-0000.ogg", "d": "speechbrain/LJ050-0131.wav"}


def conversation(folder: Path, who: str) -> tuple[np.ndarray, list[tuple[float, float, object]], float]:
    "Readers in turn, 2.5 s each at one level, with a pause of 0.3 s; who speaks when; the length in s."
    voices, at, turns, parts, n = {k: sound(folder / READERS[k])[RATE // 2:] for k in who}, 0.0, list[tuple[float, float, object]](), [], RATE * 5 // 2
    for i in range(3 * len(who)):
        k = who[i % len(who)]
        piece = voices[k][i // len(who) * n:(i // len(who) + 1) * n]
        if len(piece) < RATE: continue
        parts += [piece * (0.05 / np.sqrt((piece ** 2).mean())), np.zeros(RATE * 3 // 10, np.float32)]
        turns.append((at, at + len(piece) / RATE, k))
        at += len(piece) / RATE + 0.3
    return np.concatenate(parts), turns, at


@pytest.mark.slow
def test_built_conversations(shared_data: Path):
    "Of ten conversations of two or three readers at least nine have the right number of voices, and these have little confusion."
    right, rates = [], []
    for who in ("ab", "ac", "ad", "bc", "bd", "cd", "abc", "abd", "acd", "bcd"):
        x, turns, end = conversation(shared_data / "speech", who)
        made = diarized(x)
        right.append(int(made["measure"][0]) == len(who))
        if right[-1]: rates.append(error_rate(turns, made, end, 0.25, True))
    assert sum(right) >= 9 and max(rates) < 0.2, (right, rates)
