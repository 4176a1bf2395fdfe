"""Sound: decoding and placing of every odd file, loudness and tempo against labelled truth, descriptors against librosa."""
from __future__ import annotations

import json
import multiprocessing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.io import loadmat, wavfile
from scipy.signal import correlate, resample_poly

from trendflow.core.audio import Audio, open_wav
from trendflow.core.sampling import Windows
from trendflow.core.signal import framed, n_frames, resample_blocks, stft_blocks
from trendflow.kit import dsp, r128, spectrum, tempo
from trendflow.segment.audio import RATE, decode_audio, downmix, open_audio, open_segments, write_segments
from trendflow.segment.wav import header
from trendflow.segment.windows import FAMILIES

HAS_NO_SOUND = {"asl_hungry.mkv", "bikes.mp4", "no_audio.mp4", "one_frame.mp4", "not_a_video.mp4", "zero_bytes.mp4", "truncated_no_moov.mp4", "broken.ogg", "animated.gif"}


def heard(path: Path, folder: Path, duration_s: float = 12.0, **kw):
    "Facts and samples of a file."
    info = decode_audio(path, folder, duration_s, **kw)
    audio = open_audio(folder)
    return info, None if audio is None else np.asarray(audio.stereo())


def lag_s(y: np.ndarray, reference: np.ndarray, seconds: float = 3.0) -> float:
    "How much later y is heard than the reference."
    n = int(seconds * RATE)
    return (int(np.argmax(correlate(y[:n], reference[:n], method="fft"))) - (len(reference[:n]) - 1)) / RATE


def sound_file(path: Path) -> tuple[np.ndarray, int]:
    "Samples [sample, channel] of any audio file, at its own rate."
    with av.open(str(path)) as container:
        parts = []
        for frame in container.decode(audio=0):
            y = frame.to_ndarray()
            if not frame.format.is_planar: y = y.reshape(-1, frame.layout.nb_channels).T
            if y.dtype.kind == "i": y = y / np.float32(2.0**(8 * y.dtype.itemsize - 1))
            parts.append(y.astype(np.float32))
        return np.concatenate(parts, axis=1).T, frame.sample_rate


def as_video(path: Path, parts: list[tuple[float, float]], layout: str = "stereo", rate: int = 48000, seconds: float = 2.0, channel: int | None = None) -> None:
    "A clip with a tone of 1 kHz at these times, in all channels or in one."
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width = video.height = 16
        video.pix_fmt = "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=rate, layout=layout)
        n = len(av.AudioLayout(layout).channels)
        for i in range(int(seconds * 10)): out.mux(video.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), i, np.uint8))))
        out.mux(video.encode())
        for start, stop in parts:
            for at in range(round(start * rate), round(stop * rate), rate // 100):
                y = np.sin(2 * np.pi * 1000 * np.arange(at, min(at + rate // 100, round(stop * rate))) / rate) * 16384
                block = np.zeros((n, len(y)), np.int16)
                block[slice(None) if channel is None else channel] = y
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T).reshape(1, -1), "s16", layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                out.mux(sound.encode(frame))
        out.mux(sound.encode())


# --- decoding ------------------------------------------------------------------------------------------------------------------

def test_every_file_ends_well(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(p for d in ("videos", "videos_odd") for p in (shared_data / d).iterdir())
    assert len(files) > 60
    present = 0
    for file in files:
        info = decode_audio(file, tmp_path, 10.0)
        told = json.loads((tmp_path / "segments.json").read_text("utf-8"))
        assert told["schema_version"] == "audio_segments_v1" and told["audio_present"] == info.audio_present
        assert json.loads((tmp_path / "metadata.json").read_text("utf-8"))["empty_reason"] == info.empty_reason
        assert not list(tmp_path.rglob("*.partial"))
        if not info.audio_present:
            assert (info.empty_reason, told["families"]) == ("audio_missing_or_extract_failed", {}) and not (tmp_path / "audio.wav").exists()
            continue
        present += 1
        assert file.name not in HAS_NO_SOUND and info.total_samples == 10 * RATE
        audio = open_audio(tmp_path)
        start, end = info.audio_coverage
        assert 0 <= start < end <= 10 and audio.stereo().shape == (10 * RATE, info.channels) and np.isfinite(audio.stereo()).all()
        assert not audio.stereo()[:round(start * RATE)].any() and not audio.stereo()[round(end * RATE):].any()
        for name, windows in open_segments(tmp_path).items():
            assert len(windows) and abs(windows.start_s[0] - start) < 1e-4 and abs(windows.end_s[-1] - end) < 1e-4, name
    assert present >= 30


@pytest.mark.parametrize("name, late_s, tolerance_s", [
    ("audio_longer_than_video.mp4", 0, 1e-3), ("av1_aac.mp4", 0, 1e-3), ("fps1.mp4", 0, 1e-3), ("vp9_opus.webm", 0, 5e-3), ("hevc_ac3.mkv", 0.008, 1e-3),
    ("mpeg2.ts", 0.011, 1e-3), ("wmv2.wmv", 0.085, 1e-3), ("speech_in_centre_5.1.mp4", 0, 1e-3), ("video_starts_1.3s_late.mp4", 0, 1e-3),
    ("vertical_540x960_speech.mp4", 0, 1e-3), ("mpeg4_mp3.avi", 0, 0.05)])                 # AVI cannot say how much priming its MP3 has
def test_sound_is_where_a_player_plays_it(shared_data: Path, tmp_path: Path, name: str, late_s: float, tolerance_s: float) -> None:
    _, reference = heard(shared_data / "videos" / "obama_speech.mp4", tmp_path / "a")
    _, y = heard(shared_data / "videos_odd" / name, tmp_path / "b")
    assert abs(lag_s(y.mean(1), reference.mean(1)) - late_s) <= tolerance_s


def test_broken_files_are_read_up_to_the_break(shared_data: Path, tmp_path: Path) -> None:
    info, _ = heard(shared_data / "videos_odd" / "truncated_faststart_52pct.mp4", tmp_path)
    assert info.broken_packets and 3 < info.audio_coverage[1] < 4
    info, _ = heard(shared_data / "videos" / "failing_audio.mp4", tmp_path)
    assert info.audio_duration_sec > 11


def test_best_of_two_tracks(shared_data: Path, tmp_path: Path) -> None:
    info, y = heard(shared_data / "videos_odd" / "two_audio_tracks.mkv", tmp_path)
    assert (info.stream["tracks"], info.stream["index"], info.stream["channels"], y.shape[1]) == (2, 2, 2, 2)      # both are default: most channels win


def test_mono_stays_one_channel(shared_data: Path, tmp_path: Path) -> None:
    assert heard(shared_data / "videos" / "obama_speech.mp4", tmp_path)[0].channels == 1


def test_audio_longer_and_shorter_than_the_video(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "videos_odd" / "audio_longer_than_video.mp4"
    long, y = heard(file, tmp_path / "a", 4.0)
    assert long.audio_coverage == [0.0, 4.0] and len(y) == 4 * RATE
    short, y = heard(file, tmp_path / "b", 20.0)
    assert 8.7 < short.audio_coverage[1] < 8.8 and len(y) == 20 * RATE and not y[9 * RATE:].any()


def test_centre_of_5_1_is_kept(shared_data: Path, tmp_path: Path) -> None:
    _, reference = heard(shared_data / "videos" / "obama_speech.mp4", tmp_path / "a")
    info, y = heard(shared_data / "videos_odd" / "speech_in_centre_5.1.mp4", tmp_path / "b")
    assert info.downmix["rule"] == "ITU-R BS.775" and y.shape[1] == 2
    assert np.allclose(y[:, 0], y[:, 1]) and abs(np.std(y[:RATE * 8, 0]) / np.std(reference[:RATE * 8, 0]) - 0.7071) < 0.01
    info, y = heard(shared_data / "videos" / "bbb_5.1.mp4", tmp_path / "c", 5.0)
    assert y.shape == (5 * RATE, 2) and np.abs(y).max() > 0.1


@pytest.mark.parametrize("channel, expected", [(0, (1, 0)), (1, (0, 1)), (2, (.7071, .7071)), (3, (0, 0)), (4, (.7071, 0)), (5, (0, .7071))])
def test_each_channel_of_5_1(tmp_path: Path, channel: int, expected: tuple[float, float]) -> None:
    as_video(tmp_path / "a.mkv", [(0, 1)], "5.1", channel=channel, seconds=1)
    _, y = heard(tmp_path / "a.mkv", tmp_path / "out", 1.0)
    assert np.allclose(np.abs(y[RATE // 4:RATE // 2]).max(axis=0), np.array(expected) / 2, atol=2e-3)


@pytest.mark.parametrize("names, shape, word", [(["FC"], (1, 1), "as it is"), (["AMBI0", "AMBI1", "AMBI2", "AMBI3"], (1, 4), "ambisonic"),
                                                (["NONE"] * 6, (2, 6), "taken as"), (["NONE"] * 11, (1, 11), "mean")])
def test_downmix_of_any_layout(names: list[str], shape: tuple[int, int], word: str) -> None:
    matrix, rule = downmix(names)
    assert matrix.shape == shape and word in rule


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_late_start_and_holes(tmp_path: Path, rate: int) -> None:
    as_video(tmp_path / "a.mkv", [(0.5, 0.8), (1.0, 1.5)], rate=rate)
    info, y = heard(tmp_path / "a.mkv", tmp_path / "out", 2.0)
    assert np.allclose(info.audio_coverage, [0.5, 1.5], atol=2e-3) and info.holes == 1 and abs(info.holes_sec - 0.2) < 3e-3
    loud = [np.abs(y[round(a * RATE):round(b * RATE)]).max() for a, b in ((0, .49), (.51, .79), (.81, .99), (1.01, 1.49), (1.51, 2))]
    assert np.allclose(loud, [0, .5, 0, .5, 0], atol=0.01)


def test_small_jitter_is_no_hole(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(0.0, 0.5), (0.53, 1.0)])
    assert heard(tmp_path / "a.mkv", tmp_path / "out", 1.0)[0].holes == 0


def test_sound_outside_the_video_is_no_sound(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(1.5, 2.0)])
    info, _ = heard(tmp_path / "a.mkv", tmp_path / "out", 1.0)
    assert not info.audio_present and info.dropped_sec > 0.4


def test_decoding_again_forgets_what_was_derived(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(0, 1)])
    as_video(tmp_path / "b.mkv", [(1, 2)])
    heard(tmp_path / "a.mkv", tmp_path / "out", 2.0)
    first = np.array(open_audio(tmp_path / "out").mono(16000))
    heard(tmp_path / "b.mkv", tmp_path / "out", 2.0)
    second = np.array(open_audio(tmp_path / "out").mono(16000))
    assert np.abs(first[:8000]).max() > 0.4 and not second[:8000].any()


def test_primary_windows_and_new_families(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(0.5, 1.5)])
    own = {**FAMILIES, "loudness": Windows("loudness", 3.0, 1.0)}
    info = decode_audio(tmp_path / "a.mkv", tmp_path / "out", 2.0, families=own, anchor="core_clip", anchor_times_s=[0.0, 1.0, 1.9])
    windows = open_segments(tmp_path / "out")
    assert np.allclose(windows["primary"].start_s, [0, 0, 0.9], atol=1e-4) and np.allclose(windows["primary"].end_s, [1, 2, 2], atol=1e-4)
    assert len(windows["loudness"]) == 1
    write_segments(tmp_path / "out", info)
    assert set(open_segments(tmp_path / "out")) == set(FAMILIES) - {"primary"}


# --- derived signals -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("to, up, down", [(16000, 1, 3), (22050, 147, 320), (44100, 147, 160), (8000, 1, 6), (96000, 2, 1)])
def test_blocks_equal_the_whole(to: int, up: int, down: int) -> None:
    x = np.random.default_rng(0).normal(size=48000 * 2 + 123).astype(np.float32)
    for block_s in (0.1, 0.77):
        assert np.array_equal(np.concatenate(list(resample_blocks(x, 48000, to, block_s))), resample_poly(x, up, down))


def test_spectrum_in_blocks_and_at_the_ends() -> None:
    x = np.random.default_rng(0).normal(size=22050).astype(np.float32)
    whole = np.concatenate(list(stft_blocks(x, 2048, 512, block=10**6)))
    assert np.array_equal(np.concatenate(list(stft_blocks(x, 2048, 512, block=7))), whole)
    for n in (0, 1, 511, 512, 4096):
        assert np.concatenate(list(stft_blocks(x[:n], 2048, 512))).shape == (n_frames(n, 512), 1025)


def _sum_of_spectrum(path: str) -> float:
    return float(Audio.open(path).stft(22050, 2048, 512).sum())


def test_processes_share_one_file(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "audio.wav", 48000, np.random.default_rng(0).normal(size=(48000 * 3, 2)).astype(np.float32))
    with multiprocessing.get_context("fork").Pool(3) as pool: sums = pool.map(_sum_of_spectrum, [str(tmp_path / "audio.wav")] * 6)
    assert len(set(sums)) == 1
    assert sorted(p.name for p in (tmp_path / "derived").glob("*.npy")) == ["mono_22050.npy", "stft_22050_2048_512_hann.npy"]
    assert not list(tmp_path.rglob("*.partial"))


def test_big_files_are_rf64(tmp_path: Path) -> None:
    path, n = tmp_path / "big.wav", 2**32 // 8 + 1000
    with open(path, "wb") as f:
        f.write(header(n, 48000, 2))
        f.truncate(128 + n * 8)                             # a hole: takes no room on the disk
    x, rate = open_wav(path)
    assert (x.shape, rate) == ((n, 2), 48000)


# --- loudness ------------------------------------------------------------------------------------------------------------------

def test_loudness_of_the_reference_signals(shared_data: Path) -> None:
    truth = json.loads((shared_data / "truth.json").read_text("utf-8"))["loudness"]
    assert len(truth) == 10
    for name, expected in truth.items():
        found = r128.loudness(*sound_file(shared_data / "loudness" / name))
        values = {"I": found.integrated, "LRA": found.loudness_range, "M": np.nanmax(found.momentary), "S": np.nanmax(found.short_term, initial=-99)}
        for key, value in expected.items():
            if key != "tol": assert abs(values[key] - value) <= expected["tol"], (name, key, values[key], value)


def test_loudness_survives_the_way_through_a_video(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(0, 2)], rate=44100)
    heard(tmp_path / "a.mkv", tmp_path / "out", 2.0)
    found = r128.loudness(open_audio(tmp_path / "out").stereo(), RATE)
    assert abs(found.integrated - (-0.691 + 0.69 + 10 * np.log10(0.25))) < 0.1 and abs(found.true_peak + 6.02) < 0.1


@pytest.mark.parametrize("part, phase, amplitude", [(4, 0, 0.5), (4, 45, 0.5), (6, 60, 0.5), (8, 67.5, 0.5), (4, 45, 1.41)])
def test_true_peak_of_tones(part: int, phase: float, amplitude: float) -> None:
    "EBU Tech 3341, signals 15 to 19: a tone at a part of the rate, within +0.2 and -0.4 dB."
    x = amplitude * np.sin(2 * np.pi / part * np.arange(48000) + np.deg2rad(phase))[:, None]
    x *= np.minimum(1, np.minimum(np.arange(48000), 48000 - np.arange(48000)) / 4800)[:, None]
    assert -0.4 <= 20 * np.log10(r128.true_peak(x.astype(np.float32)) / amplitude) <= 0.2


# --- tempo ---------------------------------------------------------------------------------------------------------------------

def pulses_of(path: Path, window_s: float = 12.0, stride_s: float = 6.0) -> list[tempo.Pulse]:
    x, rate = sound_file(path)
    strength = tempo.onset_strength(Audio.from_array(x, rate))
    n, step = round(window_s * tempo.FPS), round(stride_s * tempo.FPS)
    return [tempo.pulse(strength[s:s + n]) for s in range(0, max(1, len(strength) - n + 1), step)]


def test_tempo_of_the_annotated_clip(shared_data: Path) -> None:
    [found] = pulses_of(shared_data / "music" / "madmom" / "sample.wav")
    truth = json.loads((shared_data / "truth.json").read_text("utf-8"))["music"]["madmom/sample.wav"]["tempo"]
    assert any(abs(found.bpm / t - 1) < tempo.AGREE for t in truth)


@pytest.mark.parametrize("start, bpm, least", [("147793", 150, 0.9), ("442789", 144, 0.8), ("Kevin", 129.4, 0.7), ("admiralbob77", 136, 0.9)])
def test_music_has_a_sure_tempo(shared_data: Path, start: str, bpm: float, least: float) -> None:
    [file] = (shared_data / "music" / "librosa").glob(f"{start}*.ogg")
    found, confidence = tempo.overall(pulses_of(file))
    assert tempo.agrees(found, bpm) and confidence >= least


@pytest.mark.slow
def test_tempo_agrees_with_librosas(shared_data: Path) -> None:
    "The same beat as the peer finds, or its half or double, wherever we are sure."
    pytest.importorskip("librosa.feature")
    import librosa
    for file in sorted((shared_data / "music" / "librosa").glob("*.ogg")):
        bpm, confidence = tempo.overall(pulses_of(file))
        if confidence < 0.5: continue
        x, rate = sound_file(file)
        assert tempo.agrees(librosa.feature.tempo(y=np.asarray(Audio.from_array(x, rate).mono(22050)), sr=22050), bpm).all(), file.name


def test_speech_has_none(shared_data: Path) -> None:
    files = [p for p in sorted((shared_data / "speech").rglob("*")) if p.suffix in (".wav", ".flac", ".mp3", ".ogg")]
    confidence = np.array([p.confidence for f in files for p in pulses_of(f)])
    confidence = confidence[~np.isnan(confidence)]
    assert len(confidence) >= 20 and np.median(confidence) == 0 and confidence.mean() < 0.06 and confidence.max() < 0.35


def test_tempo_of_metronomes_and_noise() -> None:
    rng, t = np.random.default_rng(0), np.arange(12 * 22050) / 22050
    for bpm in (48, 60, 77, 90, 104, 120, 138, 155, 176, 200):
        clicks = np.exp(-60 * (t % (60 / bpm))) * np.sin(2 * np.pi * 800 * t) + 0.01 * rng.normal(size=len(t))
        found = tempo.pulse(tempo.onset_strength(Audio.from_array(clicks, 22050)))
        assert tempo.agrees(found.bpm, bpm) and found.confidence > 0.8, bpm
        if 70 <= bpm <= 155: assert abs(found.bpm / bpm - 1) < 0.02, bpm
    noise = Audio.from_array(rng.normal(size=60 * 22050) * 0.1, 22050)
    strength, n = tempo.onset_strength(noise), round(12 * tempo.FPS)
    assert np.mean([tempo.pulse(strength[s:s + n]).confidence for s in range(0, len(strength) - n, 200)]) < 0.05


@pytest.mark.parametrize("seconds", [4, 6, 8, 12])
def test_a_sound_that_starts_or_stops_is_no_beat(seconds: int) -> None:
    "One step in level is no rhythm, and half a tempo that does not fit into the window is not read off it."
    rng, confidence = np.random.default_rng(seconds), []
    for k in range(40):
        x = np.zeros(seconds * tempo.RATE)
        part = slice(0, int(rng.uniform(0.1, 0.9) * len(x)))
        x[part] = 0.1 * rng.normal(size=part.stop)
        found = tempo.pulse(tempo.onset_strength(Audio.from_array(x[::-1] if k % 2 else x, tempo.RATE)))
        assert not min(found.strength, found.half, found.double) <= -1
        confidence.append(found.confidence)
    assert np.nanmean(confidence) < 0.03 and np.nanmax(confidence) < 0.35


# --- components ----------------------------------------------------------------------------------------------------------------

def measured(name: str, folder: Path):
    "What a component measures on the sound of a folder."
    import importlib

    from trendflow.core.contract import contract
    from trendflow.core.measure import measure
    fn = getattr(importlib.import_module(f"trendflow.audio.{name}"), name)
    return measure(fn, {"audio": open_audio(folder), "segments": open_segments(folder)[contract(fn).windows.family]})


COMPONENTS = ("loudness_extractor", "tempo_extractor", "spectral_extractor")
WITH_LOUDNESS = {**FAMILIES, "loudness": Windows("loudness", 3.0, 1.0)}


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("file, duration_s, status", [
    ("videos/bbb_30s.webm", 30, "ok"), ("videos_odd/black_and_silence.mp4", 3, "audio_silent"), ("videos_odd/truncated_faststart_52pct.mp4", 8.75, "ok")])
def test_components_on_real_sound(shared_data: Path, tmp_path: Path, name: str, file: str, duration_s: float, status: str) -> None:
    decode_audio(shared_data / file, tmp_path, duration_s, families=WITH_LOUDNESS)
    made = measured(name, tmp_path)
    assert (made.meta["empty_reason"] or made.status) == status
    if status == "ok": assert np.isfinite(made["measure"]).mean() > 0.5


def test_no_number_where_there_is_no_sound(tmp_path: Path) -> None:
    as_video(tmp_path / "a.mkv", [(2.0, 4.0)], seconds=8)
    decode_audio(tmp_path / "a.mkv", tmp_path / "out", 8.0)
    from trendflow.audio.loudness_extractor import loudness_extractor
    from trendflow.audio.spectral_extractor import spectral_extractor
    from trendflow.core.measure import measure
    from trendflow.core.sources import Segments
    grid = Segments("grid", np.arange(0.0, 8.0, 2.0), np.arange(2.0, 9.0, 2.0), 2.0, 2.0)
    for fn, array in ((loudness_extractor, "loudness"), (spectral_extractor, "heard_share")):
        made = measure(fn, {"audio": open_audio(tmp_path / "out"), "segments": grid})
        assert np.isfinite(made[array]).tolist() == [False, True, False, False], array


# --- descriptors ---------------------------------------------------------------------------------------------------------------

def test_descriptors_equal_the_matlab_reference(shared_data: Path) -> None:
    folder = shared_data / "golden" / "librosa"
    x, rate = sound_file(folder / "test1_22050.wav")
    y, freq = x.mean(axis=1), dsp.frequencies(rate, 512)
    S = np.lib.stride_tricks.sliding_window_view(y, 512)[::256] * np.hamming(512)
    S = np.abs(np.fft.rfft(S.astype(np.float32)))
    S = S / (S[:, :1] + 2 * S[:, 1:].sum(axis=1, keepdims=True))
    for name, key, ours in (("met-centroid-001", "centroid", dsp.centroid(S, freq)), ("met-contrast-001", "contrast", dsp.contrast(S, freq, linear=True).T)):
        assert np.allclose(loadmat(folder / f"{name}.mat")[key], ours, rtol=1e-3, atol=1e-2), name
    for k in (1, 2, 3):
        m = loadmat(folder / f"met-rolloff-{k:03d}.mat")
        assert np.allclose(m["rolloff"], dsp.rolloff(S, freq, float(m["pct"][0, 0])), rtol=1e-3, atol=1e-2)
    m = loadmat(folder / "met-bandwidth-001.mat")
    power = m["S"] / m["S"].sum(axis=0)
    assert np.allclose(np.sqrt((power * (freq[:, None] - m["centroid"])**2).sum(0)), dsp.bandwidth(m["S"].T, freq, m["centroid"][0]), rtol=1e-4)
    for k in (1, 3):
        m = loadmat(folder / f"feature-hz_to_mel-{k:03d}.mat")
        assert np.allclose(m["result"], dsp.hz_to_mel(m["f"].astype(float)))
        m = loadmat(folder / f"feature-mel_to_hz-{k:03d}.mat")
        assert np.allclose(m["result"], dsp.mel_to_hz(m["f"].astype(float)))


@pytest.mark.slow          # librosa compiles for a minute in a fresh environment
def test_descriptors_equal_librosa(shared_data: Path) -> None:
    feature = pytest.importorskip("librosa.feature")
    import librosa
    x, rate = sound_file(shared_data / "golden" / "librosa" / "test1_22050.wav")
    y, freq = x.mean(axis=1), dsp.frequencies(rate, 2048)
    S, theirs = np.concatenate(list(stft_blocks(y, 2048, 512))), np.abs(librosa.stft(y))
    assert np.allclose(S.T, theirs, atol=1e-4)
    assert np.allclose(dsp.centroid(S, freq), feature.spectral_centroid(S=theirs, sr=rate)[0], atol=0.01)
    assert np.allclose(dsp.bandwidth(S, freq), feature.spectral_bandwidth(S=theirs, sr=rate)[0], atol=0.01)
    assert np.allclose(dsp.rolloff(S, freq), feature.spectral_rolloff(S=theirs, sr=rate)[0])
    assert np.allclose(dsp.flatness(S), feature.spectral_flatness(S=theirs)[0], atol=1e-5)
    assert np.allclose(dsp.contrast(S, freq), feature.spectral_contrast(S=theirs, sr=rate).T, atol=0.05)
    assert np.allclose(dsp.zero_crossing_rate(y, 2048, 512, 0, len(S)), feature.zero_crossing_rate(y)[0])
    frames = framed(y, 2048, 512, 0, len(S))
    assert np.allclose(np.hypot(spectrum._level(frames), frames.mean(axis=1)), feature.rms(y=y)[0], atol=1e-6)       # ours is around the mean
    assert np.allclose(dsp.mel_filters(rate, 2048, 64), librosa.filters.mel(sr=rate, n_fft=2048, n_mels=64), atol=1e-7)


@pytest.mark.slow
def test_onset_strength_is_like_librosas(shared_data: Path) -> None:
    pytest.importorskip("librosa.feature")
    import librosa
    [file] = (shared_data / "music" / "librosa").glob("admiralbob77*.ogg")
    x, rate = sound_file(file)
    audio = Audio.from_array(x, rate)
    y = np.asarray(audio.mono(22050))
    S = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=22050, n_mels=64), amin=1e-3, top_db=None)
    theirs = librosa.onset.onset_strength(S=S, sr=22050, center=False)
    ours = tempo.onset_strength(audio)
    assert np.corrcoef(ours[1:], theirs[1:])[0, 1] > 0.99
