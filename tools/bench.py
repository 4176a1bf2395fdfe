"""CPU seconds and ratios against the limits of the design, as a table. Every figure has its floor or its peer in the same run.

    python tools/bench.py [NAME ...]     names: decode, fast, default (its visual part), hearing, reading, whole, open, memory, memory_default; all of them without a name

Uses the labelled clips beside the repository where they are, else the sample clip, scaled up. Each part runs in a process of its own.
"""
from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
SHARED = ROOT.parent / "shared" / "data" / "videos"
WORK = ROOT / ".cache" / "bench"


def clip(name: str, size: tuple[int, int], seconds: float) -> Path:
    "A long clip, made once: a short one, encoded as x264 does it by default, repeated without encoding it again."
    from clips import repeat_clip
    out = WORK / f"{Path(name).stem}_{size[1]}p_{seconds:g}s.mp4"
    if out.exists(): return out
    WORK.mkdir(parents=True, exist_ok=True)
    short = SHARED / name
    if not short.exists(): short = ROOT / "data_samples" / "sample.mp4"
    if short.suffix != ".mp4" or not (SHARED / name).exists(): short = _encoded(short, size)
    part = out.with_suffix(".part.mp4")
    repeat_clip(short, part, seconds)
    part.rename(out)
    return out


def _encoded(short: Path, size: tuple[int, int]) -> Path:
    "A clip as H.264 with B-frames and a keyframe every five seconds at most."
    import av
    out = WORK / f"{short.stem}_{size[1]}p.mp4"
    if out.exists(): return out
    with av.open(str(short)) as inp, av.open(str(out), "w") as o:
        rate = inp.streams.video[0].average_rate
        video, sound = o.add_stream("libx264", rate=rate, options={"bf": "3", "g": str(int(5 * rate)), "crf": "23"}), o.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        resample = av.AudioResampler(format="fltp", layout="stereo", rate=48000)
        for frame in inp.decode(inp.streams.video[0], inp.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                picture = frame.reformat(*size, "yuv420p")
                picture.pict_type = 0           # or the encoder would repeat the types of the source, and make no B-frames
                o.mux(video.encode(picture))
            else:
                for block in resample.resample(frame): o.mux(sound.encode(block))
        o.mux(video.encode(None) + sound.encode(None))
    return out


def cpu(fn: Callable[[], object]) -> float:
    "CPU seconds of a call, all threads."
    start = time.process_time()
    fn()
    return time.process_time() - start


# --- parts: each prints one JSON list of rows: what, value, unit, limit -------------------------------------------------------------

def bench_decode() -> list[tuple]:
    import av
    import numpy as np
    from trendflow.core.sampling import Budget, Dense, Sample
    from trendflow.segment.probe import probe
    from trendflow.segment.segmenter import plan_video, write_frames
    path = clip("bbb_30s.webm", (1280, 720), 180)
    listing = cpu(lambda: probe(path))
    source = probe(path)

    def sequential(targets: np.ndarray, width: int, height: int) -> float:
        want = set(source.times_s[targets].round(6).tolist())

        def run() -> None:
            seen = 0
            with av.open(str(path)) as c:
                v = c.streams.video[0]
                v.codec_context.thread_count = 1
                for frame in c.decode(v):
                    if round(float(frame.time) - source.time_zero_s, 6) in want:
                        frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
                        seen += 1
            assert seen == len(targets), (seen, len(targets))
        return cpu(run)

    rows: list[tuple] = [("list packets of 3 min of 720p, with one decoded frame", listing, "CPU s", None)]
    for what, sample, limit in (("180 frames of analysis", Sample(Budget(180, 180, 180)), 0.65), ("a Dense(12.5) pass of small", Sample(Dense(12.5), "small"), 1.0)):
        plan = plan_video(source, {"x": sample})
        with tempfile.TemporaryDirectory(dir=WORK) as tmp: ours = cpu(lambda: write_frames(path, plan, Path(tmp)))
        view = next(iter(plan.views))
        size = {"analysis": (640, 360), "small": (64, 36)}[view]
        peer = sequential(plan.union, *size)
        rows += [(f"{what}: {len(plan.union)} frames, ours", ours, "CPU s", None), (f"{what}: sequential PyAV, same scaling", peer, "CPU s", None),
                 (f"{what}: ratio", ours / peer, "×", limit)]
    return rows


def bench_fast() -> list[tuple]:
    from trendflow import run_video
    path = clip("bbb_30s.webm", (1280, 720), 60)
    with tempfile.TemporaryDirectory(dir=WORK) as tmp:
        run_video(ROOT / "data_samples" / "silent.mp4", profile="fast", store=Path(tmp) / "warm", quiet=True)     # a store of its own: a run that is there does no work
        wall, start = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        run = run_video(path, profile="fast", store=Path(tmp) / "store", quiet=True)
        wall, end = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
        spent = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        again = time.perf_counter()
        run_video(path, profile="fast", store=Path(tmp) / "store", quiet=True)
        again = time.perf_counter() - again
        rows: list[tuple] = [("fast, 60 s of 720p: wall", wall, "s", None), ("fast, 60 s of 720p: CPU", spent, "CPU s", None),
                             ("fast, 60 s of 720p: wall over duration", wall / 60, "× real time", 0.3), ("the second run", again, "s", 1.0)]
        rows += [(f"  {name}", float(v) / 1e3, "CPU s", None) for name, v in cpu_by_step(run).items()]
        rows += [("writer and reader, share of the run", store_overhead(run) / spent, "share", 0.05)]
    return rows


# GFLOP per row at the size that each network sees, from the papers of the networks (two per multiplication with addition)
GFLOP = {"core_imagenet": 0.81, "core_object_detections": 1.6, "core_depth_fast": 0.74}


def bench_default() -> list[tuple]:
    "The visual part of the profile `default`, each component beside its floor: its operations at the speed of a matrix product, measured here."
    from trendflow.kit.models import single_threaded_torch
    torch = single_threaded_torch()
    a, b = torch.ones(1024, 1024), torch.ones(1024, 1024)
    a @ b
    gflops = 10 * 2 * 1.024 ** 3 / cpu(lambda: [a @ b for _ in range(10)])
    run, rows = _part("visual", clip("bbb_30s.webm", (1280, 720), 60), 60, 0.7)
    out = [*rows[:2], ("matrix product, fp32, one thread", gflops, "GFLOP/s", None)]
    for row in rows[2:]:
        name = row[0].strip()
        floor = (f"    its floor: {len(run[name]['times_s'])} rows", len(run[name]["times_s"]) * GFLOP[name] / gflops, "CPU s", None) if name in GFLOP else None
        out += [row] + [floor] * (floor is not None)
    return out


def bench_hearing() -> list[tuple]:
    "The audio part of `default`, on a clip in which someone speaks all the time."
    return _part("audio", clip("obama_speech.mp4", (1280, 720), 60), 60, 0.3)[1]


def bench_reading() -> list[tuple]:
    "The text part of `default`, with what it reads of the speech, for 200 comments. Its limit is one of CPU seconds, models loaded."
    run, rows = _part("text", ROOT / "data_samples" / "sample.mp4", 32, None, ("speech_activity_extractor", "asr_extractor", "speaker_diarization_extractor"), _discussed())
    text = sum(c["cpu_ms"] for c in run.manifest["components"] if c["kind"] == "text") / 1e3
    return [("default, text part, 200 comments: CPU", text, "CPU s", 3.0), *(r for r in rows[2:] if r[0].strip() in {c["name"] for c in run.manifest["components"] if c["kind"] == "text"})]


def bench_whole() -> list[tuple]:
    "All of `default`, on a clip with speech, with 200 comments."
    return _part("visual audio text", clip("obama_speech.mp4", (1280, 720), 60), 60, 1.0, (), _discussed())[1]


def _discussed() -> dict:
    "The info of the sample video with 200 comments, all of them different."
    info = json.loads((ROOT / "data_samples" / "sample.info.json").read_text("utf-8"))
    said = [c["text"] for c in info["comments"]]
    info["comments"] = [{"id": str(i), "text": f"{said[i % len(said)]} {said[(7 * i + 3) % len(said)]} {i}", "timestamp": info["epoch"] - 60 * i - 100, "like_count": i % 9,
                         "parent": "root" if i % 5 else "1"} for i in range(200)]
    return info


def _part(families: str, path: Path, seconds: float, limit: float | None, more: tuple[str, ...] = (), info: dict | None = None) -> tuple:
    "A run of some families of `default` in a warm process, and its rows: wall over duration, CPU, and CPU of each step."
    from trendflow import run_video
    from trendflow.run.profile import settle_profile
    others = [n for n, c in settle_profile("default").contracts.items() if c.family not in families.split() and n not in more]
    profile = {"extends": "default", "components": dict.fromkeys(others)}
    store = Path(tempfile.mkdtemp(dir=WORK))
    run_video(ROOT / "data_samples" / "sample.mp4", ROOT / "data_samples" / "sample.info.json", profile=profile, store=store / "warm", quiet=True)      # models are loaded, libraries imported
    wall, start = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run = run_video(path, info, profile=profile, store=store / "store", quiet=True)
    wall, end = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    assert run.status == "ok", run.manifest
    name = f"default, {families.replace(' ', ', ')} part, {seconds:g} s"
    rows = [(f"{name}: wall over duration", wall / seconds, "× real time", limit), (f"{name}: CPU", end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime, "CPU s", None)]
    return run, rows + [(f"  {step}", (ms or 0) / 1e3, "CPU s", None) for step, ms in cpu_by_step(run).items()]


def cpu_by_step(run: object) -> dict[str, float]:
    "CPU milliseconds of each step, largest first."
    manifest = run.manifest                                                          # type: ignore[attr-defined]
    steps = {f"decoding {k}": v["cpu_ms"] for k, v in manifest["run"]["timings"].items() if isinstance(v, dict)}
    steps |= {c["name"]: c["cpu_ms"] for c in manifest["components"]}
    return dict(sorted(steps.items(), key=lambda kv: -(kv[1] or 0)))


def store_overhead(run: object) -> float:
    "CPU seconds to read, verify and write every artifact of a run once more."
    from trendflow.core.artifact import verify, write_artifact
    files = sorted(run.dir.rglob("*.npz"))                                           # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(dir=WORK) as tmp: return cpu(lambda: [write_artifact(verify(f), Path(tmp, f.name)) for f in files])


def bench_open() -> list[tuple]:
    from trendflow import run_video
    run = run_video(ROOT / "data_samples" / "sample.mp4", profile="fast", store=WORK / "warm", quiet=True)
    from trendflow.views.browse import Run
    run["color_light"]
    best = 9.0
    for _ in range(5):
        start = time.perf_counter()
        opened = Run.open(run.dir)
        data = opened["color_light"]
        data[next(iter(data.data_vars))].values.sum()
        best = min(best, time.perf_counter() - start)
    code = "import time; t = time.perf_counter(); import trendflow; print(time.perf_counter() - t)"
    took = min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(5))
    return [("import trendflow", took, "s", 0.3), ("open a run and read one array", best, "s", 0.05)]


def bench_memory() -> list[tuple]: return _memory("fast", 1.5)


def bench_memory_default() -> list[tuple]: return _memory("default", 2.5)


def _memory(profile: str, limit_gb: float) -> list[tuple]:
    "Peak memory over 20 minutes."
    from trendflow import run_video
    path = clip("smpte_timecode.mp4", (1920, 1080), 1195)
    with tempfile.TemporaryDirectory(dir=WORK) as tmp:
        start = time.perf_counter()
        run = run_video(path, profile=profile, store=Path(tmp) / "store", quiet=True)
        wall = time.perf_counter() - start
        assert run.status == "ok", run.manifest
        peak = run.manifest["run"]["timings"]["peak_rss_mb"]
    return [(f"{profile}, 20 min of 1080p: peak of anonymous and shared memory", peak / 1e3, "GB", limit_gb),
            (f"{profile}, 20 min of 1080p: wall over duration", wall / 1195, "× real time", None)]


PARTS = {name.removeprefix("bench_"): fn for name, fn in list(globals().items()) if name.startswith("bench_")}


def main(names: list[str]) -> int:
    bad = 0
    print(f"{'what':64}{'value':>10}  {'unit':12}{'limit':>8}")
    for name in names or list(PARTS):
        out = subprocess.run([sys.executable, __file__, "--part", name], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        if out.returncode:
            print(f"{name}: failed")
            bad += 1
            continue
        for what, value, unit, limit in json.loads(out.stdout.splitlines()[-1]):
            over = limit is not None and value > limit
            bad += over
            print(f"{what:64}{value:>10.3f}  {unit:12}{'' if limit is None else f'{limit:g}':>8}{'  OVER' if over else ''}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        WORK.mkdir(parents=True, exist_ok=True)
        print(json.dumps(PARTS[sys.argv[2]]()))
    else: sys.exit(main(sys.argv[1:]))
