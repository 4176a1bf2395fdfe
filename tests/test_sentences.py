"""Texts as vectors: the network against transformers, another tokenizer than the default one, sentences and chunks of anything, and what the embedders promise."""
from __future__ import annotations

import csv
import gzip
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from trendflow.core import samples
from trendflow.core.artifact import Artifact, write_artifact
from trendflow.core.contract import Hosting
from trendflow.core.errors import UsageError
from trendflow.core.measure import measure
from trendflow.core.roles import speaker_turns, transcript
from trendflow.core.sources import Comment, Texts
from trendflow.kit.minilm import Encoder, piece_vectors, pieces, read_minilm, read_pieces, sentence_vectors, text_network
from trendflow.kit.models import Models, find, known, loaded, model_folder, pin, single_threaded_torch, torchvision_here
from trendflow.kit.sentences import chunks, encoder, language_supported, pooled, sentence_spans, split, unknown_share, vectors, written
from trendflow.kit.tokens import Spoken, decode
from trendflow.kit.words import prose
from trendflow.text.comments_embedder import comments_embedder, ranked
from trendflow.text.cosine_metrics_extractor import PAIRS, cosine_metrics_extractor
from trendflow.text.description_embedder import description_embedder
from trendflow.text.hashtag_embedder import hashtag_embedder, phrases
from trendflow.text.qa_embedding_pairs_extractor import is_question, qa_embedding_pairs_extractor, threads
from trendflow.text.speaker_turn_embeddings_aggregator import relations, speaker_turn_embeddings_aggregator, turn_of
from trendflow.text.title_embedder import title_embedder
from trendflow.text.transcript_chunk_embedder import transcript_chunk_embedder

MODELS = Models(("text_embedding", "language"))
OF_TEXTS = (title_embedder, description_embedder, hashtag_embedder, comments_embedder, qa_embedding_pairs_extractor)
LINES = ("The booster lands on the ship.", "Как садится ракета на корабль?", "El cohete vuelve a la tierra.", "Die Rakete landet auf dem Schiff.", "ロケットが船に着陸する。")


def comment(text: str, likes: float = 0.0, time_s: float = 0.0, is_reply: bool = False, by_uploader: bool = False) -> Comment:
    return Comment(text, time_s, likes, is_reply, by_uploader, "")


# --- the network ----------------------------------------------------------------------------------------------------------------

def checkpoint(path: Path, width: int, layers: int, words: int, types: int = 2) -> dict:
    "A seeded BERT under the names and in the form in which its authors publish theirs."
    from safetensors.torch import save_file
    torch, made = single_threaded_torch(), {}
    torch.manual_seed(width + layers)

    def add(name: str, *shape: int) -> None: made[name] = (1 if "LayerNorm.weight" in name else 0) + 0.1 * torch.randn(*shape)
    def norm(name: str) -> None: add(f"{name}.LayerNorm.weight", width), add(f"{name}.LayerNorm.bias", width)
    def product(name: str, out: int, into: int) -> None: add(f"{name}.weight", out, into), add(f"{name}.bias", out)

    for name, n in (("word", words), ("position", 300), ("token_type", types)): add(f"embeddings.{name}_embeddings.weight", n, width)
    norm("embeddings")
    for i in range(layers):
        at = f"encoder.layer.{i}"
        for part in ("query", "key", "value"): product(f"{at}.attention.self.{part}", width, width)
        product(f"{at}.attention.output.dense", width, width), norm(f"{at}.attention.output")
        product(f"{at}.intermediate.dense", 4 * width, width), product(f"{at}.output.dense", width, 4 * width), norm(f"{at}.output")
    save_file(made, path / "model.safetensors")
    return made


def padded(words: int) -> dict[str, np.ndarray]:
    "Three sentences of different lengths, the shorter ones filled up with anything."
    return {"piece_id": np.random.default_rng(0).integers(0, words, (3, 12)), "piece_count": np.array([12, 1, 7], np.int32)}


def means(seen, count: np.ndarray) -> np.ndarray:
    "[sentence, feature] unit length, of what a BERT says of each piece."
    torch = single_threaded_torch()
    return np.stack([torch.nn.functional.normalize(x[:n].mean(0), dim=0).numpy() for x, n in zip(seen, count)])


@pytest.mark.parametrize(("width", "heads", "layers"), [(384, 12, 12), (128, 2, 3), (512, 8, 1)])
def test_the_network_is_torchs_own_encoder(tmp_path: Path, width: int, heads: int, layers: int) -> None:
    "Width, heads and number of layers as multilingual and small models have them, with padding."
    torch, w, given_ = single_threaded_torch(), checkpoint(tmp_path, width, layers, 97), padded(97)
    F, mask = torch.nn.functional, torch.from_numpy(np.arange(12) >= given_["piece_count"][:, None])
    words, places, types = (w[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type"))
    x = words[torch.from_numpy(given_["piece_id"])] + places[:12] + types[0]
    x = F.layer_norm(x, (width,), w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"], 1e-12)
    for i in range(layers):
        at = f"encoder.layer.{i}"
        layer = torch.nn.TransformerEncoderLayer(width, heads, 4 * width, 0, "gelu", 1e-12, batch_first=True).train()      # train: the slow path, written out
        own = {f"self_attn.in_proj_{k}": torch.cat([w[f"{at}.attention.self.{part}.{k}"] for part in ("query", "key", "value")]) for k in ("weight", "bias")}
        for theirs, ours in (("self_attn.out_proj", "attention.output.dense"), ("linear1", "intermediate.dense"), ("linear2", "output.dense"),
                             ("norm1", "attention.output.LayerNorm"), ("norm2", "output.LayerNorm")):
            own |= {f"{theirs}.{k}": w[f"{at}.{ours}.{k}"] for k in ("weight", "bias")}
        layer.load_state_dict(own)
        with torch.no_grad(): x = layer(x, src_key_padding_mask=mask)
    got = text_network({"model.safetensors": tmp_path / "model.safetensors"})(given_)["vector"]
    assert got.dtype == np.float32 and np.abs(got - means(x, given_["piece_count"])).max() < 2e-6


@pytest.mark.slow
def test_the_network_is_the_bert_of_transformers(tmp_path: Path) -> None:
    "The official library loads the same file under the same names and says the same."
    torchvision_here()
    import transformers
    torch, given_ = single_threaded_torch(), padded(97)
    checkpoint(tmp_path, 384, 12, 97)
    config = transformers.BertConfig(vocab_size=97, hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536, max_position_embeddings=300)
    config.save_pretrained(tmp_path)
    theirs, told = transformers.BertModel.from_pretrained(tmp_path, add_pooling_layer=False, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    mask = torch.from_numpy((np.arange(12) < given_["piece_count"][:, None]).astype(np.int64))
    with torch.inference_mode(): seen = theirs.eval()(torch.from_numpy(given_["piece_id"]), attention_mask=mask).last_hidden_state
    got = text_network({"model.safetensors": tmp_path / "model.safetensors"})(given_)["vector"]
    assert np.abs(got - means(seen, given_["piece_count"])).max() < 2e-6


@pytest.mark.parametrize(("width", "types"), [(128, 1), (96, 2)])
def test_another_family_is_refused(tmp_path: Path, width: int, types: int) -> None:
    "RoBERTa has names like BERT's, one type and other positions: it would run, and mean nothing. Of another width nobody knows the heads."
    checkpoint(tmp_path, width, 1, 50, types)
    with pytest.raises(UsageError, match="a BERT of width"): text_network({"model.safetensors": tmp_path / "model.safetensors"})


@settings(max_examples=8, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_company_and_order_change_nothing(said: list[str]) -> None:
    model = loaded("minilm", read_minilm)
    together = sentence_vectors(model, said)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[::-1], sentence_vectors(model, said[::-1]), atol=2e-6)
    assert np.allclose(together[0], sentence_vectors(model, said[:1])[0], atol=2e-6)


def test_two_threads_share_it() -> None:
    model, said = loaded("minilm", read_minilm), [f"{n} rockets land" for n in range(40)]
    with ThreadPoolExecutor(2) as pool: one, two = pool.map(lambda s: sentence_vectors(model, s), (said, said))
    assert np.array_equal(one, two)


PARAPHRASES = [("How to lose weight fast", "Ways to slim down quickly"), ("The cat sleeps on the sofa", "A kitten is napping on the couch"),
               ("Fix a flat bicycle tyre", "Repairing a puncture on your bike"), ("The stock market fell sharply today", "Share prices dropped a lot this afternoon"),
               ("Learn to play the guitar", "Beginner lessons for guitarists"), ("He was arrested by the police", "Officers took him into custody")]


def test_paraphrases_are_nearest() -> None:
    first, second = (vectors(MODELS, list(side)) for side in zip(*PARAPHRASES))
    assert ((first @ second.T).argmax(1) == np.arange(len(PARAPHRASES))).all()


# --- a model of many languages, with a tokenizer of another kind ----------------------------------------------------------------

@pytest.fixture(scope="module")
def cache_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A model cache with a BERT of twelve layers and a Unigram tokenizer, as paraphrase-multilingual-MiniLM-L12-v2 has them, and the language identifier."
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    folder = tmp_path_factory.mktemp("text")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(LINES * 3, trainers.UnigramTrainer(vocab_size=150, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    checkpoint(folder, 384, 12, tokenizer.get_vocab_size())
    language = find("language")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRENDFLOW_MODELS", str(folder / "cache"))
        pin("many", {n: folder / n for n in ("model.safetensors", "tokenizer.json")}, name="many languages", engine="torch")
        place = model_folder(known("language"))
        place.mkdir(parents=True)
        for name, path in language.items(): (place / name).symlink_to(path)
    return folder / "cache"


@pytest.fixture
def other(cache_of_many: Path, monkeypatch: pytest.MonkeyPatch) -> Hosting:
    "That model in the slot."
    monkeypatch.setenv("TRENDFLOW_MODELS", str(cache_of_many))
    return Hosting({"text_embedding": "many"})


def test_another_tokenizer_and_more_layers_run_unchanged(other: Hosting) -> None:
    model = encoder(Models(("text_embedding",), other))
    assert [p[0] for p in pieces(model.tokenizer, list(LINES))] == [0] * 5 and [p[-1] for p in pieces(model.tokenizer, list(LINES))] == [2] * 5
    assert len(pieces(model.tokenizer, ["ракета " * 300])[0]) == 256, "the limits of its file do not hold"
    assert unknown_share(model, pieces(model.tokenizer, ["€ €"])) > 0 == unknown_share(model, pieces(model.tokenizer, ["Как садится"]))
    text = " ".join(LINES) * 4
    made, spans = chunks(model, text, 24)
    starts = {text[a:b] for a, b in sentence_spans(text)}
    assert len(made) > 3 and all(len(p) <= 24 for p in made)
    assert [i for p in made for i in p[1:-1]] == model.tokenizer.encode(text, add_special_tokens=False).ids
    assert any(text[a:b].strip() in starts for a, b in spans)


@pytest.mark.parametrize("fn", OF_TEXTS, ids=lambda f: f.__name__)
def test_embedders_run_on_it_and_say_so(other: Hosting, fn) -> None:
    texts = replace(samples.texts("russian"), title="Как садится ракета на корабль?")
    made = measure(fn, {"texts": texts}, hosting=other)
    assert made.meta["models_used"][0]["model_name"] == "many languages"
    assert float(made.language_supported) == 1, "a model without a list of languages knows many"


# --- sentences and chunks -------------------------------------------------------------------------------------------------------

ANYTHING = st.text(st.one_of(st.sampled_from("aZ ё1.!?…\n\"»)。？؟🚀-"), st.characters(codec="utf-8")), max_size=120)


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_no_letter_is_lost_between_sentences(text: str) -> None:
    spans, inside = sentence_spans(text), set()
    for (a, b), (c, _) in zip(spans, [*spans[1:], (len(text), 0)]):
        assert a < b <= c and text[a:b] == text[a:b].strip()
        inside |= set(range(a, b))
    assert not [c for i, c in enumerate(text) if i not in inside and regex.match(r"[\p{L}\p{N}]", c)]


@pytest.mark.parametrize("hostile", ["." * 40_000 + "a", "1. " * 10_000, "a. " * 10_000, " " * 40_000 + "\n", "!)" * 20_000, "\n" * 40_000, "Mr. " * 10_000])
def test_hostile_texts_end(hostile: str) -> None:
    assert len(split(hostile)) <= 2


@settings(max_examples=60, deadline=None)
@given(ANYTHING, st.integers(4, 40))
def test_chunks_are_the_text(text: str, longest: int) -> None:
    model = loaded("minilm", read_minilm)
    made, spans = chunks(model, text, longest)
    assert [i for p in made for i in p[1:-1]] == model.tokenizer.encode(text, add_special_tokens=False).ids
    assert all(3 <= len(p) <= longest for p in made) and len(spans) == len(made)
    assert all(len(p) - 2 > (longest - 2) // 2 for p in made[:-1])


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(0, 999))
def test_pooled_is_its_definition(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, 5)), rng.integers(0, 4, n) + [1, *[0] * (n - 1)]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    made, mean = pooled(x, w), w @ x / w.sum()
    assert np.allclose(made.vector, mean / np.linalg.norm(mean), atol=1e-6) and np.isclose(made.norm, np.linalg.norm(mean))
    both = [(w[i] * w[j], x[i] @ x[j]) for i, j in combinations(range(n), 2)]
    total = sum(a for a, _ in both)
    assert np.isnan(made.similarity) if total == 0 else np.isclose(made.similarity, sum(a * b for a, b in both) / total)


def test_what_is_stated_counts_where_a_text_is_short() -> None:
    said = ["Как садится ракета на корабль", "🚀", "42", "How does a rocket land on a ship"]
    assert np.array_equal(language_supported(MODELS, said), [0, np.nan, np.nan, 1], equal_nan=True)
    assert language_supported(MODELS, said, "en-US").tolist() == [0, 1, 1, 1]
    assert np.array_equal(language_supported(MODELS, said, "und"), language_supported(MODELS, said), equal_nan=True)
    assert language_supported(MODELS, [], "en").shape == (0,)


# --- the embedders --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fn", OF_TEXTS, ids=lambda f: f.__name__)
def test_no_text_is_stored(fn, tmp_path: Path) -> None:
    "Words of every text, planted, are in no byte of the artifact."
    secrets = [f"zq{name}xk" for name in ("title", "description", "tag", "hash", "comment", "reply")]
    t, d, g, h, c, r = (f"Is {s} a secret?" for s in secrets)
    made = measure(fn, {"texts": Texts(t, d, (g,), (secrets[3],), (comment(c, 3), comment(r, is_reply=True)))})
    assert made.status == "ok" and h
    write_artifact(made, tmp_path / "a.npz")
    raw = (tmp_path / "a.npz").read_bytes()
    assert not [s for s in secrets if s.encode() in raw or s.encode("utf-32-le") in raw]


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(8)))
def test_the_order_of_comments_does_not_matter(order: list[int]) -> None:
    said = [comment(f"{word} is what I like about this", likes=i % 3, time_s=i) for i, word in enumerate("music light sound voice colour pace cut joke".split())]
    one, two = (measure(comments_embedder, {"texts": Texts(comments=tuple(c))}, {"most": 5}) for c in (said, [said[i] for i in order]))
    assert np.array_equal(one.vector, two.vector)


def test_comments_are_chosen_and_weighted_by_likes() -> None:
    many = [comment(f"comment number {i} of many", likes=i, time_s=-i) for i in range(300)] + [comment("Best of all", 1e6, by_uploader=True)]
    made = measure(comments_embedder, {"texts": Texts(comments=tuple(many))}, {"most": 20})
    assert made.n.tolist() == [300, 300, 20]
    best = ranked(many[:300])[:20]
    assert [c.likes for c in best] == list(range(299, 279, -1))
    found = vectors(MODELS, [c.text for c in best])
    for row, w in zip(made.vector, (None, np.log1p([c.likes for c in best]))): assert np.allclose(row, pooled(found, w).vector, atol=1e-5)


def test_tags_are_said_as_words() -> None:
    assert phrases(["", "🚀", "cats", "Cats", "MyCat", "my_cat", "my cat"]) == ["cats", "My Cat"]
    assert phrases(["Café", "CAFE\u0301"]) == ["Café"]


def test_words_of_a_transcript_keep_their_spaces() -> None:
    said = samples.artifact(transcript)
    spoken = decode(said)
    rows = said.token_utterance_row[said.word_token_row]
    words = written(spoken, rows)
    assert "".join(words).split() == [p for w in spoken.words for p in w.split()]
    assert written(Spoken(["a b"], ["a", "lost", "b"], "en"), np.zeros(3, int)) == ["a", " lost", " b"]
    assert written(Spoken([], [], ""), np.zeros(0, int)) == []


def test_chunks_of_a_transcript_are_those_of_its_text() -> None:
    said = samples.artifact(transcript)
    made = measure(transcript_chunk_embedder, {"transcript": said}, {"longest": 16})
    text = "".join(written(decode(said), said.token_utterance_row[said.word_token_row]))
    model = encoder(MODELS)
    assert np.array_equal(made.chunk_vector, piece_vectors(model, chunks(model, text, 16)[0]))
    assert np.allclose(made.vector, pooled(made.chunk_vector, made.n_pieces).vector, atol=1e-6)
    assert (made.chunk_start_s < made.chunk_end_s).all() and made.ends_cosine == np.float32(made.chunk_vector[0] @ made.chunk_vector[-1])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 9999), st.sampled_from([0.0, 0.5]))
def test_words_go_to_the_turn_that_they_overlap_most(n: int, k: int, seed: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    (ws, we), (ts, te) = (np.sort(rng.integers(0, 80, (m, 2)) / 8, axis=1).T for m in (n, k))
    for word, turn in enumerate(turn_of(ws, we, ts, te, reach)):
        near = [min(we[word], te[i]) - max(ws[word], ts[i]) for i in range(k)]
        assert turn == (int(np.argmax(near)) if max(near) >= -reach else -1)


def test_speakers_are_the_means_of_their_turns() -> None:
    said, turns = samples.artifact(transcript), samples.artifact(speaker_turns)
    edges, who = np.array([0.0, 1.5, 3.0, 4.5, 6.0]), np.array([7, 2, 7, 2], "int32")
    turns = Artifact({**turns.arrays, "turn_start_s": edges[:-1], "turn_end_s": edges[1:], "speaker_id": who}, turns.meta)
    made = measure(speaker_turn_embeddings_aggregator, {"transcript": said, "turns": turns})
    assert made.turn_words.tolist() == [5, 5, 5, 5] and sorted(made.ranked_speaker[:2].tolist()) == [2, 7] and (made.ranked_speaker[2:] == -1).all()
    words = written(decode(said), said.token_utterance_row[said.word_token_row])
    each = vectors(MODELS, ["".join(words[i:i + 5]).strip() for i in range(0, 20, 5)])
    assert np.allclose(made.turn_vector, each, atol=1e-5) and np.isnan(made.speaker_vector[2:]).all()
    pairs = [each[i] @ each[i + 1] for i in range(3)], [each[0] @ each[2], each[1] @ each[3]], [made.speaker_vector[0] @ made.speaker_vector[1]]
    assert np.allclose(made.cosine, [np.mean(p) for p in pairs], atol=1e-5)
    short = Artifact({**turns.arrays, "turn_end_s": edges[:-1] + [0.5, 1.5, 1.5, 1.5]}, turns.meta)
    least = measure(speaker_turn_embeddings_aggregator, {"transcript": said, "turns": short}, {"reach_s": 0.0})
    assert np.isnan(least.turn_vector[0]).all() and 0 < least.assigned_share < 1


def test_cosines_are_those_of_the_vectors() -> None:
    texts = samples.texts()
    given = {f.__name__: measure(f, {"texts": texts}) for f in OF_TEXTS[:4]}
    given["transcript_chunk_embedder"] = measure(transcript_chunk_embedder, {"transcript": samples.artifact(transcript)}, {"longest": 16})
    made = measure(cosine_metrics_extractor, given)
    every = [a.vector[0] if n == "comments_embedder" else a.vector for n, a in given.items()]
    assert np.allclose(made.cosine[:10], [a @ b for a, b in combinations(every, 2)], atol=1e-6) and np.isnan(made.cosine[-2:]).all()
    best = dict(zip(PAIRS, made.cosine))
    assert best["title_transcript_best"] == pytest.approx((given["transcript_chunk_embedder"].chunk_vector @ every[0]).max())
    assert (made.supported[:11] == 1).all()
    russian = measure(cosine_metrics_extractor, {**given, "title_embedder": measure(title_embedder, {"texts": samples.texts("russian")})})
    assert (russian.supported[[0, 1, 2, 3, 10]] == 0).all() and (russian.supported[4:10] == 1).all()


# --- questions ------------------------------------------------------------------------------------------------------------------

def test_threads_end_at_the_next_comment() -> None:
    listed = [comment("Who made this?", 1), comment("I did.", is_reply=True, by_uploader=True), comment("And why?", is_reply=True), comment("For fun", is_reply=True),
              comment("Nice"), comment("Not a reply to the first", is_reply=True), comment("Any questions?", by_uploader=True), comment("Last one?", 5)]
    assert threads(listed) == [("Last one?", []), ("Who made this?", ["I did.", "And why?", "For fun"]), ("And why?", ["For fun"])]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["why is it?", "because", "🙂", "who?"]), st.booleans(), st.booleans()), max_size=12))
def test_threads_are_their_definition(drawn: list[tuple[str, bool, bool]]) -> None:
    said = [comment(f"{text} {i}" if text == "because" else text, is_reply=reply, by_uploader=own) for i, (text, reply, own) in enumerate(drawn)]
    want: dict[str, list[str]] = {}
    for i, c in enumerate(said):
        end = next((j for j in range(i + 1, len(said)) if not said[j].is_reply), len(said))
        if is_question(c.text) and not c.by_uploader: want.setdefault(c.text, [r.text for r in said[i + 1:end] if split(r.text)][:3])
    assert threads(said) == list(want.items())


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
def test_relations_of_turns_are_means_over_pairs(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    who, x = rng.integers(0, k, n), rng.normal(size=(n, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[rng.random(n) < 0.2] = np.nan
    there = [i for i in range(n) if not np.isnan(x[i, 0])]
    own = [x[i] @ x[j] for i, j in combinations(there, 2) if who[i] == who[j]]
    reply = [x[i] @ x[j] for i, j in zip(there, there[1:]) if who[i] != who[j]]
    assert relations(x, who, np.full((2, 5), np.nan)) == pytest.approx([np.mean(v) if v else np.nan for v in (reply, own, [])], abs=1e-9, nan_ok=True)


def test_speech_later_than_half_a_minute_answers_nothing() -> None:
    said = samples.artifact(transcript)
    far = Artifact({**said.arrays, "word_start_s": said.word_start_s * 20, "word_end_s": said.word_end_s * 20, "utterance_end_s": said.utterance_end_s * 20}, said.meta)
    made = measure(qa_embedding_pairs_extractor, {"texts": Texts(), "transcript": far})
    assert made.n_questions.tolist()[3] == 1 and np.isnan(made.answer_cosine).all() and made.per_minute == pytest.approx(60 / (far.utterance_end_s - far.utterance_start_s).sum())


@cache
def spoken_comments(folder: Path) -> dict[str, list[Comment]]:
    "Video → its comments, as the two lists have them."
    out: dict[str, list[Comment]] = {}
    for name in ("US", "GB"):
        text = (folder / f"popularity/comments/{name}comments_part.csv").read_text("utf-8", errors="replace")
        for r in csv.DictReader(io.StringIO(text)): out.setdefault(r["video_id"], []).append(comment(r["comment_text"].replace("\\n", "\n"), float(r["likes"] or 0)))
    return out


def test_questions_without_a_mark_are_told_by_their_words(shared_data: Path) -> None:
    "Truth: the mark that the writer set, taken away for the test."
    said = [s for listed in spoken_comments(shared_data).values() for c in listed for s in split(prose(c.text))]
    marked = [regex.sub(r"[?!.…\"')\s]+$", "", s) for s in said if regex.search(r"\?[?!\"')]*$", s)]
    other = [s for s in said if regex.search(r"[.!…][\"')]*$", s) and "?" not in s]
    assert len(marked) > 150 and len(other) > 900
    assert np.mean([is_question(s) for s in marked]) > 0.25
    assert np.mean([is_question(s) for s in other]) < 0.005


# --- scores on real comments ----------------------------------------------------------------------------------------------------

def scored(folder: Path, n: int) -> tuple[float, float, int]:
    "AUC of single comments (own title against others'); share of videos whose comments are nearest to their own title; videos."
    titles, listed = {}, spoken_comments(folder)
    for name in ("US", "GB"):
        text = gzip.decompress((folder / f"popularity/trending_2017/{name}videos.csv.gz").read_bytes()).decode("utf-8-sig", errors="replace")
        titles |= {r["video_id"]: r["title"] for r in csv.DictReader(io.StringIO(text))}
    ids = sorted(set(titles) & set(listed))
    told = vectors(MODELS, [titles[i] for i in ids])
    whole = np.stack([measure(comments_embedder, {"texts": Texts(comments=tuple(listed[i][:n]))}).vector[0] for i in ids])
    cosine = [vectors(MODELS, [c.text for c in listed[i][:n]], 64) @ told.T for i in ids]
    own, others = (np.concatenate(x) for x in zip(*[(c[:, k], np.delete(c, k, 1).ravel()) for k, c in enumerate(cosine)]))
    better = np.searchsorted(np.sort(others), own) / len(others)
    return float(better.mean()), float(((whole @ told.T).argmax(1) == np.arange(len(ids))).mean()), len(ids)


def test_comments_are_near_their_own_title(shared_data: Path) -> None:
    auc, first, n = scored(shared_data, 8)
    assert n == 14 and auc > 0.68 and first > 0.6


@pytest.mark.slow
def test_all_comments_are_near_their_own_title(shared_data: Path) -> None:
    auc, first, n = scored(shared_data, 100)
    assert n == 14 and auc > 0.75 and first > 0.8


def test_the_sentence_model_reads_its_own_files() -> None:
    "The encoder of the lock is the tokenizer and the network together."
    files = find("minilm")
    apart = Encoder(read_pieces(files), text_network(files))
    assert np.array_equal(sentence_vectors(apart, ["one", "two three"]), vectors(MODELS, ["one", "two three"]))
