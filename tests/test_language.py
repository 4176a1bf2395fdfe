"""The language of short texts: the reader of the model's file against a plain one, and what any text may do to it."""
from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trendflow.kit.language import Identifier, _chances, languages, letters_only, read_language
from trendflow.kit.models import find


@pytest.fixture(scope="module")
def identifier() -> Identifier: return read_language(find("language"))


def plain_chances(model: Identifier, text: str) -> np.ndarray:
    "The same as _chances, word by word and turn by turn, after the source of fastText."
    rows = []
    for word in [*text.encode().split(), b"</s>"]:
        if word in model.words: rows.append(model.words[word])
        if word == b"</s>": continue
        characters = [c.encode() for c in f"<{word.decode()}>"]
        for n in range(model.shortest, model.longest + 1):
            for i in range(len(characters) - n + 1):
                h = 2166136261
                for byte in b"".join(characters[i:i + n]): h = ((h ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
                at = np.flatnonzero(model.pieces == h % model.buckets)
                rows += model.piece_row[at].tolist()
    mean = model.rows[rows].astype(float).mean(0)
    chance = []
    for language in range(len(model.codes)):
        log = 0.0
        for node in np.flatnonzero(model.turn[:, language]):
            right = 1 / (1 + math.exp(-float(model.nodes[node] @ mean)))
            log += math.log((right if model.turn[node, language] > 0 else 1 - right) + 1e-5)
        chance.append(math.exp(log))
    return np.array(chance) / sum(chance)


@pytest.mark.parametrize("text", ["nice video about cats", "это хорошее видео", "你好世界", "het is een mooi liedje", "a", "ÿþ ßß"])
def test_it_is_what_the_plain_way_gives(identifier: Identifier, text: str) -> None:
    np.testing.assert_allclose(_chances(identifier, ["other words first", text])[1], plain_chances(identifier, text), rtol=1e-5, atol=1e-9)


def test_every_language_has_one_way_of_its_own(identifier: Identifier) -> None:
    ways = {tuple(column) for column in identifier.turn.T}
    assert len(ways) == len(identifier.codes) == len(set(identifier.codes)) == 176
    assert np.exp2(-np.abs(identifier.turn).sum(0).astype(float)).sum() == pytest.approx(1)        # Kraft: the ways make a full tree


@given(st.lists(st.text(max_size=60), max_size=5))
@settings(max_examples=25, deadline=None)
def test_any_text_has_a_language_or_none(texts: list[str]) -> None:
    model = read_language_once()
    codes, sure = languages(model, texts)
    assert len(codes) == len(sure) == len(texts)
    for text, code, p in zip(texts, codes, sure):
        assert (code == "") == (p == 0) == (letters_only(text) == "") and 0 <= p <= 1
        assert languages(model, [text])[0] == [code]


_once: list[Identifier] = []


def read_language_once() -> Identifier:
    "For tests that hypothesis repeats."
    if not _once: _once.append(read_language(find("language")))
    return _once[0]


@pytest.mark.parametrize("text", ["a" * 2_000_000, "é " * 500_000, "\ud800\udfff broken surrogates here", "\0\0\0 zeros in between \0"])
def test_odd_texts_do_no_harm(identifier: Identifier, text: str) -> None: assert len(languages(identifier, [text])[0]) == 1


def test_comments_of_an_english_channel_are_english(identifier: Identifier, shared_data) -> None:
    with open(shared_data / "popularity" / "comments" / "Youtube05-Shakira.csv", encoding="utf-8-sig", newline="") as f:
        texts = [row["CONTENT"] for row in csv.DictReader(f)]
    codes, sure = languages(identifier, texts)
    told = [c for c, p in zip(codes, sure) if p > 0.5]
    assert len(told) > 0.7 * len(texts) and told.count("en") > 0.9 * len(told)
