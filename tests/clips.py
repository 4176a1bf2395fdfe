"""Generated clips for the decoding tests: small, deterministic, made with PyAV in a fraction of a second each."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

ENCODERS = {
    "h264": "libx264", "hevc": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1",
    "mpeg2": "mpeg2video", "mpeg4": "mpeg4", "mjpeg": "mjpeg", "wmv2": "wmv2", "flv1": "flv", "gif": "gif",
}


def picture(
    i: int,                             # number of the frame
    size: tuple[int, int] = (160, 96),  # width, height
    n: int = 100,                       # length of the clip
) -> np.ndarray:                        # [y, x, rgb] uint8
    "A textured picture that moves, with the frame number in the top rows as bits."
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    noise = np.random.default_rng(7).integers(0, 60, (h + 2 * n, w + 2 * n), dtype=np.int16)
    r = (x * 2 + 3 * i) % 256
    g = (y * 2 - 2 * i) % 256
    b = (128 + 100 * np.sin((x + y + 4 * i) / 17)).astype(np.int16)
    rgb = np.stack([r, g, b], -1).astype(np.int16) + noise[i % (2 * n):, (2 * i) % (2 * n):][:h, :w, None] - 30
    side = min(h, w) // 3
    cy, cx = (3 * i) % max(h - side, 1), (5 * i) % max(w - side, 1)
    rgb[cy:cy + side, cx:cx + side] = 255 - rgb[cy:cy + side, cx:cx + side]
    for bit in range(8):
        x0 = bit * w // 8
        rgb[: max(h // 12, 1), x0:x0 + w // 8] = 235 if i >> bit & 1 else 20
    return np.clip(rgb, 0, 255).astype(np.uint8)


def times_of(
    n: int,             # frames
    fps: float,         # frames a second, the mean for a variable rate
    vfr: bool,          # a rate that changes from frame to frame
    ticks: int,         # ticks of the clock a second
) -> list[int]:         # presentation time of each frame in ticks
    "When each frame is shown."
    if not vfr: return [round(i * ticks / fps) for i in range(n)]
    steps = np.random.default_rng(3).choice([0.5, 1.0, 1.0, 1.5, 4.0], n) / fps
    return [int(t) for t in np.round(np.concatenate([[0], np.cumsum(steps)[:-1]]) * ticks)]


def codec_options(
    codec: str,         # key of ENCODERS
    bframes: int,       # B-frames between references, where the codec has them
    gop: int,           # frames between keyframes
    open_gop: bool,     # leading pictures may use the group before
) -> dict[str, str]:    # options of the encoder
    "The encoder's options for a structure of groups."
    if codec == "h264":
        return {"preset": "veryfast", "bf": str(bframes), "x264-params":
                f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop={int(open_gop)}:b-pyramid=normal:b-adapt=0:threads=1:crf=20"}
    if codec == "hevc":
        return {"preset": "superfast", "x265-params":
                f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop={int(open_gop)}:bframes={bframes}:b-adapt=0:"
                "pools=none:frame-threads=1:log-level=none:crf=22"}
    if codec == "vp9":
        return {"deadline": "good", "cpu-used": "5", "g": str(gop), "keyint_min": str(gop), "auto-alt-ref": "1", "lag-in-frames": "16",
                "crf": "30", "b": "0"}
    if codec == "vp8":
        return {"deadline": "good", "cpu-used": "5", "g": str(gop), "auto-alt-ref": "1", "lag-in-frames": "16", "b": "600k"}
    if codec == "av1": return {"preset": "10", "g": str(gop), "crf": "35", "svtav1-params": "lp=1"}
    if codec in ("mpeg2", "mpeg4"): return {"g": str(gop), "bf": str(bframes), "b": "1500k"}
    return {"g": str(gop)} if codec != "gif" else {}


def make_clip(
    path: str | Path,                   # where; the ending decides the container
    codec: str = "h264",                # key of ENCODERS
    n: int = 100,                       # frames
    size: tuple[int, int] = (160, 96),  # width, height as stored
    *,
    fps: float = 25.0,                  # frames a second
    bframes: int = 3,                   # B-frames between references, where the codec has them
    gop: int = 25,                      # frames between keyframes
    open_gop: bool = False,             # leading pictures may use the group before
    rotation: int = 0,                  # degrees clockwise that a player turns the picture: 0, 90, 180, 270 (mp4, mov)
    vfr: bool = False,                  # a rate that changes from frame to frame
    start_s: float = 0.0,               # when the first frame is shown; audio starts at 0
    trim_s: float = 0.0,                # seconds cut off at the start by an edit list (mp4, mov)
    audio: str | None = None,           # "aac", "libopus", "pcm_s16le" …: a 440 Hz tone over the clip
    audio_start_s: float = 0.0,         # when the tone starts
    audio_s: float | None = None,       # length of the tone, None = as long as the video
    pixel_format: str = "yuv420p",      # as stored
    pictures: list[np.ndarray] | None = None,  # own pictures [y, x, rgb] uint8 instead of the moving texture
    options: dict[str, str] | None = None,     # options of the encoder, added to the usual ones
) -> Path:                              # the same path
    "A small clip whose every property is known."
    path = Path(path)
    n = len(pictures) if pictures is not None else n
    if pictures is not None: size = (pictures[0].shape[1], pictures[0].shape[0])
    ticks = 100 if codec == "gif" else 30000
    rate = Fraction(fps).limit_denominator(1001)
    muxer = {"avoid_negative_ts": "disabled", "use_editlist": "1"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=muxer) as out:
        video = out.add_stream(ENCODERS[codec], rate=rate)
        video.width, video.height = size
        video.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, pixel_format)
        video.codec_context.time_base = Fraction(1, ticks) if codec not in ("mpeg2", "mpeg4", "flv1", "wmv2") else 1 / rate
        video.codec_context.thread_count = 1
        video.options = {k: v for k, v in codec_options(codec, bframes, gop, open_gop).items() if v} | (options or {})
        if codec == "hevc" and path.suffix in (".mp4", ".mov"): video.codec_context.codec_tag = "hvc1"
        sound = _tone(out, audio) if audio else None
        clock = video.codec_context.time_base
        shown = [round(t / ticks / clock) for t in times_of(n, fps, vfr, ticks)]
        shift = round((start_s - trim_s) / clock)
        packets = []
        for i, pts in enumerate(shown):
            rgb = pictures[i] if pictures is not None else picture(i, size)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = pts, clock
            packets += video.encode(frame)
        packets += video.encode(None)
        if sound is not None:
            seconds = shown[-1] * clock + 1 / rate - Fraction(trim_s) + Fraction(start_s) if audio_s is None else audio_s
            packets += _sound(sound, float(seconds) - (audio_start_s if audio_s is None else 0), audio_start_s)
        for packet in packets:
            if packet.stream is video and shift:
                packet.pts += round(shift * clock / packet.time_base)
                packet.dts += round(shift * clock / packet.time_base)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base): out.mux(packet)
    if rotation: turn_clip(path, rotation)
    return path


def _tone(out: av.container.OutputContainer, codec: str) -> av.AudioStream:
    "An audio stream of 48 kHz stereo."
    stream = out.add_stream(codec, rate=48000, layout="stereo")
    return stream


def _sound(stream: av.AudioStream, seconds: float, start_s: float) -> list[av.Packet]:
    "The packets of a tone."
    fmt = stream.codec_context.format.name
    fifo = av.AudioFifo()
    t = np.arange(max(int(seconds * 48000), 0)) / 48000
    wave = (0.25 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    resampler = av.AudioResampler(format=fmt, layout="stereo", rate=48000)
    for piece in resampler.resample(frame): fifo.write(piece)
    packets, size = [], stream.codec_context.frame_size or 1024
    while True:
        piece = fifo.read(size, partial=True)
        if piece is None: break
        packets += stream.encode(piece)
    packets += stream.encode(None)
    shift = round(start_s / packets[0].time_base) if packets else 0
    for packet in packets: packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
    return packets


def turn_clip(
    path: str | Path,   # an mp4 or mov with one video track that comes first
    rotation: int,      # degrees clockwise that a player turns the picture
    mirrored: bool = False,  # flipped left to right before it is turned
) -> Path:              # the same path
    "The clip with another display matrix, written into its track header."
    path = Path(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd")
    at += 4 + (40 if data[at + 4] == 0 else 52)
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[rotation]
    if mirrored: a, b = -a, -b
    one = 1 << 16
    matrix = np.array([a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30], ">i4")
    data[at:at + 36] = matrix.tobytes()
    path.write_bytes(data)
    return path


def repeat_clip(
    source: str | Path,     # a clip without an edit list
    path: str | Path,       # where
    seconds: float,         # at least this long
) -> Path:                  # the same path
    "The clip repeated without encoding it again, for long and memory tests."
    with av.open(str(source)) as inp, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in inp.streams if s.type in ("video", "audio")}
        length = max(float(s.duration * s.time_base) for s in inp.streams if s.index in streams)
        last: dict[int, int] = {}
        for turn in range(int(np.ceil(seconds / length))):
            inp.seek(0)
            for packet in inp.demux([inp.streams[i] for i in streams]):
                if packet.dts is None: continue
                shift = round(turn * length / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                index = packet.stream.index
                if packet.dts <= last.get(index, packet.dts - 1): continue      # priming of the sound, before the end of the turn before
                last[index] = packet.dts
                packet.stream = streams[index]
                out.mux(packet)
    return Path(path)
