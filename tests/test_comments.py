"""Statistics of comments: spam against labels, and numbers that follow from what the comments are."""
from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trendflow.core import samples
from trendflow.core.measure import measure
from trendflow.core.sources import Comment, Meta, Texts
from trendflow.kit.spam import SPAM, spam_scores
from trendflow.text.comments_statistics import comments_statistics

META = samples.meta()
HOUR = 3600.0


def told(artifact, name: str) -> dict[str, float]:
    labels = next(iter(artifact.meta["schema"]["arrays"][name]["labels"].values()))
    return dict(zip(labels, artifact[name].tolist()))


def commented(*texts: str, **fields) -> Texts:
    return Texts(comments=tuple(replace(Comment(t, META.t0_s - HOUR * (i + 1), 0.0, False, False, f"{i:016x}"), **fields) for i, t in enumerate(texts)))


def psy(shared_data: Path) -> tuple[list[str], np.ndarray]:
    with open(shared_data / "popularity" / "comments" / "Youtube01-Psy.csv", encoding="utf-8", errors="replace", newline="") as f:
        rows = [r for r in csv.reader(f) if len(r) == 2]
    return [text.replace("\ufffd", "") for _, text in rows], np.array([label == "spam" for label, _ in rows])


def shakira(shared_data: Path) -> tuple[list[str], np.ndarray]:
    with open(shared_data / "popularity" / "comments" / "Youtube05-Shakira.csv", encoding="utf-8-sig", newline="") as f: rows = list(csv.DictReader(f))
    return [r["CONTENT"] for r in rows], np.array([r["CLASS"] == "1" for r in rows])


@pytest.mark.parametrize(("comments", "precision", "recall", "f1", "area"), [(psy, 0.97, 0.95, 0.96, 0.96), (shakira, 0.99, 0.66, 0.79, 0.9)], ids=["tuned", "held out"])
def test_spam_is_found_in_labelled_comments(shared_data, comments, precision: float, recall: float, f1: float, area: float) -> None:
    texts, spam = comments(shared_data)
    score = spam_scores(texts)
    called, good, bad = score >= SPAM, score[spam], score[~spam]
    right = (called & spam).sum()
    assert right / called.sum() > precision and right / spam.sum() > recall and 2 * right / (called.sum() + spam.sum()) > f1
    assert (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2 > area


def test_ordinary_comments_of_other_videos_are_rarely_called_spam(shared_data) -> None:
    with open(shared_data / "popularity" / "comments" / "GBcomments_part.csv", encoding="utf-8", errors="replace", newline="") as f:
        texts = [r["comment_text"] for r in csv.DictReader(f)]
    assert (spam_scores(texts) >= SPAM).mean() < 0.1


@pytest.mark.parametrize("text", ["Зайдите на мой канал, там обзоры", "Visita mi canal por favor", "Schaut bei mir vorbei, mein Kanal ist neu", "제 채널도 놀러 오세요", "私のチャンネルも見てください", "私 wa.me/4915112345678"])
def test_spam_is_found_in_other_languages(text: str) -> None: assert spam_scores([text])[0] >= SPAM


def test_glad_and_angry_comments_differ() -> None:
    glad, angry = (measure(comments_statistics, {"texts": commented(*said), "meta": META}) for said in (
        ("I love this video so much", "What a wonderful song", "это просто прекрасно, спасибо"), ("I hate this so much", "this is terrible and boring", "какой ужас, отвратительно")))
    assert told(glad, "valence")["mean"] > 0.4 and told(angry, "valence")["mean"] < -0.4
    assert told(glad, "valence")["known_share"] == 1 and told(glad, "language")["ru"] == pytest.approx(1 / 3)


def test_an_unknown_language_has_no_valence_and_is_no_neutral_text() -> None:
    made = measure(comments_statistics, {"texts": commented("Das ist wirklich ein sehr schönes Lied", "Ich finde dieses Video ganz furchtbar"), "meta": META})
    assert told(made, "valence")["known_share"] == 0 and np.isnan(told(made, "valence")["mean"]) and told(made, "language")["de"] == 1


def test_the_channel_does_not_count_as_a_glad_viewer() -> None:
    both = commented("I love you all, best fans ever", by_uploader=True).comments + commented("This is terrible and boring").comments
    made = measure(comments_statistics, {"texts": Texts(comments=both), "meta": META})
    assert told(made, "valence")["mean"] < 0 and told(made, "share")["uploader"] == 0.5


def test_pace_asks_dated_comments_only() -> None:
    undated = commented("one more", "and another", time_s=float("nan")).comments
    dated = commented(*["a comment"] * 4).comments
    both = told(measure(comments_statistics, {"texts": Texts(comments=dated + undated), "meta": META}), "pace")
    alone = told(measure(comments_statistics, {"texts": Texts(comments=dated), "meta": META}), "pace")
    assert both.pop("dated_share") == pytest.approx(4 / 6) and alone.pop("dated_share") == 1 and both == alone
    assert alone["rate"] == 4 and alone["last_day"] == 4 and alone["newest_age"] == 1
    assert np.isnan(list(told(measure(comments_statistics, {"texts": Texts(comments=dated), "meta": Meta()}), "pace").values())[1:]).all()


@given(st.lists(st.tuples(st.text(max_size=40), st.booleans(), st.one_of(st.just(float("nan")), st.floats(0, 1e6))), max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_comments_are_measured_within_bounds(rows) -> None:
    comments = tuple(Comment(text, META.t0_s - 60, likes, reply, False, "") for text, reply, likes in rows)
    made = measure(comments_statistics, {"texts": Texts(comments=comments), "meta": META})
    for name in ("share", "language", "likes"):
        x = made[name][~np.isnan(made[name])]
        assert ((x >= -1e-6) & (x <= 1 + 1e-6)).all(), name
    assert told(made, "count")["comments"] == len(rows)
