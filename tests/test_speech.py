"""Speech: when someone speaks, against labels; what was said, against transcripts; subtitles as a transcript."""
from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import jiwer
import numpy as np
import pytest
from test_audio import sound_file

from trendflow.audio.asr_extractor import _listen, asr_extractor
from trendflow.audio.speech_activity_extractor import speech_activity_extractor
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.audio import Audio
from trendflow.core.errors import ArtifactError
from trendflow.core.measure import measure
from trendflow.core.sources import Cue, Texts
from trendflow.kit.models import find
from trendflow.kit.speech import RATE, SECONDS, chunks, load_silero, speech_probability, stretches
from trendflow.kit.tokens import decode
from trendflow.segment.texts import read_transcript
from trendflow.text.subtitle_transcript import subtitle_transcript


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
    for file in files: assert not len(activity(sound(file, seconds))["speech_start_s"]), file.name


@pytest.mark.parametrize("level", [1e-2, 0.1, 0.5])
def test_no_speech_in_noise(level: float) -> None:
    noise = level * np.random.default_rng(1).standard_normal(10 * 16000)
    for x in (noise, np.cumsum(noise) / 50, noise * (1 + np.sin(np.arange(len(noise)) / 4000))):
        made = activity(Audio.from_array(np.clip(x, -1, 1), 16000))
        assert not len(made["speech_start_s"]) and made["measure"][0] == 0


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
    assert not len(activity(Audio.from_array(x, 48000))["speech_start_s"])


# --- what was said ------------------------------------------------------------------------------------------------------------------

def recognised(audio: Audio, **config) -> Artifact:
    "What was said in the stretches of speech."
    return measure(asr_extractor, {"audio": audio, "speech": activity(audio)}, config)


def plain(text: str) -> str:
    "Words as a transcript spells them."
    text = text.lower().replace("mr.", "mister").replace("-", " ").replace("’", "'")
    return " ".join({"1": "one", "2": "two", "3": "three"}.get(w, w) for w in re.sub(r"[^a-z0-9' ]", "", text).split())


def read_speech(shared_data: Path) -> dict[str, str]:
    return {k: plain(v) for k, v in json.loads((shared_data / "truth.json").read_text())["speech"].items()}


def test_words_of_a_speech_and_their_times(shared_data: Path) -> None:
    made = recognised(sound(shared_data / "speech/jfk_inaugural_11s.flac"))
    said = decode(made)
    assert plain(" ".join(said.utterances)) == read_speech(shared_data)["jfk_inaugural_11s.flac"]
    k = [plain(w) for w in said.words].index("americans")
    assert made.word_start_s[k] <= 1.8 <= made.word_end_s[k]
    assert (made.word_end_s > made.word_start_s).all() and made.word_end_s.max() < 11


def test_the_sample_video() -> None:
    import av
    with av.open(str(samples.clip())) as video: parts = [f.to_ndarray() for f in video.decode(audio=0)]
    truth, made = samples.truth()["audio"], recognised(Audio.from_array(np.concatenate(parts, axis=1).T, 48000))
    said = decode(made)
    assert jiwer.wer(plain(truth["transcript"]), plain(" ".join(said.utterances))) <= 0.08
    for sentence in truth["speech"]:                            # the first word of each sentence begins where the sentence does
        first = [s for w, s in zip(said.words, made.word_start_s) if plain(w) == sentence["words"][1]]
        assert any(sentence["start_s"] <= s <= sentence["end_s"] for s in first), sentence["text"]


@pytest.mark.slow
def test_word_error_rate(shared_data: Path) -> None:
    "Read speech with transcripts. One reference says `tue`, where the reader says two or cube: scored with it and without."
    truth = read_speech(shared_data)
    said = {k: plain(" ".join(decode(recognised(sound(shared_data / "speech" / k))).utterances)) for k in truth}
    right = [k for k in truth if "tue" not in truth[k].split()]
    assert len(right) == len(truth) - 1
    assert jiwer.wer(list(truth.values()), [said[k] for k in truth]) <= 0.08
    assert jiwer.wer([truth[k] for k in right], [said[k] for k in right]) <= 0.06


@pytest.mark.slow
def test_a_model_of_many_languages(shared_data: Path) -> None:
    chinese = recognised(sound(shared_data / "speech/zh.flac"), model="whisper_base")
    english = recognised(sound(shared_data / "speech/jfk_inaugural_11s.flac"), model="whisper_base")
    assert str(chinese.language) == "zh" and chinese.language_probability > 0.9 and decode(chinese).utterances[0].endswith("自己的腳")
    assert str(english.language) == "en" and plain(" ".join(decode(english).utterances)) == read_speech(shared_data)["jfk_inaugural_11s.flac"]


@pytest.mark.slow
def test_music_that_is_taken_for_speech_is_not_recognised(shared_data: Path) -> None:
    "The whole file as one stretch: what Whisper invents is unsure enough to be dropped."
    invented = 0
    for file in sorted((shared_data / "music").rglob("*.ogg")):
        audio = sound(file, 15)
        all_of_it = activity(samples.audio("recording")).arrays | {"speech_start_s": np.zeros(1), "speech_end_s": np.array([audio.duration_s])}
        invented += measure(asr_extractor, {"audio": audio, "speech": Artifact(all_of_it, activity(samples.audio("recording")).meta)}).status == "ok"
    assert invented <= 1


def degraded(kind: str) -> Audio:
    x = np.asarray(samples.audio("recording").stereo())
    if kind == "clipped": return Audio.from_array(np.clip(8 * x, -1, 1), 48000)
    if kind == "8kHz": return Audio.from_array(np.asarray(samples.audio("recording").mono(8000)), 8000)
    if kind == "5.1": return Audio.from_array(np.stack([0 * x[:, 0], 0 * x[:, 0], 2 * x[:, 0], 0 * x[:, 0], 0 * x[:, 0], 0 * x[:, 0]], 1), 48000)
    return Audio.from_array(0.02 * x, 48000)


@pytest.mark.parametrize("kind", ["clipped", "8kHz", pytest.param("5.1", marks=pytest.mark.slow), pytest.param("quiet", marks=pytest.mark.slow)])
def test_bad_sound_is_still_understood(kind: str) -> None:
    said = plain(" ".join(decode(recognised(degraded(kind))).utterances))
    assert "this is a short trip from coffee to" in said, said


def test_chunks_cover_long_speech_once_in_bounded_memory(tmp_path: Path) -> None:
    "Twenty minutes of talk without a pause, mapped from a file."
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal(1200 * RATE).astype(np.float32))
    x, asked = np.load(tmp_path / "x.npy", mmap_mode="r"), []

    def network(given):
        asked.append(len(given["samples"]))
        return {"language": np.array([-1]), "language_probability": np.array([1.0])}

    tracemalloc.start()
    parts = chunks(x, np.array([0.0, 700.0]), np.array([690.0, 1200.0]))
    heard, _, _ = _listen(network, x, parts, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    flat = np.concatenate(parts)
    assert peak < 12e6 and len(heard) == len(asked) == len(parts) and max(asked) <= 30 * RATE
    assert (flat[1:, 0] >= flat[:-1, 1]).all() and (flat[:, 3] - flat[:, 2]).sum() == 1190 * RATE


def test_chunks_of_odd_stretches() -> None:
    x = np.zeros(10 * RATE, np.float32)
    assert chunks(x, np.array([9.9, 20.0]), np.array([12.0, 30.0]))[0].tolist() == [[round(9.6 * RATE), 10 * RATE, round(9.9 * RATE), 10 * RATE]]
    assert chunks(x[:0], np.array([0.0]), np.array([1.0])) == []


# --- tokens and subtitles -------------------------------------------------------------------------------------------------------------

def test_decode_refuses_ids_that_are_no_text() -> None:
    made = samples.artifact("transcript")
    for odd in (-1, 50256, 10**6):
        ids = made.token_id.copy()
        ids[3] = odd
        with pytest.raises(ArtifactError, match=str(odd)): decode(Artifact(made.arrays | {"token_id": ids}, made.meta))
    with pytest.raises(ArtifactError, match="outside"): decode(Artifact(made.arrays | {"word_token_row": made.word_token_row + 5}, made.meta))


def test_a_transcript_does_not_show_its_text() -> None:
    assert "coffee" not in repr(decode(samples.artifact("transcript"))) + repr(samples.artifact("transcript"))


def test_subtitles_of_a_film(shared_data: Path) -> None:
    cues = read_transcript(shared_data / "speech/friday.vtt")
    made = measure(subtitle_transcript, {"texts": Texts(transcript=cues, language="en-GB")})
    said = decode(made)
    assert said.utterances == [" ".join(c.text.split()) for c in cues] and said.language == "en"
    assert len(said.words) == sum(any(ch.isalnum() for ch in w) for c in cues for w in c.text.split())
    assert np.allclose(made.utterance_start_s, [c.start_s for c in cues]) and (np.diff(made.word_start_s) >= 0).all()


def test_cues_at_one_time_and_without_length() -> None:
    cues = (Cue(1.0, 3.0, "one two"), Cue(1.0, 3.0, "three"), Cue(3.0, 3.0, "four <|endoftext|>"))
    made = measure(subtitle_transcript, {"texts": Texts(transcript=cues)})
    assert decode(made).utterances == [c.text for c in cues] and str(made.language) == "" and made.word_end_s.max() == 3.0
