"""Speech by its words: numbers that follow from a transcript that was made by hand."""
from __future__ import annotations

import numpy as np
import pytest

from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.measure import measure
from trendflow.core.sources import Texts
from trendflow.kit.models import known
from trendflow.kit.tokens import encode, read_tokenizer
from trendflow.text.asr_text_proxy_audio_features import asr_text_proxy_audio_features
from trendflow.text.lexico_static_features import lexico_static_features
from trendflow.text.tags_extractor import tags_extractor

SHA = known("whisper_tiny_en").files["tokenizer.json"].sha256


def told(artifact, name: str) -> dict[str, float]:
    labels = next(iter(artifact.meta["schema"]["arrays"][name]["labels"].values()))
    return dict(zip(labels, artifact[name].tolist()))


def transcript(*utterances: str, pace_s: float = 0.5, word_s: float = 0.4, apart_s: float = 2.0, probability: float = 0.9, language: str = "en"):
    "A transcript with a word every `pace_s`."
    tokenizer, base = read_tokenizer(SHA), samples.artifact("transcript")
    rows: dict[str, list] = {k: [] for k in ("token_id", "token_utterance_row", "word_token_row", "word_start_s", "word_end_s", "utterance_start_s", "utterance_end_s")}
    t = 0.0
    for u, text in enumerate(utterances):
        rows["utterance_start_s"].append(t)
        for word in text.split():
            rows["word_token_row"].append(len(rows["token_id"]))
            ids = encode(tokenizer, " " + word)
            rows["token_id"] += ids
            rows["token_utterance_row"] += [u] * len(ids)
            rows["word_start_s"].append(t)
            rows["word_end_s"].append(t + word_s)
            t += pace_s
        rows["utterance_end_s"].append(t)
        t += apart_s
    arrays = {k: np.array(v, "float64" if k.endswith("_s") else "int32") for k, v in rows.items()}
    n = len(rows["word_token_row"])
    arrays |= {"tokenizer": np.array(SHA, "U64"), "language": np.array(language, "U8"), "language_probability": np.float32(1), "log_probability": np.full(len(utterances), -0.2, np.float32),
               "word_probability": np.full(n, probability, np.float32)}
    return Artifact({**base.arrays, **arrays}, base.meta)


def measured(*utterances: str, speech=None, config: dict | None = None, **how):
    return measure(asr_text_proxy_audio_features, {"said": transcript(*utterances, **how), "speech": speech}, config)


def test_a_word_each_half_second_makes_120_a_minute() -> None:
    made = told(measured("one two three four five six seven eight nine ten", "one two three four five six seven eight nine ten"), "rate")
    assert made["words"] == 20 and made["spoken"] == pytest.approx(10) and made["speech_rate"] == pytest.approx(120) and made["rate_spread"] == pytest.approx(0, abs=1e-3)
    quick = told(measured("one two three four five six seven eight nine ten", pace_s=0.25, word_s=0.2), "rate")
    assert quick["speech_rate"] == pytest.approx(240) and quick["articulation_rate"] > 230


def test_the_time_that_is_spoken_is_that_of_speech_activity_where_it_is_given() -> None:
    base = samples.artifact("speech_activity")
    speech = Artifact({**base.arrays, "speech_start_s": np.array([0.0, 1.0]), "speech_end_s": np.array([2.0, 4.0])}, base.meta)
    assert told(measured("one two three four five six seven eight", speech=speech), "rate")["speech_rate"] == pytest.approx(120)
    nobody = samples.artifact("speech_activity", "empty")
    assert told(measured("one two three four five six seven eight", speech=nobody), "rate")["speech_rate"] == pytest.approx(120)


def test_pauses_are_between_words_and_not_between_scenes() -> None:
    made = told(measured("one two three", "four five six", apart_s=0.9), "pause")
    assert made["mean"] == pytest.approx(1.0) and made["longest"] == pytest.approx(1.0)
    assert np.isnan(told(measured("one two three", "four five six", apart_s=9.0), "pause")["mean"])


def test_fillers_repeats_and_marks() -> None:
    made = told(measured("Um, I I think it is, you know, good.", "Is it? No! Well..."), "style")
    assert made["fillers"] == pytest.approx(2 / 13) and made["repeats"] == pytest.approx(1 / 13)
    assert made["questions"] == made["exclamations"] == made["unfinished"] == pytest.approx(1 / 4)
    russian = told(measured("Ну, это, короче, хорошо", language="ru"), "style")
    assert russian["fillers"] == pytest.approx(2 / 4) and np.isnan(told(measured("Ja, das ist gut", language="de"), "style")["fillers"])


def test_unsure_words_are_counted_against_the_threshold() -> None:
    assert told(measured("one two three", probability=0.4), "confidence")["low_share"] == 1
    assert np.isnan(told(measured("one two three", probability=np.nan), "confidence")["low_share"])     # subtitles: nothing was recognised
    assert told(measured("one two three", probability=0.4, config={"low": 0.3}), "confidence")["low_share"] == 0


def test_a_script_without_spaces_has_no_words_a_minute() -> None:
    made = measured("東京 タワー で ラーメン", language="ja")
    assert np.isnan(told(made, "rate")["speech_rate"]) and told(made, "rate")["characters"] > 0


def test_no_word_is_kept() -> None:
    made = measured("Zyzzyva is a secret word")
    assert "yzzyva" not in str(made.meta).casefold() and all(a.dtype.kind != "U" for a in made.arrays.values())


def test_a_transcript_is_measured_by_its_words_and_sentences() -> None:
    said = transcript("Is the cat on the table?", "The cat is on the table. It sleeps.")
    made = measure(lexico_static_features, {"texts": Texts(), "said": said})
    form = told(made, "transcript_form")
    assert made.status == "ok" and not made.present("size").any()
    assert form["sentence_words"] == pytest.approx(14 / 3) and np.isnan(form["lix"])


@pytest.mark.parametrize(("title", "language", "asks", "clickbait"), [
    ("How to fix a bike", "en", 1, 0), ("Как починить велосипед", "ru", 1, 0), ("You won't believe this", "en", 0, 1), ("Вы не поверите, что случилось", "ru", 0, 1),
    ("Was ist das", None, 1, 0), ("Nasıl yapılır", "tr", 1, float("nan"))])
def test_titles_ask_and_lure_in_the_listed_languages(title: str, language: str | None, asks: float, clickbait: float) -> None:
    made = measure(lexico_static_features, {"texts": Texts(title=title, language=language)})
    found = dict(zip(made.schema["arrays"]["wording"]["labels"]["wording_of"], made["wording"][0].tolist()))
    assert found["asks"] == asks and (found["clickbait"] == clickbait or np.isnan([found["clickbait"], clickbait]).all())


def test_keywords_are_looked_for_in_what_was_said() -> None:
    given = {"texts": Texts(title="x", tags=("small cat", "rocket")), "said": transcript("There is a small cat here")}
    assert told(measure(tags_extractor, given), "tag")["in_transcript_share"] == 0.5
    assert np.isnan(told(measure(tags_extractor, {**given, "said": None}), "tag")["in_transcript_share"])
