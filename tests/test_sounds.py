"""What sounds there are: events of YAMNet, voice against accompaniment, vectors of CLAP, on real sound and odd input."""
from __future__ import annotations

import pickle
import random
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import gcd
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly
from test_audio import sound_file
from trendflow.audio.clap_extractor import clap_extractor
from trendflow.audio.source_separation_extractor import source_separation_extractor
from trendflow.audio.yamnet_extractor import SOUNDS, yamnet_extractor
from trendflow.core import samples
from trendflow.core.audio import Audio
from trendflow.core.checks import all_checks
from trendflow.core.contract import contract
from trendflow.core.errors import ModelDigestMismatch, ModelUnavailable, UsageError
from trendflow.core.measure import measure
from trendflow.kit import spleeter, yamnet
from trendflow.kit.assets import asset
from trendflow.kit.clap import clap, sample_checkpoint
from trendflow.kit.models import Models, find, known, loaded, pin, single_threaded_torch
from trendflow.segment.windows import FAMILIES, lay
from trendflow.views.checks import all_checks as view_checks

RATE = 48000


def opened(path: Path, seconds: float = 12.0) -> np.ndarray:
    "[sample, channel] of the start of a file, at the rate of a run, not full scale."
    y, rate = sound_file(path)
    y = y[:int(seconds * rate), :2]
    return (0.7 * resample_poly(y, RATE // gcd(rate, RATE), rate // gcd(rate, RATE), axis=0) / max(np.abs(y).max(), 1e-9)).astype(np.float32)


def windows(audio: Audio, family: str, rule=None):
    edges = lay(*audio.coverage, rule or FAMILIES[family])
    return replace(samples.segments(family), start_s=edges[:, 0], end_s=edges[:, 1])


def events(y: np.ndarray):
    audio = Audio.from_array(y, RATE)
    return measure(yamnet_extractor, {"audio": audio, "segments": windows(audio, "events", contract(yamnet_extractor).windows)})


def separation(y: np.ndarray, seconds: float = 15.0):
    audio = Audio.from_array(y, RATE)
    return measure(source_separation_extractor, {"audio": audio, "segments": samples.segments("source_separation", audio.duration_s, seconds, seconds)})


# --- events ---------------------------------------------------------------------------------------------------------------------

def names() -> tuple[str, ...]: return loaded("audio_tagging", yamnet.read_yamnet).names


def test_groups_name_classes_that_there_are() -> None:
    told = asset("audio_events").data
    assert all(len(set(c)) == len(c) > 0 for c in told.values()) and {n for c in told.values() for n in c} <= set(names())
    alone = {n: [e for e, c in told.items() if n in c] for n in names()}
    assert {tuple(e) for e in alone.values() if len(e) > 1} == {("animal", "bird")}         # the one pair that shares classes
    assert sum(bool(e) for e in alone.values()) > 450


def test_scores_are_those_of_the_graph_before_it_rounds_them() -> None:
    import onnxruntime
    with zipfile.ZipFile(find("audio_tagging")["YamNet_w8a8.onnx.zip"]) as z:
        graph, data = (next(z.read(n) for n in z.namelist() if n.endswith(e)) for e in ("model.onnx", "model.data"))
    options = onnxruntime.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["model.data"], [data], [len(data)])
    plain = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    y = samples.audio("recording", 6.0).mono(yamnet.RATE)
    made = yamnet.heard(loaded("audio_tagging", yamnet.read_yamnet), y)
    for first, score in zip(yamnet.patch_frames(len(y)), made.score):
        picture = np.clip(np.rint(yamnet.log_mel(y, first, first + yamnet.PATCH) / 0.0479379) + 144, 0, 255).astype(np.uint8)
        rounded = plain.run(None, {"audio": picture[None, None]})[0][0].astype(float)
        logit = np.log(score / (1 - score.astype(float)))
        assert np.abs(logit / 0.75654 + 190 - rounded)[(rounded > 0) & (rounded < 255)].max() < 0.51


def test_a_long_sound_is_heard_in_blocks_without_a_seam() -> None:
    net, y = loaded("audio_tagging", yamnet.read_yamnet), np.tile(samples.audio("recording", 6.0).mono(yamnet.RATE), 6)
    whole = yamnet.heard(net, y)
    assert len(whole.times_s) > 70
    for k in (0, 63, 64, 70):
        start = k * yamnet.STEP * yamnet.HOP
        assert np.array_equal(yamnet.heard(net, y[start:start + yamnet.PATCH * yamnet.HOP + yamnet.FRAME]).score[0], whole.score[k])


@pytest.mark.parametrize("name, sound, least", [
    ("speech/librispeech_198-209-0000.ogg", "speech", 0.9), ("speech/jfk_inaugural_11s.flac", "speech", 0.7), ("speech/zh.flac", "speech", 0.5),
    ("music/librosa/Kevin_MacLeod_-_Vibe_Ace.ogg", "music", 0.9), ("music/librosa/442789__lena-orsa__happy-music-pistachio-ice-cream-ragtime.ogg", "music", 0.8),
    ("music/librosa/bird_robin.ogg", "bird", 0.8)])
def test_real_sounds_are_named(shared_data: Path, name: str, sound: str, least: float) -> None:
    made = events(opened(shared_data / name))
    mean = dict(zip(SOUNDS, made.score.mean(0)))
    likely = {s for s in SOUNDS if mean[s] > 0.4} - {"animal"}
    assert mean[sound] >= least and likely == {sound}
    assert all(names()[i] in asset("audio_events").data[sound] + asset("audio_events").data["animal"] for i in made.class_id[:, 0])
    assert (np.diff(made.class_score, axis=1) <= 0).all()


@pytest.mark.slow
def test_speech_and_music_are_told_apart_in_every_file(shared_data: Path) -> None:
    told = {"speech": [p for p in sorted((shared_data / "speech").rglob("*")) if p.suffix in (".wav", ".flac", ".ogg", ".mp3")],
            "music": [p for p in sorted((shared_data / "music").rglob("*")) if p.suffix in (".wav", ".flac", ".ogg") and "bird" not in p.name]}
    right = [mean["speech" if kind == "speech" else "music"] > mean["music" if kind == "speech" else "speech"]
             for kind, paths in told.items() for p in paths for mean in [dict(zip(SOUNDS, events(opened(p, 30)).score.mean(0)))]]
    assert len(right) > 25 and all(right)


# --- voice and accompaniment ----------------------------------------------------------------------------------------------------

def mixture(shared_data: Path, speech: str, music: str, db: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    "Speech and music of equal power, or music stronger by some dB; both at 44.1 kHz on two channels, as they lie in the sum."
    def at(path: Path) -> np.ndarray:
        y = resample_poly(opened(path), 147, 160, axis=0).astype(np.float32)
        return np.repeat(y, 2, axis=1) if y.shape[1] == 1 else y
    a, b = at(shared_data / "speech" / speech), at(shared_data / "music/librosa" / music)
    n = min(len(a), len(b))
    a, b = a[:n], b[:n] * np.sqrt(np.square(a[:n]).sum() / np.square(b[:n]).sum()) * 10**(db / 20)
    return a / np.abs(a + b).max(), b / np.abs(a + b).max()


def stems(x: np.ndarray) -> Iterator[np.ndarray]:
    "Voice and accompaniment as sound, by overlap and add."
    nets, made, at = loaded("separation", spleeter.read_spleeter), np.zeros((2, len(x) + 2 * spleeter.N_FFT, 2), np.float32), 0
    shape = np.hanning(spleeter.N_FFT + 1)[:-1].astype(np.float32)
    for block in spleeter.spectra(x, spleeter.RATE):
        share = spleeter.vocal_share(nets, np.abs(block))
        for k, mask in enumerate((share, 1 - share)):
            full = np.zeros((*block.shape[:2], spleeter.N_FFT // 2 + 1), np.complex64)
            full[..., :spleeter.BINS] = mask * block
            for i, frame in enumerate(np.fft.irfft(full) * shape): made[k, (at + i) * spleeter.HOP:(at + i) * spleeter.HOP + spleeter.N_FFT] += frame.T
        at += len(block)
    return (y[spleeter.N_FFT // 2:spleeter.N_FFT // 2 + len(x)] / 1.5 for y in made)


def si_sdr(found: np.ndarray, true: np.ndarray) -> float:
    "Scale-invariant ratio of signal to distortion, dB."
    found, true = found.ravel().astype(float), true.ravel().astype(float)
    target = (found @ true) / (true @ true) * true
    return float(10 * np.log10(np.square(target).sum() / np.square(found - target).sum()))


def gains(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    "Vocal share of the sum, and by how many dB each stem is better than the sum."
    x = a + b
    voice, rest = stems(x)
    power = spleeter.stem_power(loaded("separation", spleeter.read_spleeter), x, spleeter.RATE).sum(0)
    return float(power[0] / power.sum()), si_sdr(voice, a) - si_sdr(x, a), si_sdr(rest, b) - si_sdr(x, b)


MUSIC = ("147793__setuniman__sweet-waltz-0i-22mi.ogg", "442789__lena-orsa__happy-music-pistachio-ice-cream-ragtime.ogg",
         "Hungarian_Dance_number_5_-_Allegro_in_F_sharp_minor_(string_orchestra).ogg", "Kevin_MacLeod_-_Vibe_Ace.ogg", "admiralbob77_-_Choice_-_Drum-bass.ogg")
SPEECH = ("jfk_inaugural_11s.flac", "librispeech_198-209-0000.ogg", "librispeech_3436-172162-0000.ogg", "librispeech_5703-47212-0000.ogg",
          "librivox/sense_0870.wav", "speechbrain/LJ050-0131.wav")


def test_a_mixture_of_equal_power_is_taken_apart(shared_data: Path) -> None:
    share, voice, rest = gains(*mixture(shared_data, SPEECH[1], MUSIC[1]))
    assert abs(share - 0.5) < 0.1 and voice >= 7 and rest >= 7


@pytest.mark.slow
def test_mixtures_of_all_speech_and_music(shared_data: Path) -> None:
    made = np.array([gains(*mixture(shared_data, s, m)) for s in SPEECH for m in MUSIC])
    off = np.abs(made[:, 0] - 0.5)
    assert np.median(off) < 0.05 and (off < 0.1).mean() > 0.75 and np.median(made[:, 1]) >= 7 and np.median(made[:, 2]) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("db", [-9, -3, 3, 9])
def test_the_share_follows_the_mixture(shared_data: Path, db: float) -> None:
    made = [gains(*mixture(shared_data, s, m, db))[0] for s, m in zip(SPEECH[:3], (MUSIC[3], MUSIC[1], MUSIC[4]))]
    assert np.abs(np.array(made) - 1 / (1 + 10**(db / 10))).max() < 0.1


def test_speech_is_no_music_and_music_is_no_speech(shared_data: Path) -> None:
    for name in (SPEECH[1], "zh.flac"): assert (separation(opened(shared_data / "speech" / name, 6)).vocal_share > 0.95).all()
    for name in (MUSIC[1], MUSIC[4]): assert (separation(opened(shared_data / "music/librosa" / name, 6)).vocal_share < 0.05).all()


@pytest.mark.slow
def test_speech_is_no_music_in_every_file(shared_data: Path) -> None:
    speech = [separation(opened(shared_data / "speech" / p, 30)).vocal_share.min() for p in (*SPEECH, "zh.flac", "apollo_radio.mp3", "voices_around_fire.mp3")]
    music = [separation(opened(shared_data / "music/librosa" / p, 30)).vocal_share.max() for p in MUSIC]
    assert min(speech) > 0.85 and np.median(music) < 0.01 and max(music) < 0.3        # chimes have something of a voice


def test_two_equal_channels_are_one() -> None:
    y = samples.audio("recording", 3.0).mono(RATE)
    one, two = separation(y[:, None]), separation(np.stack([y, y], axis=1))
    assert np.allclose(one.vocal_share, two.vocal_share, atol=1e-5) and np.allclose(one.level, two.level, atol=1e-3)


def test_levels_are_those_of_the_sound() -> None:
    y = samples.audio("recording", 3.0).stereo()
    loud, soft = separation(y), separation(0.1 * y)
    assert np.allclose(10 * np.log10((10**(loud.level / 10)).sum()), 10 * np.log10(np.square(y).mean()), atol=0.5)
    assert abs(loud.level[0, 0] - soft.level[0, 0] - 20) < 0.5


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_the_spectrum_is_the_same_at_every_rate(rate: int) -> None:
    t = np.arange(rate) / rate
    found = np.abs(next(spleeter.spectra(np.sin(2 * np.pi * 1000 * t)[:, None].astype(np.float32), rate)))[20, 0]
    assert found.argmax() == round(1000 * spleeter.N_FFT / spleeter.RATE) and abs(found.max() / 980 - 1) < 0.05


def test_every_tensor_of_the_checkpoint_has_its_place() -> None:
    files = find("separation")
    w = spleeter.read_checkpoint(files["model.index"], files["model.data-00000-of-00001"])
    layers = {re.sub(r"_\d+$", "", k.split("/")[0]) + "/" + k.split("/")[1] for k in w}
    count = {kind: sum(re.sub(r"_\d+/", "/", k) == kind for k in w) for kind in layers}
    assert (count["conv2d/kernel"], count["conv2d_transpose/kernel"], count["batch_normalization/moving_variance"]) == (14, 12, 24) and len(w) == 2 * 26 + 4 * 24
    assert all(np.isfinite(t).all() for t in w.values()) and all((t > 0).all() for k, t in w.items() if k.endswith("variance"))


# --- CLAP, on a small checkpoint in the place of the official one -----------------------------------------------------------------

@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    "A cache of our own, for what follows."
    folder = tmp_path_factory.mktemp("clap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRENDFLOW_MODELS", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def small(place: Path) -> dict[str, str]: return {"model": sample_checkpoint(place).key}


CHECKS = dict([*all_checks(), *view_checks()])


@cache                                  # one declaration, so that the checks keep what they measured
def with_model(key: str): return replace(contract(clap_extractor), config={"model": key})


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str, small: dict[str, str]) -> None: CHECKS[name](with_model(small["model"]))


def heard(config: dict[str, str], y: np.ndarray | None = None):
    audio = samples.audio("recording", 6.0) if y is None else Audio.from_array(y, RATE)
    return measure(clap_extractor, {"audio": audio, "segments": samples.segments("clap", audio.duration_s, 2, 2)}, config)


def test_both_kinds_of_file_give_the_same_vectors(place: Path) -> None:
    made = [heard({"model": sample_checkpoint(place, 7, ending).key}).embedding for ending in (".safetensors", ".bin")]
    assert np.array_equal(*made) and np.abs(made[0][0] - made[0][1]).max() > 1e-3           # the small network tells sounds apart


def test_a_window_has_one_vector_whatever_lies_beside_it(small: dict[str, str]) -> None:
    y = samples.audio("recording", 14.0).stereo()
    whole = heard(small, y).embedding
    assert len(whole) == 7
    for i in (0, 3, 6): assert np.abs(heard(small, y[i * 2 * RATE:(i + 1) * 2 * RATE]).embedding[0] - whole[i]).max() < 1e-4


def test_windows_of_a_run_are_no_longer_than_the_network_hears(small: dict[str, str]) -> None:
    y = np.tile(samples.audio("recording", 6.0).stereo(), (4, 1))[:int(21.7 * RATE)]
    audio = Audio.from_array(y, RATE, (0.3, 21.7))
    made = measure(clap_extractor, {"audio": audio, "segments": windows(audio, "clap")}, small)
    assert len(made.embedding) == 3 and np.isfinite(made.embedding).all()


class Payload:
    def __reduce__(self) -> tuple: return print, ("executed",)


def pinned(place: Path, key: str, name: str, weights: Path, like: str) -> str:
    told = find(like)
    return pin(key, {n: told[n] for n in told if n.endswith(".json")} | {name: weights}, name=key, engine="torch").key


def test_a_file_that_would_execute_something_is_refused(place: Path, small: dict[str, str], capsys: pytest.CaptureFixture) -> None:
    single_threaded_torch().save({"audio_model": Payload()}, place / "evil.bin")
    with open(place / "evil2.bin", "wb") as f: pickle.dump(Payload(), f)
    for name in ("evil", "evil2"):
        with pytest.raises(UsageError, match="more than plain tensors"): heard({"model": pinned(place, name, "model.bin", place / f"{name}.bin", small["model"])})
    assert "executed" not in capsys.readouterr().out


def test_weights_of_another_shape_are_refused(place: Path, small: dict[str, str]) -> None:
    from safetensors.torch import load_file, save_file
    plain = load_file(find(small["model"])["model.safetensors"])
    more, less = {**plain, "audio_model.extra": plain["logit_scale_a"].clone()}, {k: v for k, v in plain.items() if k != "audio_projection.linear1.bias"}
    for name, tensors in (("more", more), ("less", less)):
        save_file(tensors, place / f"{name}.safetensors")
        key = pinned(place, name, "model.safetensors", place / f"{name}.safetensors", small["model"])
        with pytest.raises(UsageError, match="Pin files of one checkpoint"): heard({"model": key})


def test_absent_and_altered_weights(place: Path) -> None:
    with pytest.raises(ModelUnavailable, match="trendflow models pull clap_htsat_unfused"): heard({})
    key = sample_checkpoint(place, 20).key
    path = find(key)["model.safetensors"]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDigestMismatch, match=f"trendflow models pull {key}"): heard({"model": key})


def test_loading_leaves_random_state_alone(place: Path) -> None:
    torch, key = single_threaded_torch(), sample_checkpoint(place, 30).key
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    heard({"model": key})
    assert torch.equal(before[0], torch.get_rng_state()) and before[1:] == (random.getstate(), repr(np.random.get_state()))
    net = clap(Models((key,)), key).network
    assert not any(p.requires_grad for p in net.parameters()) and not net.training


def test_threads_share_one_network_and_get_the_same_numbers(place: Path) -> None:
    key, made = sample_checkpoint(place, 31).key, []
    work = [threading.Thread(target=lambda: made.append(heard({"model": key}))) for _ in range(4)]
    for t in work: t.start()
    for t in work: t.join()
    assert {m.meta["content_digest"] for m in made} == {made[0].meta["content_digest"]} and len(made) == 4


@pytest.mark.slow
def test_the_full_network_from_files_of_the_official_form(place: Path) -> None:
    "Random weights in the shape of the lock's file: as many bytes, but for what the container adds to each tensor."
    told, key = known("clap_htsat_unfused"), sample_checkpoint(place, 40, ".bin", {}).key
    from transformers import ClapConfig, ClapModel
    path = find(key)["model.bin"]
    with single_threaded_torch().device("meta"): tensors = ClapModel(ClapConfig()).state_dict()
    assert abs(path.stat().st_size - told.files["pytorch_model.bin"].size) < 200 * len(tensors)
    assert {n for n in told.files if n.endswith(".json")} == {n for n in find(key) if n.endswith(".json")}
    assert heard({"model": key}).embedding.shape == (3, 512)
