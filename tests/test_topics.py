"""Topics against the uploader's category, key phrases, and that no word of them is stored."""
from __future__ import annotations

import csv
import gzip
import random

import numpy as np
import pytest

from trendflow.core import samples
from trendflow.core.contract import Hosting
from trendflow.core.measure import measure
from trendflow.core.sources import Texts
from trendflow.kit.keyphrases import keyphrases, phrase_id
from trendflow.kit.models import Models
from trendflow.kit.sentences import vectors
from trendflow.text.semantics_topics_keyphrases import AREA_OF, AREAS, TOPICS, _softmax, _topics, semantics_topics_keyphrases

AREA = {"music": 10, "film_tv": 24, "comedy": 23, "gaming": 20, "sport": 17, "news_politics": 25, "knowledge": 27, "technology": 28, "vehicles": 2, "food": 26, "beauty_fashion": 26,
        "health": 26, "home_diy": 26, "animals": 15, "travel": 19, "people": 22, "money": 25, "arts": 24, "calm": 22}          # area → YouTube category
TOPIC = {"trailers": 1, "film_review": 1, "animation": 1, "charity": 29, "photography_film": 1, "physics_space": 28, "experiments": 28, "phones_gadgets": 28, "biology_nature": 28,
         "kids": 24}                                                                                                            # exceptions
CATEGORY = np.array([TOPIC.get(t, AREA[AREAS[a]]) for t, a in zip(TOPICS, AREA_OF)])


def accuracy(shared_data, n: int) -> tuple[float, float, float]:
    "By title, by title and keywords, and by the most frequent category: British videos that were not among the American ones."
    found: dict[str, dict[str, dict]] = {}
    for country in ("US", "GB"):
        with gzip.open(shared_data / "popularity" / "trending_2017" / f"{country}videos.csv.gz", "rt", encoding="utf-8-sig", errors="replace", newline="") as f:
            found[country] = {r["video_id"]: r for r in csv.DictReader(f)}
    rows = [r for k, r in sorted(found["GB"].items()) if k not in found["US"]]
    random.Random(1).shuffle(rows)
    models, kinds = Models(("text_embedding",), Hosting()), np.unique(CATEGORY)
    truth = np.array([int(r["category_id"]) for r in rows[:n]])
    title, tags = (vectors(models, [r[key].replace("|", ", ") for r in rows[:n]]) @ _topics(models).T for key in ("title", "tags"))
    right = []
    for cosine in (title, (title + tags) / 2):
        share = np.array([_softmax(c.astype(float), 0.07) for c in cosine])
        right.append((kinds[np.stack([share[:, CATEGORY == k].sum(1) for k in kinds], 1).argmax(1)] == truth).mean())
    return right[0], right[1], np.bincount(truth).max() / n


def test_topics_agree_with_some_categories(shared_data) -> None:
    _, both, usual = accuracy(shared_data, 60)
    assert both > usual + 0.15


@pytest.mark.slow
def test_topics_agree_with_many_categories(shared_data) -> None:
    title, both, usual = accuracy(shared_data, 300)
    assert title > 0.36 and both > 0.46 and usual < 0.22


def test_a_transcript_alone_has_topics() -> None:
    made = measure(semantics_topics_keyphrases, {"texts": Texts(), "said": samples.artifact("transcript")})
    assert made.status == "ok" and made["topic_share"].sum() == pytest.approx(1, abs=1e-5) and made["phrase_id"][0] >= 0
    assert made["area_share"] == pytest.approx(np.bincount(AREA_OF, made["topic_share"], len(AREAS)), abs=1e-5)


def test_a_text_in_another_language_takes_no_part() -> None:
    english = measure(semantics_topics_keyphrases, {"texts": Texts(title="How a rocket lands on a ship in the ocean")})
    mixed = measure(semantics_topics_keyphrases, {"texts": Texts(title="How a rocket lands on a ship in the ocean", description="Как испечь хлеб дома на закваске без дрожжей")})
    np.testing.assert_array_equal(english["topic_share"], mixed["topic_share"])
    assert mixed["language_supported"][[0, 2]].tolist() == [1, 0]


def test_key_phrases_find_what_a_text_repeats() -> None:
    text = "The Falcon Heavy rocket flies. Falcon Heavy lands twice. Nobody expected the falcon heavy to fail, and it did not."
    assert keyphrases([(text, 1.0)], 5, "en")[0].text == "falcon heavy"
    assert keyphrases([("Тёплый дом зимой. Как построить тёплый дом. Тёплый дом своими руками", 1.0)], 5, "ru")[0].text == "тёплый дом"
    assert [k.text for k in keyphrases([("ラーメンと東京タワー", 1.0)], 5, "ja")] and not keyphrases([("สวัสดีชาวโลก", 1.0)], 5)


def test_phrases_are_numbers_unless_raw_text_is_asked_for() -> None:
    made = measure(semantics_topics_keyphrases, {"texts": Texts(title="Quetzalcoatlus northropi explained", description="Quetzalcoatlus northropi flew.")})
    assert phrase_id("quetzalcoatlus northropi explained") in made["phrase_id"].tolist() and "raw_text" not in list(made)
    assert b"uetzalco" not in b"".join(made[k].tobytes() for k in made) and "uetzalco" not in str(made.meta)


def test_a_phrase_is_in_the_title_as_words_not_as_letters() -> None:
    def share(title: str) -> float: return float(measure(semantics_topics_keyphrases, {"texts": Texts(title, tags=("art",))})["phrase_measure"][3])
    assert share("Art for beginners") > share("Startled beginners") and repr(keyphrases([("secret sauce", 1.0)])) == "[Keyphrase(2 words, 1.58)]"
