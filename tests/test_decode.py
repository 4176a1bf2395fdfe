"""Probing and exact sparse decoding against full sequential decoding."""

import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, picture, times_of, turn_clip

from trendflow.core.errors import SamplingError, UsageError, VideoSkipped
from trendflow.core.framesdir import open_frames_dir
from trendflow.core.sampling import Budget, Dense, Pairs, Sample
from trendflow.segment.decode import FramesMissing, costs, decode, plan_decode
from trendflow.segment.frames import Scaler, view_size, write_stores
from trendflow.segment.policies import rows
from trendflow.segment.probe import decode_all, probe
from trendflow.segment.segmenter import plan_video, write_frames

DATA = Path(os.environ.get("TRENDFLOW_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")

CLIPS = {
    "h264": ("clip.mp4", dict()),
    "h264_open_gop": ("clip.mp4", dict(open_gop=True)),
    "h264_seven_b_frames": ("clip.mp4", dict(bframes=7, open_gop=True, gop=40)),
    "h264_no_b_frames": ("clip.mkv", dict(bframes=0, gop=13)),
    "h264_mkv_sound": ("clip.mkv", dict(audio="libopus")),
    "h264_ts": ("clip.ts", dict(open_gop=True)),
    "h264_avi": ("clip.avi", dict()),
    "h264_without_times": ("clip.h264", dict()),
    "h264_10_bit": ("clip.mp4", dict(pixel_format="yuv420p10le")),
    "h264_odd_444": ("clip.mp4", dict(pixel_format="yuv444p", size=(121, 67))),
    "h264_interlaced": ("clip.ts", dict(options={"x264-params": "keyint=25:min-keyint=25:scenecut=0:threads=1:tff=1:open-gop=1"})),
    "h264_intra_refresh": ("clip.mp4", dict(options={"x264-params": "keyint=25:intra-refresh=1:threads=1"})),
    "hevc": ("clip.mp4", dict(codec="hevc")),
    "hevc_layers": ("clip.mp4", dict(codec="hevc", options={
        "x265-params": "keyint=24:min-keyint=24:temporal-layers=3:bframes=7:b-adapt=0:pools=none:frame-threads=1:log-level=none:open-gop=1"})),
    "hevc_open_gop": ("clip.mkv", dict(codec="hevc", open_gop=True)),
    "vp8": ("clip.webm", dict(codec="vp8")),
    "vp9": ("clip.webm", dict(codec="vp9")),
    "av1": ("clip.mp4", dict(codec="av1")),
    "mpeg2_ts": ("clip.ts", dict(codec="mpeg2", bframes=2)),
    "mpeg4_avi": ("clip.avi", dict(codec="mpeg4", bframes=2)),
    "mjpeg": ("clip.mov", dict(codec="mjpeg")),
    "wmv2": ("clip.wmv", dict(codec="wmv2")),
    "flv1": ("clip.flv", dict(codec="flv1")),
    "gif": ("clip.gif", dict(codec="gif", fps=20)),
    "variable_rate": ("clip.mp4", dict(vfr=True, open_gop=True)),
    "edit_list": ("clip.mp4", dict(trim_s=0.68, audio="aac")),
    "late_start": ("clip.mp4", dict(start_s=1.3, audio="aac")),
    "rotation_90": ("clip.mp4", dict(rotation=90)),
    "rotation_180": ("clip.mp4", dict(rotation=180)),
    "rotation_270": ("clip.mov", dict(rotation=270, open_gop=True)),
}


def sequential(path: Path, stream: int = 0) -> list[av.VideoFrame]:
    "Every frame in presentation order, decoded by PyAV from start to end and nothing else."
    with av.open(str(path)) as container: return list(container.decode(container.streams[stream]))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    "name → path, made once."
    made = {}

    def get(name: str) -> Path:
        if name not in made:
            file, options = CLIPS[name]
            made[name] = make_clip(tmp_path_factory.mktemp(name) / file, **options)
        return made[name]

    return get


def pixels_of(path, source, targets, folder) -> np.ndarray:
    "Rows of the `full` store: native size for small clips."
    write_stores(path, source, plan_decode(source, targets), {"full": targets}, folder)
    return np.load(folder / "full.npy")


@pytest.mark.parametrize("name", CLIPS)
def test_frames_equal_a_full_decode(clip, name, tmp_path):
    path, source = clip(name), probe(clip(name))
    turns = CLIPS[name][1].get("rotation", 0) // 90
    width, height = view_size("full", source.width, source.height)
    native = (width, height) == (source.width, source.height)
    exact = [np.rot90(f.to_ndarray(format="rgb24"), -turns) for f in sequential(path)] if native else None
    if not native: exact = [Scaler(width, height)(f) for f in sequential(path)]     # an odd side: the even size is a scaled one
    assert source.frame_count == len(exact)
    rng = np.random.default_rng(5)
    for n in (7, 40, len(exact)):
        targets = np.sort(rng.choice(len(exact), n, replace=False)).astype(np.int32)
        plan = plan_decode(source, targets)
        found = pixels_of(path, source, targets, tmp_path)
        for row, i in enumerate(targets): assert (found[row] == exact[i]).all(), (name, n, i)
        if n == 7 and name.startswith(("h264", "hevc")) and source.sparse and "no_b" not in name: assert plan.cost <= 65
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["h264_open_gop", "hevc", "vp9", "av1", "rotation_90", "edit_list"])
def test_no_target_needs_the_second_pass(clip, name):
    "The plan itself is exact: nothing is found only by starting again."
    path, source = clip(name), probe(clip(name))
    from trendflow.segment import decode as module
    for start in range(0, source.frame_count - 6, 9):
        targets = np.arange(start, start + 6, 2)
        packets = dict(zip(source.packet_of[targets].tolist(), targets.tolist()))
        got = [n for n, _ in module._decode_groups(path, source, plan_decode(source, targets), packets)]
        assert sorted(got) == sorted(packets)


@pytest.mark.parametrize("name", ["h264_seven_b_frames", "hevc_open_gop", "vp9", "av1", "variable_rate", "edit_list", "rotation_90"])
def test_what_a_component_gets_is_what_it_asked_for(clip, name, tmp_path):
    "Dense, pairs and a budget in one pass: every row and every partner is the frame of a full decode at that time."
    path, source = clip(name), probe(clip(name))
    wishes = {"dense": Sample(Dense(12.5), "full"), "pairs": Sample(Pairs(Budget(5, 9, 20)), "full"), "few": Sample(Budget(3, 7, 7), "full")}
    write_frames(path, plan_video(source, wishes), tmp_path)
    exact, folder = [np.rot90(f.to_ndarray(format="rgb24"), -source.rotation // 90) for f in sequential(path)], open_frames_dir(tmp_path)
    for who in wishes:
        seen = folder.frames(who)
        assert len(seen) >= 3 and (np.abs(source.times_s[seen.source_frame_indices] - seen.times_s) < 1e-9).all()
        for row, i in enumerate(seen.source_frame_indices): assert (seen[row] == exact[i]).all()
    pairs = folder.frames("pairs")
    assert (pairs.dt_s >= 0.098).all()
    for row, i in enumerate(pairs.partner_source_frame_indices): assert (pairs.pair(row)[1] == exact[i]).all()


def test_scaled_frames_equal_the_same_scaling_of_a_full_decode(clip, tmp_path):
    path, source = clip("h264_open_gop"), probe(clip("h264_open_gop"))
    targets = np.array([3, 24, 26, 71], np.int32)
    write_stores(path, source, plan_decode(source, targets), {"small": targets}, tmp_path)
    frames, scaler = sequential(path), Scaler(64, 36)
    for row, i in zip(np.load(tmp_path / "small.npy"), targets): assert (row == scaler(frames[i])).all()


def test_the_timeline_is_the_one_that_was_made(clip):
    vfr = probe(clip("variable_rate"))
    np.testing.assert_allclose(vfr.times_s, np.array(times_of(100, 25, True, 30000)) / 30000, atol=1e-6)
    assert vfr.variable_frame_rate and not probe(clip("h264")).variable_frame_rate
    late = probe(clip("late_start"))
    np.testing.assert_allclose(late.times_s, 1.3 + np.arange(100) / 25, atol=1e-6)
    assert late.start_offset_s == 1.3 and late.has_audio and late.time_zero_s == 0
    edited = probe(clip("edit_list"))
    np.testing.assert_allclose(edited.times_s, np.arange(83) / 25, atol=0.021)
    assert edited.frame_count == len(sequential(clip("edit_list")))


def test_an_edit_list_shows_the_right_pictures(clip):
    "Frame 0 of the trimmed clip is the picture that was made for 0.68 s."
    frames = [f.to_ndarray(format="rgb24").astype(int) for f in sequential(clip("edit_list"))[:3]]
    nearest = [int(np.argmin([np.abs(f - picture(i)).mean() for i in range(12, 24)])) + 12 for f in frames]
    assert nearest == [17, 18, 19]


@pytest.mark.parametrize("rotation,mirrored", [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
def test_orientation(tmp_path, rotation, mirrored):
    "A red mark in the stored corner at the top left is found where a player shows it."
    mark = np.full((64, 96, 3), 40, np.uint8)
    mark[:16, :16] = (250, 20, 20)
    path = turn_clip(make_clip(tmp_path / "clip.mp4", pictures=[mark] * 5), rotation, mirrored)
    source = probe(path)
    assert (source.rotation, source.mirrored) == (rotation, mirrored)
    assert (source.width, source.height) == ((96, 64) if rotation % 180 == 0 else (64, 96))
    shown = pixels_of(path, source, np.array([2], np.int32), tmp_path)[0]
    want = np.rot90(mark[:, ::-1] if mirrored else mark, -rotation // 90)
    assert np.abs(shown.astype(int) - want)[..., 0].mean() < 6


def test_small_stays_small(tmp_path):
    assert [view_size("analysis", w, h) for w, h in [(1920, 1080), (1080, 1920), (640, 360), (333, 187), (1, 1), (800, 332)]] == [
        (640, 360), (360, 640), (640, 360), (332, 186), (2, 2), (640, 266)]
    path = make_clip(tmp_path / "dot.mp4", pictures=[np.full((2, 2, 3), 90, np.uint8)] * 3)
    assert pixels_of(path, probe(path), np.arange(3, dtype=np.int32), tmp_path).shape == (3, 2, 2, 3)


def test_pixels_that_are_not_square():
    assert view_size("full", 720, 576, 64 / 45) == (720, 404)
    assert view_size("full", 1440, 1080, 4 / 3) == (1280, 720)


# ---------------------------------------------------------------------------------------------------------------- when things go wrong

def test_a_keyframe_that_is_none_is_noticed(clip, tmp_path):
    "A container that calls any packet a keyframe: the frames are still those of a full decode."
    path, source = clip("h264_no_b_frames"), probe(clip("h264_no_b_frames"))
    lying = replace(source, packets=replace(source.packets, keyframe=np.ones(len(source.packets), bool)))
    targets = np.array([5, 20, 33, 80], np.int32)
    assert (pixels_of(path, lying, targets, tmp_path) == pixels_of(path, source, targets, tmp_path)).all()


def test_a_file_that_changes_is_noticed(clip, tmp_path):
    source = probe(clip("variable_rate"))
    with pytest.raises(SamplingError, match="The file changed"): list(decode(clip("h264"), source, plan_decode(source, np.array([50]))))


def hurt(path: Path, to: Path, seed: int, holes: int = 3, size: int = 400) -> Path:
    "A copy with noise in some places after the header."
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(len(data) // 10, len(data) - size, holes): data[at:at + size] = rng.integers(0, 256, size, np.uint8).tobytes()
    to.write_bytes(data)
    return to


def read_all_of(path: Path, n: int, folder: Path, exact: bool = True) -> int:
    "As the Segmenter does: sample, decode, and sample again when frames are missing. Returns the number of frames."
    source = probe(path)
    for _ in range(2):
        targets = rows(Budget(n, n, n), source.times_s, source.readable_s).source
        try: found = pixels_of(path, source, targets, folder)
        except FramesMissing as e:
            source = e.source
            continue
        scaler = Scaler(found.shape[2], found.shape[1], source.rotation, source.mirrored)
        row_of = dict(zip(source.packet_of[targets].tolist(), found))
        if not exact or source.frame_count > 300: return len(targets)
        for number, frame in decode_all(path, source):
            if number in row_of: assert (row_of.pop(number) == scaler(frame)).all()
        assert not row_of
        return len(targets)
    raise AssertionError("a readable timeline is readable")


@pytest.mark.parametrize("name", ["h264_open_gop", "h264_mkv_sound", "h264_ts", "hevc", "vp9", "av1", "mpeg2_ts", "mpeg4_avi", "mjpeg"])
def test_damaged_files_end_in_frames_or_in_a_reason(clip, name, tmp_path):
    "Not every damage is noticed by a decoder, and what it paints over a hole depends on its buffers: only the end is tested."
    ends = set()
    for seed in range(4):
        broken = hurt(clip(name), tmp_path / f"{seed}{clip(name).suffix}", seed)
        try: ends.add(read_all_of(broken, 12, tmp_path, exact=False) > 0)
        except VideoSkipped as e: ends.add(e.code == "video_unreadable")
        assert not list(tmp_path.glob(".*"))
    assert ends == {True}


@pytest.mark.parametrize("name", ["h264", "hevc", "vp9"])
def test_one_corrupt_packet_costs_its_own_group_and_no_more(clip, name, tmp_path):
    "Frames of the other groups are exact. In its own group a frame is exact, or what a full decode of the damaged file gives, or missing."
    path, source = clip(name), probe(clip(name))
    with av.open(str(path)) as container: spans = [(p.pos, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]
    keys = [i for i, (_, _, key) in enumerate(spans) if key]
    start, stop = keys[1], keys[2]
    data = bytearray(path.read_bytes())
    at, size, _ = spans[start + 2]
    data[at + size // 4:at + size] = np.random.default_rng(1).integers(0, 256, size - size // 4, np.uint8).tobytes()
    broken = tmp_path / path.name
    broken.write_bytes(data)
    exact, record = [f.to_ndarray(format="rgb24") for f in sequential(path)], probe(broken)
    assert record.frame_count == source.frame_count
    damaged = {n: f.to_ndarray(format="rgb24") for n, f in decode_all(broken, record)}
    for i in range(0, 100, 3):
        packet = int(record.packet_of[i])
        try: found = pixels_of(broken, record, np.array([i], np.int32), tmp_path)[0]
        except FramesMissing: found = None
        if not start <= packet < stop: assert found is not None and (found == exact[i]).all(), i
        elif found is None: assert packet not in damaged
        else: assert (found == exact[i]).all() or (found == damaged[packet]).all(), i


@pytest.mark.parametrize("name", ["h264_mkv_sound", "h264_ts", "vp9", "flv1", "gif"])
def test_truncated_files_are_read_up_to_the_break(clip, name, tmp_path):
    data, counts = clip(name).read_bytes(), []
    for share in (0.0, 0.001, 0.2, 0.5, 0.9):
        cut = tmp_path / f"{share}{clip(name).suffix}"
        cut.write_bytes(data[:int(len(data) * share)])
        try: counts.append(read_all_of(cut, 8, tmp_path))
        except VideoSkipped: counts.append(0)
    assert counts[0] == 0 and counts[1] <= 1 and counts == sorted(counts) and counts[-1] > 1


def test_the_break_is_known_before_sampling(clip, tmp_path):
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip("h264_mkv_sound").read_bytes()[:clip("h264_mkv_sound").stat().st_size // 2])
    source = probe(cut)
    assert source.readable_s < source.duration_s - 1 and source.note.startswith("breaks off")
    assert source.times_s[-1] < source.readable_s


def test_a_clock_that_jumps_back_ends_the_timeline(clip, tmp_path):
    path = tmp_path / "twice.ts"
    path.write_bytes(clip("h264_ts").read_bytes() * 2)
    source = probe(path)
    assert source.frame_count == 100 and "jumps back" in source.note
    assert read_all_of(path, 9, tmp_path) == 9


def test_missing_frames_carry_the_readable_timeline(clip, tmp_path):
    with av.open(str(clip("h264"))) as container: spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(clip("h264").read_bytes())
    for at, size in spans[60:]: data[at:at + size] = bytes(size)
    path = tmp_path / "half.mp4"
    path.write_bytes(data)
    source = probe(path)
    with pytest.raises(FramesMissing, match="Sample again") as caught: list(decode(path, source, plan_decode(source, np.arange(100))))
    shorter = caught.value.source
    assert 50 < shorter.frame_count <= 60 and shorter.readable_s < 2.6 and source.readable_s == 4.0
    assert len(list(decode(path, shorter, plan_decode(shorter, np.arange(shorter.frame_count))))) == shorter.frame_count


def test_a_timeline_without_a_readable_frame_is_unreadable(clip):
    path, source = clip("h264"), probe(clip("h264"))
    elsewhere = replace(source, packet_of=source.packet_of + 1000, packets=replace(source.packets, **{
        k: np.concatenate([getattr(source.packets, k)] * 12) for k in ("pts", "keyframe", "nonref")}))
    with pytest.raises(VideoSkipped, match="no frame of its timeline"): list(decode(path, elsewhere, plan_decode(elsewhere, np.array([3]))))


def test_what_is_refused(clip, tmp_path):
    with pytest.raises(UsageError, match="a file is expected"): probe(tmp_path / "absent.mp4")
    with pytest.raises(UsageError): probe(tmp_path)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip('h264_ts')}\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "list.m3u8"):
        with pytest.raises(VideoSkipped): probe(tmp_path / name)
    for name in ("h264", "h264_without_times", "h264_ts"):
        with pytest.raises(VideoSkipped, match="at most 2 s") as caught: probe(clip(name), max_s=2.0)
        assert caught.value.code == "video_too_long"
        assert probe(clip(name), max_s=4.1).frame_count == 100


def test_cover_art_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        sound, art = out.add_stream("aac", rate=48000), out.add_stream("mjpeg", rate=1)
        art.width, art.height, art.pix_fmt = 32, 32, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        out.mux(art.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24").reformat(format="yuvj420p")))
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        quiet.sample_rate, quiet.pts = 48000, 0
        out.mux(sound.encode(quiet) + sound.encode(None))
    with pytest.raises(VideoSkipped, match="no video stream"): probe(path)


def test_nothing_is_left_behind_when_writing_fails(clip, tmp_path):
    source = probe(clip("h264"))
    targets = np.arange(0, 100, 10, dtype=np.int32)

    def stop() -> None: raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_stores(clip("h264"), source, plan_decode(source, targets), {"small": targets, "full": targets}, tmp_path, stop)
    assert os.listdir(tmp_path) == []


def test_costs_add_up(clip):
    source = probe(clip("h264"))
    needs = {"a": np.arange(0, 100, 5), "b": np.arange(0, 100, 10), "c": np.array([99]), "none": np.empty(0, np.int32)}
    table = costs(source, needs)
    assert table["b"]["marginal"] == 0 and table["none"] == {"frames": 0, "alone": 0, "marginal": 0}
    assert table["a"]["alone"] < 75 and plan_decode(source, np.arange(100)).cost == 100


# ------------------------------------------------------------------------------------------------------------------------- real files

@needs_data
@pytest.mark.parametrize("stream", [0, 3])
def test_golden_frames(stream, tmp_path):
    torch = pytest.importorskip("torch")
    path = DATA / "videos" / "nasa_13013_multitrack.mp4"
    golden = {int(p.name[-9:-3]): torch.load(p, weights_only=True).numpy() for p in DATA.glob(f"golden/torchcodec/*stream{stream}*.pt")}
    assert golden
    source, targets = probe(path, stream=stream), np.array(sorted(golden), np.int32)
    for row, i in zip(pixels_of(path, source, targets, tmp_path), targets): assert (row == golden[int(i)]).all()


@needs_data
def test_colours_follow_matrix_and_range(tmp_path):
    path = DATA / "videos" / "bt709_full_range_720p.mp4"
    rgb = pixels_of(path, probe(path), np.array([0], np.int32), tmp_path)[0].astype(float)
    frame = sequential(path)[0]
    y, u, v = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:p.height, :p.width].astype(float) for p in frame.planes)
    u, v = (c.repeat(2, 0).repeat(2, 1) - 128 for c in (u, v))
    r, b = y + 2 * (1 - 0.2126) * v, y + 2 * (1 - 0.0722) * u
    g = (y - 0.2126 * r - 0.0722 * b) / 0.7152
    assert np.abs(np.clip(np.stack([r, g, b], -1), 0, 255) - rgb).mean() < 1


@needs_data
@pytest.mark.parametrize("path", sorted(p for f in ("videos", "videos_odd") for p in (DATA / f).glob("*")), ids=lambda p: p.name)
def test_every_file_ends_in_frames_or_in_a_reason(path, tmp_path):
    try: assert read_all_of(path, 3, tmp_path, exact="noise" not in path.name and "corrupt" not in path.name) > 0
    except VideoSkipped as e: assert e.code == "video_unreadable" and len(str(e)) > 20
    assert not list(tmp_path.glob(".*"))
