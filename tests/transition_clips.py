"Clips with known transitions, composed from real footage at 25 frames per second. A helper of `test_shots.py`."
from __future__ import annotations

import functools
from pathlib import Path

import av
import cv2
import numpy as np

FPS = 25.0
WIDTH, HEIGHT = 192, 108

# Footage for tuning and footage for testing never meet. The second list holds the clips that the files of `shots/` were cut from, too.
TUNING_CLIPS = ('tears_of_steel_battle.webm', 'bbb_30s.webm', 'bbb_5.1.mp4', 'bangkok_traffic.mp4', 'failing_audio.mp4',
                'nasa_13013_multitrack.mp4', 'av1_sdr.webm', 'apollo_vp9_240p.mp4')
TESTING_CLIPS = ('carphone_qcif.mp4', 'flower.mp4', 'friday.mp4', 'intel_bottles.mp4', 'intel_car_detection.mp4', 'obama_speech.mp4',
                 'shuttle_vp8.webm', 'tractor_vp9.webm', 'asl_hungry.mkv')
TUNING_SEEDS, TESTING_SEEDS = range(500), range(1000, 1500)

# First frames of new shots inside the tuning clips, and stretches with a fade or dissolve of their own (looked up by eye), in native frames.
# A segment never crosses or contains one of them.
INNER_CUTS = {
    'tears_of_steel_battle.webm': (52, 122, 158, 221, 309, 715, 788, 872, 901, 987, 1127, 1157, 1203, 1234, 1246, 1284, 1345, 1378, 1430, 1472,
                                   1525, 1571, 1618, 1650, 1689),
    'bbb_30s.webm': (283, 376, 428, 551), 'nasa_13013_multitrack.mp4': (202,),
}
LEFT_OUT = {'bbb_30s.webm': ((0, 60),), 'nasa_13013_multitrack.mp4': ((121, 153),), 'failing_audio.mp4': ((76, 93), (185, 280))}


@functools.lru_cache(maxsize=32)
def read_clip(path: Path) -> tuple[np.ndarray, np.ndarray]:
    "All frames of a file at 192x108 RGB and their times."
    frames, times = [], []
    with av.open(str(path)) as box:
        for frame in box.decode(video=0):
            frames.append(frame.reformat(WIDTH, HEIGHT, format='rgb24', interpolation='AREA').to_ndarray())
            times.append(frame.time)
    return np.stack(frames), np.array(times) - times[0]


def spans(path: Path) -> list[tuple[float, float]]:
    "Stretches of a clip without a transition, in seconds."
    _, times = read_clip(path)
    left_out = LEFT_OUT.get(path.name, ())
    edges = sorted({0, *INNER_CUTS.get(path.name, ()), *(e for pair in left_out for e in pair), len(times)})
    return [(float(times[a]), float(times[b - 1])) for a, b in zip(edges, edges[1:]) if b - a > 2 and (a, b) not in left_out]


def take(path: Path, start: float, n: int) -> np.ndarray:
    "`n` frames at 25 per second from `start`, the nearest source frame each; the clip runs back and forth when it is too short."
    frames, times = read_clip(path)
    a, b = next((s for s in spans(path) if s[0] <= start <= s[1]), spans(path)[0])
    t = start - a + np.arange(n) / FPS
    t = a + np.abs((t + (b - a)) % (2 * (b - a)) - (b - a)) if b > a else t * 0 + a
    i = np.clip(np.searchsorted(times, t), 1, len(times) - 1)
    return frames[i - (t - times[i - 1] < times[i] - t)]


def shaken(frames: np.ndarray, rng: np.random.Generator, kind: str) -> np.ndarray:
    "The frames under camera shake, a fast pan, a zoom, a flash, low light or an exposure change: none of them is a transition."
    n, out = len(frames), frames.copy()
    if kind == 'flash':
        for k in rng.integers(2, max(3, n - 6), 2) if n > 9 else ():
            out[k:k + rng.integers(1, 4)] = np.clip(out[k:k + 1].astype(float) * rng.uniform(1.5, 4) + rng.uniform(30, 150), 0, 255).astype(np.uint8)
        return out
    if kind == 'dark':
        noise = rng.normal(0, 3, out.shape)
        return np.clip(out * rng.uniform(.08, .25) + noise, 0, 255).astype(np.uint8)
    if kind == 'exposure':
        ramp = np.interp(np.arange(n), [0, n * .3, n * .6, n], [1, 1, *[rng.choice([.55, 1.6])] * 2])
        return np.clip(out * ramp[:, None, None, None], 0, 255).astype(np.uint8)
    s = np.full(n, 1.35)
    dx = dy = np.zeros(n)
    if kind == 'shake':
        dx, dy = (cv2.GaussianBlur(rng.normal(0, 1, (n, 1)), (1, 5), 1.0)[:, 0] * rng.uniform(6, 16) for _ in 'xy')
    elif kind == 'pan':
        s, dx = np.full(n, 2.0), np.interp(np.arange(n), [n * .35, n * .35 + rng.integers(8, 25)], [-48, 48]) * rng.choice([-1, 1])
    elif kind == 'zoom':
        s = np.interp(np.arange(n), [n * .3, n * .3 + rng.integers(8, 30)], [1, rng.uniform(1.5, 2.5)])
    for k in range(n):
        m = np.array([[s[k], 0, WIDTH / 2 * (1 - s[k]) + dx[k]], [0, s[k], HEIGHT / 2 * (1 - s[k]) + dy[k]]])
        out[k] = cv2.warpAffine(frames[k], m, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out


def _sweep(rng: np.random.Generator) -> np.ndarray:
    "When each pixel changes during a wipe, 0 to 1."
    y, x = np.mgrid[0:1:HEIGHT * 1j, 0:1:WIDTH * 1j]
    pick = rng.choice(['left', 'right', 'up', 'down', 'diagonal', 'clock', 'circle'])
    when = {'left': 1 - x, 'right': x, 'up': 1 - y, 'down': y, 'diagonal': (x + y) / 2, 'clock': np.arctan2(y - .5, x - .5) / 2 / np.pi + .5,
            'circle': np.hypot(x - .5, y - .5) / np.hypot(.5, .5)}
    return when[str(pick)]


def blend(a: np.ndarray, b: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    "The frames of one soft transition from the moving `a` to the moving `b`, equally long."
    n = len(a)
    p = (np.arange(n) + 1) / (n + 1)
    if rng.random() < .3: p = p * p * (3 - 2 * p)                     # eased, as editing programs do
    a, b, w = a.astype(np.float32), b.astype(np.float32), p[:, None, None, None].astype(np.float32)
    if kind == 'dissolve': return ((1 - w) * a + w * b).round().astype(np.uint8)
    if kind == 'fade':
        colour = np.float32(rng.choice([0, 0, 255]))
        hold = rng.choice([0, 0, .1, .25])
        level = np.clip((np.abs(2 * w - 1) - hold) / (1 - hold), 0, 1)
        return (colour + level * (np.where(w < .5, a, b) - colour)).round().astype(np.uint8)
    if kind == 'wipe':
        soft = rng.choice([.01, .05, .15])
        mask = np.clip((w * (1 + soft) - _sweep(rng)[None, :, :, None]) / soft, 0, 1)
        return ((1 - mask) * a + mask * b).round().astype(np.uint8)
    way, push = rng.integers(4), rng.random() < .6
    out = a.copy()
    for k in range(n):
        size = WIDTH if way < 2 else HEIGHT
        s = int(round(p[k] * size))
        both = np.concatenate([a[k], b[k]], 1 if way < 2 else 0) if way % 2 == 0 else np.concatenate([b[k], a[k]], 1 if way < 2 else 0)
        at = s if way % 2 == 0 else size - s
        out[k] = both[:, at:at + size] if way < 2 else both[at:at + size]
        if not push:                                                  # the new picture covers a resting old one
            keep = [np.s_[:, :WIDTH - s], np.s_[:, s:], np.s_[:HEIGHT - s], np.s_[s:]][way]
            out[k][keep] = a[k][keep]
    return out.round().astype(np.uint8)


def compose(
    folder: Path,               # where the source clips are
    names: tuple[str, ...],     # which of them
    seed: int,                  # the clip is the same for the same seed
    kinds: tuple[str, ...] = ('cut', 'fade', 'dissolve', 'wipe', 'slide'),
    n_transitions: int = 5,
    trouble: float = 0.3,       # share of shots with shake, flash, pan, zoom, low light, exposure change
    body: tuple[int, int] = (15, 70),               # frames of a shot that are in no transition
    upright: bool = False,      # crop to 9:16
) -> tuple[np.ndarray, list[dict]]:                 # [frame, y, x, rgb] uint8 at 25 a second; kind, start_s, end_s of each transition
    "One clip and its truth. `start_s` is the last pure frame of the old shot (for a cut the first frame of the new), `end_s` the first of the new."
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    truth: list[dict] = []
    at = 0
    last: object = None
    order = [kinds[(seed + k) % len(kinds)] for k in range(n_transitions)]
    rng.shuffle(order)
    tail: tuple[np.ndarray, np.ndarray] | None = None
    lengths = [0 if k == 'cut' else int(rng.integers(8, 51)) if k in ('dissolve', 'fade') else int(rng.integers(8, 41)) for k in order] + [0]
    for k in range(n_transitions + 1):
        name = str(rng.choice([n for n in names if n != last or len(names) == 1]))
        free = [s for s in spans(folder / name) if (name, s) != (names[0], last)]         # within one clip: another stretch of it
        lo, hi = free[rng.integers(len(free))]
        last = name if len(names) > 1 else (lo, hi)
        before, after = (lengths[k - 1] if k else 0), lengths[k]
        alone = int(rng.integers(*body))
        shot = take(folder / name, float(rng.uniform(lo, max(lo + .01, hi - 1))), before + alone + after)
        if rng.random() < trouble: shot = shaken(shot, rng, str(rng.choice(['flash', 'dark', 'exposure', 'shake', 'pan', 'zoom'])))
        if tail is not None:
            mixed = blend(tail[0], shot[:before], order[k - 1], rng)
            truth.append(dict(kind=order[k - 1], start_s=(at - 1) / FPS, end_s=(at + before) / FPS))
            parts.append(mixed)
            at += before
        elif k: truth.append(dict(kind='cut', start_s=at / FPS, end_s=at / FPS))
        parts.append(shot[before:before + alone])
        at += alone
        tail = (shot[before + alone:], shot[:0]) if after else None
    clip = np.concatenate(parts)
    return np.ascontiguousarray(clip[:, :, 66:126]) if upright else clip, truth


def still(
    folder: Path,               # where the source clips are
    names: tuple[str, ...],     # which of them
    seed: int,                  # the clip is the same for the same seed
) -> np.ndarray:                # [frame, y, x, rgb] uint8
    "One resting picture with noise, which may grow lighter or darker. No transition."
    rng = np.random.default_rng(seed)
    frames, _ = read_clip(folder / str(rng.choice(names)))
    n = int(rng.integers(40, 120))
    out = np.repeat(frames[rng.integers(len(frames))][None], n, 0).astype(np.float32)
    out += rng.normal(0, rng.choice([0, 1, 4]), out.shape)
    if rng.random() < .5: out += np.linspace(0, rng.uniform(-15, 15), n)[:, None, None, None]
    return np.clip(out, 0, 255).astype(np.uint8)


def passing(
    folder: Path,               # where the source clips are
    names: tuple[str, ...],     # which of them
    seed: int,                  # the clip is the same for the same seed
) -> np.ndarray:                # [frame, y, x, rgb] uint8
    "Large things that pass in front of a resting, often plain background; light may change a little. No transition."
    rng = np.random.default_rng(seed)
    frames, _ = read_clip(folder / str(rng.choice(names)))
    n = int(rng.integers(60, 160))
    back = frames[rng.integers(len(frames))].astype(np.float32)
    if rng.random() < .7: back = back * .1 + back.mean((0, 1)) * .9
    out = np.repeat(back[None], n, 0)
    for _ in range(int(rng.integers(1, 4))):
        h, w = int(rng.integers(30, 90)), int(rng.integers(30, 100))
        y0, x0 = int(rng.integers(0, HEIGHT - h + 1)), int(rng.integers(0, WIDTH - w + 1))
        thing = frames[rng.integers(len(frames)), y0:y0 + h, x0:x0 + w].astype(np.float32)
        steps = int(rng.integers(20, 90))
        across, place = np.linspace(-w, WIDTH, steps), np.full(steps, y0)
        if rng.random() < .5: across, place = np.full(steps, x0), np.linspace(-h, HEIGHT, steps)
        way, stops = (-1 if rng.random() < .5 else 1), rng.random() < .3
        begin = int(rng.integers(0, n - 10))
        for i in range(begin, n):
            j = min(i - begin, steps // 2 if stops else steps - 1)
            x, y = int(across[::way][j]), int(place[::way][j])
            left, right, top, bottom = max(x, 0), min(x + w, WIDTH), max(y, 0), min(y + h, HEIGHT)
            if right > left and bottom > top: out[i, top:bottom, left:right] = thing[top - y:bottom - y, left - x:right - x]
    light = np.interp(np.arange(n), np.sort(rng.integers(0, n, 4)), rng.uniform(.85, 1.15, 4)) if rng.random() < .4 else np.ones(n)
    return np.clip(out * light[:, None, None, None] + rng.normal(0, 2, out.shape), 0, 255).astype(np.uint8)


def small_view(frames: np.ndarray, times: np.ndarray, max_fps: float = 12.5) -> tuple[np.ndarray, np.ndarray]:
    "The `small` view as the Segmenter gives it: nearest frames on a grid of 1/max_fps, 64x36 or 36x64 by area."
    grid = np.arange(times[0], times[-1] + 1e-9, 1 / max_fps)
    i = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    rows = np.unique(i - (grid - times[i - 1] <= times[i] - grid))
    size = (64, 36) if frames.shape[2] >= frames.shape[1] else (36, 64)
    return np.stack([cv2.resize(frames[r], size, interpolation=cv2.INTER_AREA) for r in rows]), times[rows]
