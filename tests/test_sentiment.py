"""The valence of texts: English against the values that the authors' code gives, Russian on sentences of ours, and nothing where nothing is known."""
from __future__ import annotations

import csv
import json
import math
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trendflow.kit.models import find
from trendflow.kit.sentiment import Lexicon, read_sentiment, valence, valences

LEXICONS = read_sentiment(find("sentiment"))

REFERENCE = [                                                  # compound of vaderSentiment 3.3.2
    ('VADER is smart, handsome, and funny.', 0.8316),
    ('VADER is smart, handsome, and funny!', 0.8439),
    ('VADER is very smart, handsome, and funny.', 0.8545),
    ('VADER is VERY SMART, handsome, and FUNNY.', 0.9227),
    ('VADER is VERY SMART, handsome, and FUNNY!!!', 0.9342),
    ('VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!', 0.9469),
    ('VADER is not smart, handsome, nor funny.', -0.7424),
    ('The book was good.', 0.4404),
    ("At least it isn't a horrible book.", 0.431),
    ('The book was only kind of good.', 0.3832),
    ('The plot was good, but the characters are uncompelling and the dialog is not great.', -0.7042),
    ('Today SUX!', -0.5461),
    ("Today only kinda sux! But I'll get by, lol", 0.5249),
    ('Make sure you :) or :D today!', 0.8633),
    ('Catch utf-8 emoji such as 💘 and 💋 and 😁', 0.875),
    ('Not bad at all', 0.431),
    ('I love this song', 0.6369),
    ('I do not love this song', -0.5216),
    ("I don't really love this song at all", -0.5551),
    ('This is the worst video I have ever seen', -0.6249),
    ('This is the WORST video I have ever seen', -0.7034),
    ('Why would anyone like this???', 0.466),
    ('Why would anyone like this?????', 0.5362),
    ('really?? you like this??', 0.5773),
    ('No good videos any more', -0.3412),
    ('no problem with this good song', 0.6319),
    ('There is no love or hope left', -0.6979),
    ('Never been so happy in my life', 0.6948),
    ('I have never had this great a day', 0.7073),
    ('Without doubt a great movie', 0.7359),
    ('It is without any doubt a terrible movie', -0.2477),
    ('The least helpful video on the whole platform', -0.3252),
    ('least funny joke ever', -0.0531),
    ('At the very least he is honest', 0.5106),
    ('It was the best part but also the saddest part', -0.5994),
    ('She is pretty, but not nice', -0.2259),
    ('I was sad at first, but now I am happy!', 0.6476),
    ('Yeah right, great idea', 0.743),
    ('that beat is the bomb', 0.6124),
    ('It is a movie to die for', -0.5994),
    ('My brother has a badass guitar', 0.34),
    ('A sort of nice guitar solo', 0.3626),
    ('He is a kind of hero to me', 0.5118),
    ('I hardly enjoyed it', 0.4601),
    ('It barely works and it is so annoying', -0.541),
    ('WOW THIS IS AMAZING', 0.8225),
    ('wow this is AMAZING', 0.8531),
    ('LOL that was hilarious xD', 0.876),
    ('I cannot believe how good this is!!!!!!!', -0.5535),
    ('nobody died, thank god', 0.0),
    ("don't hate, appreciate", 0.1877),
    ('The camera is on the table in the room', 0.0),
    ('12:05', 0.0),
    ('so so so so sweet', 0.6751),
    ("He didn't fail, he won", -0.0382),
]
RUSSIAN = {                                                     # sentence → sign; written after the list was closed
    "Какое чудесное видео, пересматриваю третий раз": 1, "Ты большая молодец, так держать": 1, "Очень полезный ролик, сразу подписался": 1, "Смеялся до слёз, спасибо за настроение": 1,
    "Музыка просто огонь": 1, "Лучший канал на ютубе!!!": 1, "Не плохо, мне понравилось": 1, "Это было красиво и трогательно": 1, "Сначала было скучно, но потом стало очень интересно": 1,
    "Полный бред, не смотрите": -1, "Автор врёт и даже не краснеет": -1, "Звук ужасный, слушать невозможно": -1, "Какая мерзость": -1, "Мне не нравится новый формат": -1,
    "Ничего хорошего тут нет": -1, "Зря потратил двадцать минут": -1, "Сплошной обман и кликбейт": -1, "Раньше было хорошо, но теперь это просто позор": -1,
    "Видео длится десять минут": 0, "Кто смотрит в марте?": 0, "Где ссылка на карту?": 0,
}


@pytest.mark.parametrize(("text", "expected"), REFERENCE)
def test_english_is_vader(text: str, expected: float) -> None: assert valence(LEXICONS["en"], text) == pytest.approx(expected, abs=6e-5)


def test_most_russian_sentences_are_read_rightly() -> None:
    signs = [int(np.sign(valence(LEXICONS["ru"], text))) for text in RUSSIAN]
    assert sum(a == b for a, b in zip(signs, RUSSIAN.values())) >= 19


def test_a_language_without_a_list_is_unknown_and_emojis_are_not() -> None:
    found = valences(LEXICONS, ["sehr schön", "素晴らしい", "", "👍", "👎👎", "!!!", "great"], ["de", "ja", "", "", "", "", ""])
    assert np.isnan(found).tolist() == [True, True, True, False, False, True, True] and found[3] > 0 > found[4]


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_valence_between_bounds(text: str) -> None:
    for lexicon in LEXICONS.values(): assert -1 < valence(lexicon, text) < 1 and math.isfinite(valence(lexicon, text))


@pytest.mark.parametrize("text", ["good " * 100_000, "g" * 1_000_000, "not " * 100_000 + "good"])
def test_long_texts_take_no_time(text: str) -> None: assert abs(valence(LEXICONS["en"], text)) < 1


def test_the_asset_lists_what_the_rules_use() -> None:
    told = json.loads((files("trendflow") / "assets" / "valence.json").read_text("utf-8"))["data"]
    assert set(told) == {"en", "ru", "emojis"} and set(told["en"]) == set(told["ru"])
    assert all(-4 <= v <= 4 and v for v in told["ru"]["words"].values()) and all(w == w.lower().replace("ё", "е") for w in told["ru"]["words"])
    assert not set(told["ru"]["words"]) & (set(told["ru"]["boosters"]) | set(told["ru"]["negations"]))
    assert isinstance(LEXICONS["ru"], Lexicon) and LEXICONS["ru"].worth("хороший") == LEXICONS["ru"].worth("хорошего") > 0


def test_praise_of_a_video_is_found_in_real_comments(shared_data) -> None:
    with open(shared_data / "popularity" / "comments" / "Youtube05-Shakira.csv", encoding="utf-8-sig", newline="") as f:
        texts = [row["CONTENT"] for row in csv.DictReader(f) if row["CLASS"] == "0"]
    found = valences(LEXICONS, texts, ["en"] * len(texts))
    assert (found > 0.05).mean() > 0.5 and (found < -0.05).mean() < 0.1
