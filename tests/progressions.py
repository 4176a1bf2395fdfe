"""Progressions of chords in any key and timbre, for tests of key and chroma."""
from __future__ import annotations

import numpy as np

RATE = 22050
CHORDS = {                                                  # mode and number → chords as semitones above the tonic
    "major 1": ((0, 4, 7), (5, 9, 0), (7, 11, 2), (0, 4, 7)), "major 2": ((0, 4, 7), (7, 11, 2), (9, 0, 4), (5, 9, 0)),
    "major 3": ((0, 4, 7), (9, 0, 4), (2, 5, 9), (7, 11, 2, 5)), "minor 1": ((0, 3, 7), (5, 8, 0), (7, 11, 2), (0, 3, 7)),
    "minor 2": ((0, 3, 7), (5, 8, 0), (7, 10, 2), (0, 3, 7)),
}
TIMBRES = ("sine", "organ", "piano", "strings", "brass")


def note(f: float, t: np.ndarray, timbre: str) -> np.ndarray:
    "One note at a frequency in Hz."
    partials = [k for k in range(1, 11) if f * k < 9000]
    if timbre == "sine": return np.sin(2 * np.pi * f * t)
    if timbre == "organ": return sum(np.sin(2 * np.pi * f * k * t) / k for k in partials)
    if timbre == "piano": return sum(np.sin(2 * np.pi * f * k * np.sqrt(1 + 4e-4 * k * k) * t + k) * np.exp(-t * (1.5 + 0.6 * k)) / k for k in partials)
    if timbre == "brass": return sum(np.sin(2 * np.pi * f * k * t) * np.exp(-((k - 4) / 3)**2) for k in partials) * np.minimum(1, 20 * t)
    phase = 2 * np.pi * np.cumsum(f * 2**(np.sin(2 * np.pi * 5.5 * t + f) / 60)) / RATE         # strings: a vibrato of a fifth of a semitone
    return sum(np.sin(k * phase) / k**1.2 for k in partials) * np.minimum(1, 6 * t)


def song(
    tonic: int,                     # pitch class, 0 is C
    chords: str = "major 1",        # of CHORDS
    timbre: str = "organ",          # of TIMBRES
    cents: float = 0.0,             # tuning
    drums: float = 0.0,             # level of a beat of noise
    seconds: float = 12.0,          # length of two rounds
) -> np.ndarray:                    # [sample] float32
    "A progression, twice: bass, chord, and the root once more on top."
    n = int(seconds * RATE / (2 * len(CHORDS[chords])))
    t = np.arange(n) / RATE
    rounds = [sum(note(440 * 2**((m - 69 + cents / 100) / 12), t, timbre) for m in
                  [36 + (tonic + c[0]) % 12, *(60 + (tonic + p) % 12 for p in c), 60 + (tonic + c[0]) % 12]) for c in CHORDS[chords]]
    y = np.concatenate(rounds * 2)
    beat = np.exp(-12 * (np.arange(len(y)) / RATE % 0.5)) * np.random.default_rng(tonic).standard_normal(len(y))
    return (0.5 * y / np.abs(y).max() + drums * beat).astype(np.float32)
