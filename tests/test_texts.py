"""The info JSON, subtitles and what is measured on texts: hostile input, privacy, t0, and hand-checked numbers."""
from __future__ import annotations

import copy
import json
import math
import os
import time
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trendflow.core import samples
from trendflow.core.artifact import write_artifact
from trendflow.core.columns import columns, row
from trendflow.core.contract import contract
from trendflow.core.errors import ContractError, MissingInput, UsageError
from trendflow.core.measure import measure
from trendflow.core.sources import Comment, Cue, Meta, Texts, plain
from trendflow.kit import assets, words
from trendflow.segment.texts import CATEGORIES, VideoDocument, id_digest, moment, read_info, read_transcript
from trendflow.text.lexico_static_features import lexico_static_features
from trendflow.text.tags_extractor import tags_extractor
from trendflow.text.video_meta import video_meta

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EPOCH = 1714824000
SECRET = "Zq7xSecretPhrase"


def labelled(artifact, name: str) -> dict[str, float]:
    "One labelled array as a dict."
    labels = next(iter(artifact.meta["schema"]["arrays"][name]["labels"].values()))
    return dict(zip(labels, artifact[name].tolist()))


# --- the sample -------------------------------------------------------------------------------------------------------------------


def test_sample_is_read_in_full() -> None:
    texts, meta, video_id, digests = read_info(samples.info())
    assert video_id == "tfSample_01" and set(digests) == {"texts", "meta"}
    assert texts.title and texts.description and len(texts.tags) == 7 and texts.hashtags == ("coffee", "cats", "space") and texts.language == "en"
    assert len(texts.comments) == 11 and texts.comments_cut and texts.comments_dated and sum(c.is_reply for c in texts.comments) == 1
    assert [c.by_uploader for c in texts.comments].count(True) == 1 and texts.comments[1].author_digest == meta.channel_digest
    assert (meta.t0_s, meta.published_s, meta.published_step_s) == (EPOCH, 1714575600, 1)
    assert (meta.views, meta.likes, meta.comments, meta.channel_subscribers, meta.duration_s) == (4812, 286, 12, 12300, 32)
    assert (meta.width, meta.height, meta.fps, meta.category_id, meta.age_limit, meta.is_live, meta.language) == (640, 360, 25, 27, 0, 0, "en")
    assert meta.notes == () and len(texts.notes) == 1


def test_sample_is_measured() -> None:
    texts, meta, *_ = read_info(samples.info())
    numbers, tags, form = measure(video_meta, {"meta": meta}), measure(tags_extractor, {"texts": texts}), measure(lexico_static_features, {"texts": texts})
    assert labelled(numbers, "count") == {"views": 4812, "likes": 286, "comments": 12, "channel_subscribers": 12300}
    assert float(numbers.age_s) == EPOCH - 1714575600 and float(numbers.publish_hour) == 15 and float(numbers.publish_weekday) == 2
    assert labelled(numbers, "per_day")["views"] == pytest.approx(4812 / ((EPOCH - 1714575600) / 86400))
    assert labelled(tags, "hashtag")["description_count"] == 3 and labelled(tags, "hashtag")["title_count"] == 0
    assert labelled(tags, "tag")["count"] == 7 and labelled(tags, "tag")["in_title_share"] == pytest.approx(2 / 7)
    assert labelled(form, "title_form")["has_separator"] == 0
    assert labelled(form, "description_count") == {"lines": 9, "links": 1, "emails": 0, "times": 5, "chapters": 5}
    count = dict(zip(form.meta["schema"]["arrays"]["count"]["labels"]["mark"], form["count"][0]))
    assert (count["numbers"], count["emojis"], count["different_emojis"]) == (1, 2, 2)


def test_file_and_dict_are_the_same_and_the_dict_is_left_alone() -> None:
    data = json.loads(samples.info().read_text(encoding="utf-8"))
    before = copy.deepcopy(data)
    one, two = read_info(data), read_info(str(samples.info()))
    assert data == before and one.digests == two.digests and one.texts == two.texts
    assert read_info(dict(reversed(list(data.items())))).digests == one.digests


def test_digests_see_what_they_should() -> None:
    data = json.loads(samples.info().read_text(encoding="utf-8"))
    one = read_info(data).digests
    more_views, other_title = read_info({**data, "view_count": 5000}).digests, read_info({**data, "title": "x"}).digests
    assert more_views["texts"] == one["texts"] and more_views["meta"] != one["meta"]
    assert other_title["texts"] != one["texts"] and other_title["meta"] == one["meta"]
    assert read_info({**data, "view_count": -5}).digests["meta"] == read_info({**data, "view_count": None}).digests["meta"]       # notes are no content


# --- hostile fields ---------------------------------------------------------------------------------------------------------------

BAD = [None, True, "text", "", 7, -1, 0, 2.5, math.nan, math.inf, -math.inf, 10**400, -10**400, [], {}, [[]], [None], [{}], {"a": 1}, b"bytes", "\ud800", "\x00", "x" * 200_000,
       ["x" * 5000, 3, None], [{"text": 3}, {"text": "t", "timestamp": "now", "like_count": -1, "parent": [], "author_id": 5}, 9], object(), 1e308, "20249999", "２０２４０５０１"]
KEYS = ["title", "description", "tags", "categories", "comments", "view_count", "like_count", "comment_count", "channel_follower_count", "duration", "width", "height", "fps",
        "age_limit", "is_live", "was_live", "live_status", "language", "channel_id", "timestamp", "release_timestamp", "upload_date", "epoch", "formats", "chapters"]


@pytest.mark.parametrize("key", KEYS)
def test_a_bad_field_is_refused_by_name_or_absent_and_never_a_crash(key: str) -> None:
    for bad in BAD:
        try: info = read_info({key: bad})
        except UsageError as e:
            assert f"{key}: " in str(e) or f"{key}[" in str(e)
            continue
        assert isinstance(info, VideoDocument) and len(info.digests["texts"]) == len(info.digests["meta"]) == 64
        for fn, name, source in ((video_meta, "meta", info.meta), (tags_extractor, "texts", info.texts), (lexico_static_features, "texts", info.texts)):
            measure(fn, {name: source})


def test_wrong_types_are_refused_all_at_once_and_by_name() -> None:
    data = {"title": 7, "view_count": "4812", "tags": "a", "upload_date": 20240501, "comments": [{"text": "fine"}, 5, {"text": "x", "timestamp": "now", "author_id": 5}], "nobody asks": object()}
    with pytest.raises(UsageError) as caught: read_info(data)
    said = str(caught.value)
    for part in ("title: a text is needed, got int", "view_count: a number is needed, got str", "tags: a list is needed, got str", "upload_date: a text is needed, got int",
                 "comments[1]: an object is needed, got int", "comments[2].timestamp: a number is needed, got str"):
        assert part in said
    assert "4812" not in said and "now" not in said and "nobody" not in said
    assert read_info({"nobody asks": object(), "title": None}).texts == Texts()


def test_bad_values_leave_a_note() -> None:
    info = read_info({"like_count": -3, "duration": math.nan, "width": 2.5, "upload_date": "2024-05-01", "title": "x" * 1001})
    assert info.texts == Texts(notes=info.texts.notes) and math.isnan(info.meta.likes)
    assert [n.split(":")[0] for n in info.texts.notes] == ["title"]
    assert sorted(n.split(":")[0] for n in info.meta.notes) == ["duration", "like_count", "upload_date", "width"]


def test_a_document_is_read_once() -> None:
    document = read_info(samples.info())
    assert read_info(document) is document
    with pytest.raises(UsageError, match="its own t0"): read_info(document, t0=EPOCH)


def test_absent_and_empty_are_two_things() -> None:
    absent, empty = read_info({}).texts, read_info({"title": "", "description": "", "tags": [], "comments": []}).texts
    assert (absent.title, absent.tags, absent.hashtags, absent.comments) == (None, None, None, None)
    assert (empty.title, empty.tags, empty.hashtags, empty.comments) == ("", (), (), ())
    assert read_info({"comments": None}).texts.comments is None
    assert read_info({"view_count": np.int64(5), "duration": np.float32(2.5)}).meta.views == 5


def test_a_title_of_200_mb_is_absent_at_once() -> None:
    title, start = "x" * 200_000_000, time.process_time()
    assert len(title.encode()) == len(title)
    once, start = time.process_time() - start, time.process_time()
    info = read_info({"title": title, "view_count": 3})
    assert time.process_time() - start < 20 * once + 0.5 and info.texts.title is None and info.meta.views == 3         # no more than a few passes
    assert info.texts.notes == ("title: 200000000 characters, at most 1000 can be meant; taken as absent",)


def test_many_bad_comments_give_few_notes() -> None:
    listed = [{"text": "x" * (20_001 + i % 50), "timestamp": i} for i in range(2000)] + [None] * 10
    info = read_info({"comments": listed, "epoch": EPOCH})
    assert info.texts.comments == () and len(info.texts.notes) < 6


def test_lone_surrogates_are_replaced_and_pairs_are_joined() -> None:
    texts = read_info({"title": "a\ud800b", "description": "\ud83d\ude80 #\ud83d\ude80a", "tags": ["\udfff"]}).texts
    assert texts.title == "a\ufffdb" and texts.description.startswith("🚀") and texts.tags == ("\ufffd",)


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                           lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.sampled_from(["text", "timestamp", "parent"]), inner, max_size=4),
                           max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "id", "_type", "extractor_key"]), json_values, max_size=10))
def test_any_json_is_read_or_refused(data: dict) -> None:
    try: info = read_info(data)
    except UsageError: return
    assert plain(info.texts) and plain(info.meta)
    again = read_info(data)
    assert again.digests == info.digests


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), st.text(max_size=400), st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_measured(title: str, description: str, tags: list[str]) -> None:
    texts = Texts(title=title, description=description, tags=tuple(tags))
    for fn in (tags_extractor, lexico_static_features): assert measure(fn, {"texts": texts}).status == "ok"


# --- hostile files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no JSON"), (b"{", "line 1"), (b'{"title": "' + SECRET.encode(), "line 1"), (b"[" * 100_000, "nested too deeply"),
    (b"\xff\xfe\x00", "no JSON"), (b'{"a": "\xff"}', "not UTF-8"),
    (b'{"view_count": ' + b"9" * 5000 + b"}", "too many digits"), (b"[1, 2]", "a list"), (b'"' + SECRET.encode() + b'"', "a str"), (b"null", "a NoneType")])
def test_a_file_that_is_no_info_json(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / f"{SECRET}.info.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught: read_info(path)
    assert no_secret(caught.value)


def test_encodings_and_constants_of_json(tmp_path: Path) -> None:
    text = '{"title": "caf\u00e9 \\ud800", "view_count": NaN, "like_count": Infinity, "comment_count": 5}'
    for n, raw in enumerate([text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("utf-32")]):
        path = tmp_path / f"{n}.json"
        path.write_bytes(raw)
        info = read_info(path)
        assert info.texts.title == "café \ufffd" and math.isnan(info.meta.views) and math.isnan(info.meta.likes) and info.meta.comments == 5


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", "/dev/zero", "x" * 5000, "a\0b", json.dumps({"title": SECRET}), f"/no/{SECRET}.json"):
        with pytest.raises(UsageError) as caught: read_info(path)
        assert no_secret(caught.value)
        with pytest.raises(UsageError) as caught: read_info(None, transcript=f"{path}.vtt" if isinstance(path, str) else path)
        assert no_secret(caught.value)
    for thing in (7, b"path", ["x"], object()):
        with pytest.raises(UsageError, match="a path or a dict"): read_info(thing)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    with open(path, "wb") as f: f.truncate(200 << 20)
    with pytest.raises(UsageError, match="Fetch fewer comments"): read_info(path)


def test_what_is_no_single_video_of_the_platform() -> None:
    for data, says in (({"_type": "playlist"}, "a list"), ({"extractor_key": "Vimeo"}, "another platform"), ({"id": "../x"}, "4 characters"), ({"id": ""}, "0 characters"),
                       ({"id": 5}, "got int"), ({"id": "x" * 65}, "65 characters"), ({"id": "ａ"}, "1 characters"), ({"id": "a\n"}, "2 characters")):
        with pytest.raises(UsageError, match=says): read_info(data)
    assert read_info({"id": "dQw4w9WgXcQ", "extractor_key": "Youtube", "_type": "video"}).video_id == "dQw4w9WgXcQ" and read_info({}).video_id is None


# --- privacy ----------------------------------------------------------------------------------------------------------------------


def no_secret(thing: BaseException | str | bytes) -> bool:
    "True when the secret is nowhere in a text, or in an error with all that hangs on it."
    if isinstance(thing, bytes): return all(SECRET.encode(code) not in thing for code in ("utf-8", "utf-16-le", "utf-32-le"))
    if isinstance(thing, str): return SECRET not in thing
    chain, e = [], thing
    while e is not None:
        chain += [str(e), repr(e), repr(e.args), repr(getattr(e, "__dict__", {})), repr(getattr(e, "doc", "")), repr(getattr(e, "filename", "")), repr(getattr(e, "object", ""))]
        e = e.__cause__ or e.__context__
    shown = "".join(line for line in traceback.format_exception(thing) if not line.lstrip().startswith(("File", "with pytest", "read_info")))
    return all(SECRET not in x for x in [*chain, shown])


def planted() -> dict:
    "An info JSON with the secret in every text."
    person = {"author": SECRET, "author_id": f"UC{SECRET}", "author_url": f"https://x/{SECRET}", "author_thumbnail": SECRET}
    return {"id": "abc", "title": f"{SECRET} title", "fulltitle": SECRET, "description": f"about {SECRET}\n#{SECRET} https://x.org/{SECRET} {SECRET}@x.org @{SECRET}",
            "tags": [SECRET, "tag"],
            "channel": SECRET, "channel_id": f"UC{SECRET}", "channel_url": SECRET, "uploader": SECRET, "uploader_id": f"@{SECRET}", "webpage_url": SECRET, "thumbnail": SECRET,
            "chapters": [{"title": SECRET}], "categories": [SECRET], "language": SECRET, "filename": SECRET, "_filename": SECRET, SECRET: 1, "epoch": EPOCH,
            "comments": [{"id": SECRET, "text": f"I say {SECRET}", "timestamp": EPOCH - 10, "parent": SECRET, **person}, {"text": SECRET * 5000, "timestamp": -1, **person}, None]}


def test_no_text_in_reprs_notes_and_artifacts(tmp_path: Path) -> None:
    vtt = tmp_path / "a.vtt"
    vtt.write_text(f"WEBVTT\n\n00:00.000 --> 00:01.000\nthey said {SECRET}\n")
    info = read_info(planted(), transcript=vtt)
    assert SECRET in info.texts.title and SECRET in info.texts.transcript[0].text                 # it is there to be measured
    shown = "".join(repr(x) for x in (info, info.texts, info.meta, *info.texts.comments, *info.texts.transcript, info.texts.notes, info.meta.notes))
    assert no_secret(shown + str(info) + f"{info.texts}") and no_secret(json.dumps(plain(info.meta)))
    for fn, source in ((video_meta, {"meta": info.meta}), (tags_extractor, {"texts": info.texts}), (lexico_static_features, {"texts": info.texts})):
        made = measure(fn, source)
        write_artifact(made, tmp_path / f"{fn.__name__}.npz")
        assert no_secret((tmp_path / f"{fn.__name__}.npz").read_bytes()) and no_secret(repr(made)) and no_secret(json.dumps(made.meta))
        assert no_secret("".join(columns(contract(fn))))


@pytest.mark.parametrize("key", ["title", "description", "tags", "comments", "categories", "language", "channel_id", "timestamp", "upload_date", "epoch", "view_count",
                                 "live_status"])
def test_no_text_in_notes_of_wrong_types(key: str) -> None:
    for value in (SECRET, [SECRET], {SECRET: SECRET}, [[SECRET]], [{"text": SECRET * 10_000}], SECRET * 20_000, [SECRET * 1000]):
        try: info = read_info({key: value})
        except UsageError as e:
            assert no_secret(e)
            continue
        assert no_secret(repr(info.texts.notes) + repr(info.meta.notes) + repr(info.meta) + repr(info.texts))


def test_no_text_in_errors(tmp_path: Path) -> None:
    broken = tmp_path / f"{SECRET}.srt"
    broken.write_text(SECRET)
    latin = tmp_path / f"{SECRET}.vtt"
    latin.write_bytes(b"WEBVTT\n\xe9" + SECRET.encode())
    calls = [lambda: read_info({"id": f"../{SECRET}"}), lambda: read_info({"_type": SECRET}), lambda: read_info({"extractor_key": SECRET}), lambda: read_info({}, t0=SECRET),
             lambda: read_info({}, t0=[SECRET]), lambda: read_info(SECRET), lambda: read_transcript(broken), lambda: read_transcript(latin),
             lambda: read_transcript(f"{SECRET}.{SECRET}"),
             lambda: measure(tags_extractor, {"text": Texts(title=SECRET)})]
    for call in calls:
        with pytest.raises((UsageError, MissingInput)) as caught: call()
        assert no_secret(caught.value)


def test_ids_are_pseudonyms() -> None:
    info = read_info({"channel_id": "UCa", "comments": [{"text": "x", "author_id": "UCa"}, {"text": "y", "author_id": "UCb"}, {"text": "z"}]})
    authors = [c.author_digest for c in info.texts.comments]
    assert authors[0] == info.meta.channel_digest == id_digest("UCa") and authors[1] not in ("", authors[0]) and authors[2] == ""
    assert [c.by_uploader for c in info.texts.comments] == [True, False, False]
    assert all(id_digest(x) == "" for x in (None, 5, "", "x" * 201, ["UCa"]))


# --- t0 ---------------------------------------------------------------------------------------------------------------------------


def test_t0_is_the_argument_then_epoch_then_unknown_and_never_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(*_: object) -> float: raise AssertionError("somebody looked at the clock")
    monkeypatch.setattr(time, "time", clock)
    assert read_info({"epoch": EPOCH}).meta.t0_s == EPOCH
    assert read_info({"epoch": EPOCH}, t0=EPOCH + 5).meta.t0_s == EPOCH + 5
    assert math.isnan(read_info({}).meta.t0_s) and math.isnan(read_info({"epoch": -1}).meta.t0_s)


def test_moments() -> None:
    want = datetime(2024, 5, 4, 12, tzinfo=timezone.utc)
    for x in (EPOCH, float(EPOCH), np.int64(EPOCH), np.float64(EPOCH), want, want.astimezone(timezone(timedelta(hours=9))), "2024-05-04T12:00:00Z", "2024-05-04 14:00:00+02:00"):
        assert moment(x) == EPOCH
    for x in (True, None, [], "soon", "2024-05-04", "2024-05-04T12:00:00", want.replace(tzinfo=None), EPOCH * 1000, -1, 0, math.nan, math.inf, 10**400, 1j):
        with pytest.raises(UsageError): moment(x)


def comment(ago: float, **more: object) -> dict:
    "A comment some seconds before the epoch."
    return {"text": "x", "timestamp": EPOCH - ago, "like_count": 3, **more}


def test_comments_after_t0_are_cut() -> None:
    info = read_info({"epoch": EPOCH, "comments": [comment(1001), comment(101), comment(-1), {"text": "undated"}]})
    assert len(info.texts.comments) == 3 and info.texts.comments_cut and not info.texts.comments_dated and math.isnan(info.texts.comments[2].time_s)
    assert [c.likes for c in info.texts.comments][:2] == [3, 3]
    unknown = read_info({"comments": [comment(1001), comment(-1)]})
    assert len(unknown.texts.comments) == 2 and not unknown.texts.comments_cut and not unknown.texts.comments_dated
    clean = read_info({"epoch": EPOCH, "comments": [comment(1001)]})
    assert clean.texts.comments_dated and not clean.texts.comments_cut and clean.texts.notes == ()


def test_a_rounded_time_may_be_later_than_it_says() -> None:
    day = EPOCH - EPOCH % 86400
    noon = {"comments": [{"text": "x", "timestamp": day}]}          # "n days ago": half a day may be missing
    assert len(read_info(noon, t0=day + 3600).texts.comments) == 0
    assert len(read_info(noon, t0=day + 43200).texts.comments) == 1
    assert len(read_info({"comments": [{"text": "x", "timestamp": day + 7201}]}, t0=day + 7201).texts.comments) == 1


def test_nothing_that_was_read_after_t0_is_seen() -> None:
    data = {"epoch": EPOCH, "view_count": 10, "like_count": 1, "channel_follower_count": 5, "comment_count": 2, "duration": 30, "comments": [comment(90_001)]}
    past, same, later = read_info(data, t0=EPOCH - 3600), read_info(data, t0=EPOCH - 30), read_info(data, t0=EPOCH + 3600)
    assert all(math.isnan(x) for x in (past.meta.views, past.meta.likes, past.meta.comments, past.meta.channel_subscribers, past.texts.comments[0].likes))
    assert past.meta.duration_s == 30 and past.meta.notes == ("counters: read after t0; taken as absent",)
    assert same.meta.views == later.meta.views == 10 and later.texts.comments[0].likes == 3


def test_publication() -> None:
    def published(**data: object) -> tuple[float, float]:
        meta = read_info(data).meta
        return meta.published_s, meta.published_step_s
    day = datetime(2024, 5, 1, tzinfo=timezone.utc).timestamp()
    assert published(timestamp=EPOCH, upload_date="20240501") == (EPOCH, 1)
    assert published(timestamp=EPOCH, release_timestamp=EPOCH + 9) == (EPOCH + 9, 1) and published(timestamp=EPOCH, release_timestamp=EPOCH - 9) == (EPOCH, 1)
    assert published(upload_date="20240501") == (day, 86400) and published(timestamp=None, upload_date="20240501") == (day, 86400)
    for bad in ("20240230", "19700101", "2024051", "20240501\n"): assert all(math.isnan(x) for x in published(upload_date=bad))
    only_day = measure(video_meta, {"meta": read_info({"upload_date": "20240501", "epoch": EPOCH}).meta})
    assert math.isnan(only_day.publish_hour) and float(only_day.publish_weekday) == 2 and float(only_day.age_s) == EPOCH - day
    future = measure(video_meta, {"meta": read_info({"timestamp": EPOCH + 5, "epoch": EPOCH, "view_count": 3}).meta})
    assert math.isnan(future.age_s) and np.isnan(future.per_day).all()


def test_live_category_language() -> None:
    assert [read_info({"live_status": s}).meta.is_live for s in ("is_live", "was_live", "post_live", "not_live", "is_upcoming", None)] == [1, 1, 1, 0, -1, -1]
    assert [read_info({"is_live": a, "was_live": b}).meta.is_live for a, b in ((True, False), (False, True), (False, False), (None, False))] == [1, 1, 0, -1]
    assert [read_info({"categories": c}).meta.category_id for c in (["Music"], ["Education", "Music"], ["Nonsense"], [], None)] == [10, 27, -1, -1, -1]
    assert len(set(CATEGORIES.values())) == len(CATEGORIES)
    info = read_info({"language": "PT-br"})
    assert info.meta.language == info.texts.language == "pt-BR" and read_info({"language": "<x>"}).texts.language is None


# --- subtitles --------------------------------------------------------------------------------------------------------------------


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.skipif(not (SHARED / "speech/friday.vtt").exists(), reason="the shared test data is not here")
def test_friday() -> None:
    cues = read_transcript(SHARED / "speech/friday.vtt")
    assert [(c.start_s, c.end_s) for c in cues] == [(0, .999), (1, 1.499), (1.5, 2.999), (3, 4.299), (4.3, 6)]
    assert cues[0].text == "Hildy!" and cues[3].text == "Yes, he's in - in a bad humor"
    assert read_info(None, transcript=SHARED / "speech/friday.vtt").texts.transcript == cues


def test_vtt_with_everything(tmp_path: Path) -> None:
    path = written(tmp_path, "a.vtt", "\ufeffWEBVTT - some title\r\nKind: captions\r\n\r\nSTYLE\r\n::cue {}\r\n\r\nNOTE no cue\r\nat all\r\n\r\n"
                   "an-id\r\n01:00:00.500 --> 01:00:02.000 align:start position:0%\r\n"
                   "<v Fred>Hi, <i>you</i> &lt;3\r\nsecond line\r\n\r\n00:05.000 --> 00:06.000\r\n\r\n00:10.000 --> 00:09.000\r\nbackwards\r\n\r\n"
                   "0:01.000 --> 0:02.000\r\nearly\r\n")
    notes: list[str] = []
    cues = read_transcript(path, notes)
    assert [(c.start_s, c.end_s, c.text) for c in cues] == [(1, 2, "early"), (3600.5, 3602, "Hi, you <3\nsecond line")]
    assert notes == ["transcript: 1 cues end before they start and were left out"]


def test_srt(tmp_path: Path) -> None:
    cues = read_transcript(written(
        tmp_path, "a.SRT", "1\n00:00:01,000 --> 00:00:02,500\n{\\an8}Hello\n\n2\n00:00:03,000 --> 00:00:04,000\nHello\n\n3\n00:00:05,000 --> 00:00:06,000\n<b></b>\n"))
    assert [(c.start_s, c.end_s, c.text) for c in cues] == [(1, 2.5, "Hello"), (3, 4, "Hello")]
    assert read_transcript(written(tmp_path, "b.srt", "")) == () and read_transcript(written(tmp_path, "b.vtt", "WEBVTT")) == ()


def test_subtitles_that_are_none(tmp_path: Path) -> None:
    for name, text, says in (("a.vtt", "hello", "starts with WEBVTT"), ("a.vtt", "WEBVTTX\n", "starts with WEBVTT"), ("a.srt", "no cue", "no cue"), ("a.txt", "", ".vtt or .srt"),
                             ("a.srt", "é".encode("latin-1"), "UTF-8"), ("a.vtt", "WEBVTT\n".encode("utf-16"), "UTF-8")):
        with pytest.raises(UsageError, match=says): read_transcript(written(tmp_path, name, text))


def test_rolling_captions_are_said_once(tmp_path: Path) -> None:
    lines = ["one two", "three four", "five six", "five six"]
    text, shown = "WEBVTT\nKind: captions\nLanguage: en\n\n", ""
    for i, line in enumerate(lines[:3]):
        first, second = line.split()
        text += f"00:00:0{i}.000 --> 00:00:0{i}.990 align:start position:0%\n{shown or ' '}\n{first}<00:00:0{i}.500><c> {second}</c>\n\n"
        text += f"00:00:0{i}.990 --> 00:00:0{i + 1}.000 align:start position:0%\n{line}\n \n\n"
        shown = line
    assert [c.text for c in read_transcript(written(tmp_path, "a.vtt", text))] == lines[:3]


@pytest.mark.parametrize("piece", ["00:00.000 --> 00:01.000\nx\n\n", "<", "00:", "00:00.000 --> ", "{\\", "&amp", "\n", "\n \t", "1\n", "<00:00:00.000>", "-->", "\r"])
def test_reading_subtitles_takes_time_in_proportion(tmp_path: Path, piece: str) -> None:
    path = written(tmp_path, "a.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\n" + piece * (300_000 // len(piece)))
    start = time.process_time()
    read_transcript(path)
    assert time.process_time() - start < 2


# --- words ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "want"), [
    ("#one #two", ("one", "two")), ("a#b", ()), ("#1 #2024", ()), ("#1st", ("1st",)), ("https://a.org/#x www.a.org/b#c a.org/d#e", ()), ("&#39; &#x27;", ()),
    ("#é́ #Ñandú", ("é́", "Ñandú")),
    ("#हिन्दी #日本語 #한국어 ＃猫", ("हिन्दी", "日本語", "한국어", "猫")),
    ("(#in) \"#quotes\".", ("in", "quotes")), ("##double", ()), ("# space", ()), ("#" + "a" * 101, ()), ("#a_b-c", ("a_b",)),
    ("#кот, #cat!", ("кот", "cat")), ("me@a.org#x", ()), ("/#x", ()), ("#❤️", ())])
def test_hashtags(text: str, want: tuple[str, ...]) -> None:
    assert words.hashtags(text) == want and read_info({"title": text}).texts.hashtags == want


HOSTILE = [
    "a", "#", "#1", "#a", "a.", "a@", "@a", "1:", "0:00 ", "0:00\n", "www.", "http://", "-", "a'", "\u0301", "\u200d", "👍", "🇩", "\ufdfa", ".", "! ", "subscri", "like ",
    "\u3000", "\n", "漢", "A😀", "_", "#_",
    "[", "\"", "'a", "|", "like, ", "チャ", " - ", "%"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_measuring_takes_time_in_proportion(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    for fn in (tags_extractor, lexico_static_features): measure(fn, {"texts": Texts(title=text[:1000], description=text, tags=(text[:1000],) * 50)})
    assert time.process_time() - start < (10 if piece == "\ufdfa" else 4)       # that sign becomes 18 when it is folded


def test_a_run_of_flags_takes_time_in_proportion() -> None:
    start = time.process_time()
    assert words.characters("🇩" * 100_000) == len(words.emojis("🇩" * 100_000)) == 50_000
    assert time.process_time() - start < 2


def test_absent_empty_and_zero_in_the_text_components() -> None:
    for fn in (tags_extractor, lexico_static_features):
        assert measure(fn, {"texts": Texts(comments=(Comment("x", 0., 0., False, False, ""),), transcript=(Cue(0, 1, "x"),))}).meta["empty_reason"] == "no_text_available"
        assert measure(fn, {"texts": Texts(title="", description="")}).status == "ok"
    tags = measure(tags_extractor, {"texts": Texts(title="x", tags=())})
    assert labelled(tags, "tag")["count"] == 0 and math.isnan(labelled(tags, "tag")["length_mean"]) and labelled(tags, "hashtag")["title_count"] == 0
    assert np.isnan(measure(tags_extractor, {"texts": Texts(title="x")}).tag).all()
    form = measure(lexico_static_features, {"texts": Texts(description="x")})
    assert np.isnan(form.title_form).all() and np.isnan(form["size"][0]).all() and not np.isnan(form["size"][1]).any()


def test_words_hold_only_where_they_hold() -> None:
    form = measure(lexico_static_features, {"texts": Texts(title="東京でラーメン", description="นี่คือวิดีโอ " * 40)})
    assert np.isnan(form["size"][:, 1]).all() and form["size"][0, 0] == 7 and np.isnan(form["share"][:, :2]).all() and np.isnan(form.description_form).all()
    hindi = measure(lexico_static_features, {"texts": Texts(title="नमस्ते दुनिया कैसे हो")})
    assert hindi["size"][0, 1] == 4 and np.isnan(hindi["share"][0, 0])


def test_variety_and_lix_do_not_grow_with_length() -> None:
    rng = np.random.default_rng(3)
    vocabulary = [f"word{i}" for i in range(300)]
    text = [vocabulary[i] for i in rng.zipf(1.3, 8000) % 300]
    assert words.variety(text[:400]) == pytest.approx(words.variety(text), abs=.03)
    assert len(set(text[:400])) / 400 > 2 * len(set(text)) / 8000                # what the plain share does
    line = "The big red rockets fly far away into outermost space."
    assert words.lix("\n".join([line] * 5)) == words.lix("\n".join([line] * 50)) == 30


def test_no_feature_of_video_meta_is_a_date_a_channel_or_later_than_t0() -> None:
    values = row(measure(video_meta, {"meta": Meta(t0_s=EPOCH, published_s=EPOCH - 86400, views=5, channel_digest="a" * 16, language="en")}), contract(video_meta))
    assert not any(abs(v - EPOCH) < 1e7 for v in values.values()) and not any("channel." in k or "language" in k or "t0" in k for k in values)


# --- assets -----------------------------------------------------------------------------------------------------------------------


def test_every_asset_is_what_it_says() -> None:
    folder = Path(assets.__file__).parents[1] / "assets"
    for path in folder.glob("*.json"):
        if not path.name.endswith(".lock.json"): assert assets.asset(path.stem).licence


def test_an_altered_asset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.loads((Path(assets.__file__).parents[1] / "assets/phrases.json").read_text(encoding="utf-8"))
    (tmp_path / "assets").mkdir()
    monkeypatch.setattr(assets, "files", lambda _: tmp_path)
    for change, says in (({"data": {}}, "the file says another"), ({"id": "x"}, "expected 'phrases'"), ({"version": 0}, "a number from 1"), ({"more": 1}, "needs the keys")):
        assets.asset.cache_clear()
        (tmp_path / "assets/phrases.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ContractError, match=says): assets.asset("phrases")
    assets.asset.cache_clear()


def test_phrases_are_found_in_their_own_languages_and_not_in_plain_sentences() -> None:
    listed = assets.asset("phrases").data
    for kind, by_language in listed.items():
        flat = {kind: [p for ps in by_language.values() for p in ps]}
        for ps in by_language.values():
            for phrase in ps: assert words.phrase_counts(f"… {phrase.removesuffix('*').upper()} !", flat)[kind] >= 1, phrase
    innocent = ["I like trains and my comments are short", "The bell rang twice", "He shares a flat", "They offer a link between two ideas",
                "Me gusta la música", "Das ist ein Kommentar"]
    flat = {k: [p for ps in v.values() for p in ps] for k, v in listed.items()}
    assert all(sum(words.phrase_counts(text, flat).values()) == 0 for text in innocent)


def test_a_comment_without_a_time_is_cut_when_it_may_be_later_than_t0() -> None:
    info = {"epoch": 1767225600.0, "comments": [{"text": "undated"}, {"text": "old", "timestamp": 1767000001}]}
    assert [len(read_info(info, t0=t0).texts.comments or ()) for t0 in (None, 1767100000.0)] == [2, 1]
