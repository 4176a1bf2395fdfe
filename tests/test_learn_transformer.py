"""The shot transformer and late fusion: tokens, network, training, model."""
from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.errors import MissingInput, UsageError
from trendflow.core.registry import get
from trendflow.kit.models import single_threaded_torch
from trendflow.learn.feature_schema import schema_of, side_by_side
from trendflow.learn.fit import Examples, Recipe, fit_network, told_by
from trendflow.learn.fusion import load_fusion, train_fusion
from trendflow.learn.inputs import fit_inputs, fit_ranks, ranks
from trendflow.learn.metrics import spearman
from trendflow.learn.shot_model import TransformerModel
from trendflow.learn.splits import split
from trendflow.learn.synthetic import synthetic_shots
from trendflow.learn.targets import heads
from trendflow.learn.tokens import MAX_SHOTS, MODALITIES, ShotTokens, merge_shots, pool_shots, shot_tokens, text_vectors, token_columns, token_schema, vector_table
from trendflow.learn.train_transformer import load_transformer, train_transformer
from trendflow.learn.transformer import Plan, forward_all, new_weights, pinball
from trendflow.views.backend import dataset
from weights import REASON, lacks

SMALL = {"width": 16, "hidden": 32, "looks": 2}
SHORT = Recipe(epochs=6, batch=32, rate=4e-3, warm_up=5, mean=0.9, members=2)
Q = (0.1, 0.5, 0.9)


def tensors(batch: dict[str, np.ndarray]) -> dict:
    torch = single_threaded_torch()
    return {n: torch.tensor(x) for n, x in batch.items()}


def edges(lengths) -> np.ndarray:
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    return np.stack([at[:-1], at[1:]], axis=1)


@cache
def trained(kind: str = "transformer") -> tuple:
    "A short training on invented videos with a title vector."
    data = synthetic_shots(videos=120)
    rng = np.random.default_rng(1)
    titles = pd.DataFrame(rng.normal(size=(120, 6)), index=data.features.index, columns=[f"title_vector.{i:03d}" for i in range(6)])
    features = data.features.join(titles)
    train = train_transformer if kind == "transformer" else train_fusion
    return train(features, data.targets, data.groups, tokens=data.tokens, folds=2, recipe=SHORT, form=SMALL, quiet=True), features, data


@cache
def random_network() -> tuple:
    "Weights by chance, also in the head, and videos of 1 to 9 shots."
    rng, torch = np.random.default_rng(0), single_threaded_torch()
    of = {"look.measure": "visual", "sound.measure": "audio", "said.measure": "text"}
    tokens = [ShotTokens(2.0 * np.arange(n), np.full(n, 2.0), {k: rng.normal(size=(n, 3)).astype("f4") for k in of}, of, {k.split(".")[0]: "1" for k in of}) for n in range(1, 10)]
    features = pd.DataFrame(rng.normal(size=(9, 6)), columns=["snapshot.a", "snapshot.b", "channel.c", "loudness_extractor.loudness.std", "title_vector.000", "title_vector.001"])
    inputs = fit_inputs(features, tokens, token_schema(tokens))
    plan = Plan(inputs.widths, tuple(heads()), Q, **SMALL, layers=2)
    w = new_weights(plan, seed=3, members=2)
    chance = torch.Generator().manual_seed(0)
    for name in ("head.w", "straight.w"): w[name] = torch.randn(w[name].shape, generator=chance)
    return plan, w, inputs, features, tokens


# --- tokens ---------------------------------------------------------------------------------------------------------------------

def test_300_shots_become_256_by_the_rule() -> None:
    "The 44 pairs of short shots among long ones are those that merge, and nothing else."
    lengths = [5.0] * 212 + [1.0, 1.0] * 44
    order = np.random.default_rng(0).permutation(256)                       # pairs stay together, long shots lie between them
    blocks = ([[5.0]] * 212) + ([[1.0, 1.0]] * 44)
    mixed = [x for i in order for x in blocks[i]]
    merged = merge_shots(edges(mixed))
    assert len(mixed) == 300 and len(merged) == MAX_SHOTS == 256
    assert (merged[1:, 0] == merged[:-1, 1]).all() and np.diff(merged).sum() == sum(lengths)
    assert np.diff(merged).ravel().tolist() == [sum(blocks[i]) for i in order]


def test_merging_is_exact_on_a_hand_made_example() -> None:
    assert merge_shots(edges([4, 1, 2, 1, 12]), most=3).tolist() == [[0, 4], [4, 8], [8, 20]]
    assert merge_shots(edges([2, 2, 2, 2]), most=3).tolist() == [[0, 4], [4, 6], [6, 8]]        # the earlier of equal pairs
    assert merge_shots(edges([2, 2]), most=3).tolist() == [[0, 2], [2, 4]]
    with pytest.raises(UsageError, match="300 shots, the most is 256"): ShotTokens(np.zeros(300), np.ones(300), {}, {}, {})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    "Shots, light and loudness of the sample video."
    folder = tmp_path_factory.mktemp("tokens")
    profile = {"components": {"cut_detection": {}, "color_light": {}, "loudness_extractor": {}, "tags_extractor": {}}}
    return run_video(samples.clip(), profile=profile, store=folder / "store", work=folder / "work", quiet=True)


def test_shots_of_a_real_run(run) -> None:
    tokens = shot_tokens(run)
    assert len(tokens) == run["shots"].sizes["shot"] and abs(len(tokens) - len(samples.truth()["transitions"]) - 1) <= 1
    assert tokens.length_s.sum() == pytest.approx(run.manifest["run"]["readable_s"], abs=0.2)
    names = token_columns(["cut_detection", "color_light", "loudness_extractor"])
    schema = token_schema([tokens])
    assert {m: schema.width(m) for m in MODALITIES} == {m: len(n) for m, n in names.items()}
    assert tokens.mask("visual").all() and tokens.mask("audio").mean() > 0.8 and not tokens.mask("text").any()
    tone, pooled = tokens.arrays["color_light.tone"], run["color_light"].tf.per_shot(run["shots"])["tone"].values
    assert np.array_equal(tone, pooled.astype("f4"), equal_nan=True)        # one way to pool
    loud = run["loudness_extractor"]
    k, (start, end) = 1, (tokens.start_s[1], tokens.start_s[1] + tokens.length_s[1])
    touching = (loud["segment_start_s"].values < end) & (loud["segment_end_s"].values > start)
    assert tokens.arrays["loudness_extractor.momentary_max"][k, 0] == pytest.approx(float(np.nanmax(loud["momentary_max"].values[touching])))
    assert text_vectors(run).empty


def test_few_tokens_of_a_real_run_are_pooled_over_the_merged_shots(run) -> None:
    many, few = shot_tokens(run), shot_tokens(run, most=2)
    assert len(few) == 2 and few.length_s.sum() == pytest.approx(many.length_s.sum())
    highest = "loudness_extractor.momentary_max"
    assert np.nanmax(few.arrays[highest]) == np.nanmax(many.arrays[highest])        # a maximum stays a maximum


def test_without_shots(run) -> None:
    with pytest.raises((MissingInput, KeyError), match="shots"): shot_tokens({"color_light": run["color_light"]})
    empty = run["shots"].isel(shot=slice(0, 0))
    assert len(shot_tokens({"shots": empty, "color_light": run["color_light"]})) == 0
    older = run["color_light"].assign_attrs(schema_version="color_light_v0")
    with pytest.raises(UsageError, match="color_light has schema 'color_light_v0'"): shot_tokens({"shots": run["shots"], "color_light": older})


def test_pooling_all_shots_is_the_mean_over_time() -> None:
    data = synthetic_shots(videos=3)
    for t in data.tokens.values():
        one, x = pool_shots(t), t.arrays["synthetic_look.measure"]
        assert len(one) == 1 and one.arrays["synthetic_look.measure"][0] == pytest.approx(t.length_s @ x / t.length_s.sum(), rel=1e-5)


class Views(dict):
    "Views by component, with the manifest of a run."
    def __init__(self, video: str, **views):
        super().__init__(views)
        self.manifest = {"run": {"video_id": video}}


@pytest.mark.parametrize("component", ["title_embedder", "description_embedder", "comments_embedder"])
def test_vectors_of_another_text_model_are_refused(component: str) -> None:
    view = dataset(samples.artifact(get(component)))
    first, second = (view.assign_attrs(models_used=f"{m}, lid.176.ftz 1 0") for m in ("minilm 1 aaaa", "minilm 1 bbbb"))       # the same model with other weights
    features = pd.DataFrame({"snapshot.views_log": [1.0, 2]}, index=pd.Index(["a", "b"], name="video_id"))
    with pytest.raises(UsageError, match="vectors: of different text models"): vector_table([Views("a", **{component: first}), Views("b", **{component: second})])
    known = schema_of(side_by_side(features, vector_table([Views("a", **{component: first}), Views("b")])))
    assert known.select(side_by_side(features[:1], vector_table([Views("a", **{component: first})]))).notna().all(axis=None)
    with pytest.raises(UsageError, match="_vector has schema .* bbbb"): known.select(side_by_side(features[:1], vector_table([Views("a", **{component: second})])))


# --- inputs and network -----------------------------------------------------------------------------------------------------------

def test_ranks_keep_the_order_and_ignore_the_scale() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.lognormal(0, 5, 500), rng.integers(0, 3, 500), np.full(500, 7.0), np.full(500, np.nan)], axis=1)
    z = ranks(x, fit_ranks(x))
    assert spearman(x[:, 0], z[:, 0]) > 0.9999 and np.abs(z[:, :3]).max() < 3
    assert len(np.unique(z[:, 1])) == 3 and (z[:, 2] == 0).all() and np.isnan(z[:, 3]).all()
    assert np.allclose(ranks(1000 * x - 5, fit_ranks(1000 * x - 5)), z, atol=1e-5, equal_nan=True)
    assert ranks(np.array([[1e12, 9, 7, 3]]), fit_ranks(x))[0, 0] == z[:, 0].max()


def test_order_and_padding_change_nothing() -> None:
    plan, w, inputs, features, tokens = random_network()
    rows = np.arange(9)
    encoded = inputs.encode(features, tokens)
    said = forward_all(w, plan, tensors(encoded.batch(rows)))
    assert (said - forward_all(w, plan, tensors(encoded.batch(rows, longer=40)))).abs().max() < 1e-5
    rng = np.random.default_rng(1)
    turned = [ShotTokens(t.start_s[p], t.length_s[p], {n: x[p] for n, x in t.arrays.items()}, t.modalities, t.versions) for t in tokens for p in [rng.permutation(len(t))]]
    assert (said - forward_all(w, plan, tensors(inputs.encode(features, turned).batch(rows)))).abs().max() < 1e-5
    alone = np.concatenate([told_by(w, plan, encoded, np.array([i])) for i in rows])
    assert np.abs(alone - said.double().mean(0).numpy()).max() < 1e-5        # nor do the other videos of a batch
    later = [replace(t, start_s=t.start_s + 100) for t in tokens]
    assert (said - forward_all(w, plan, tensors(inputs.encode(features, later).batch(rows)))).abs().max() > 1e-3       # time is seen


@pytest.mark.parametrize("lacking", [*MODALITIES, "shots", "title_vector", "loudness_extractor", "snapshot", "everything"])
def test_what_is_missing_is_handled(lacking: str) -> None:
    plan, w, inputs, features, tokens = random_network()
    less, fewer = features.copy(), list(tokens)
    if lacking in MODALITIES: fewer = [replace(t, arrays={n: x for n, x in t.arrays.items() if t.modalities[n] != lacking}) for t in tokens]
    elif lacking == "shots": fewer = [None] * 9
    else: less[[c for c in less if lacking == "everything" or c.startswith(lacking)]] = np.nan
    if lacking == "everything": fewer = [None] * 9
    rows = np.arange(9)
    said, whole = (forward_all(w, plan, tensors(inputs.encode(x, t).batch(rows)), training=False) for x, t in ((less, fewer), (features, tokens)))
    assert said.isfinite().all() and (said - whole).abs().max() > 1e-3
    torch = single_threaded_torch()
    g = {n: x.clone().requires_grad_() for n, x in w.items()}
    with torch.random.fork_rng(): pinball(forward_all(g, plan, tensors(inputs.encode(less, fewer).batch(rows)), training=True), torch.zeros(9, 6), Q, torch.ones(6)).backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in g.values())


def test_a_column_that_was_never_absent_counts_as_the_middle_when_it_is() -> None:
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(101, 3)), columns=["snapshot.a", "snapshot.b", "loudness_extractor.loudness.std"])
    inputs = fit_inputs(features)
    plan = Plan(inputs.widths, tuple(heads()), Q, **SMALL)
    encoded = inputs.encode(features)
    w, _ = fit_network(plan, Examples(encoded, rng.normal(size=(101, 6)).astype("f4"), np.arange(101), np.arange(101)), SHORT)
    for c in ("snapshot.a", "snapshot.b"):
        gone, middle = (told_by(w, plan, inputs.encode(features.assign(**{c: v})), np.arange(101)) for v in (np.nan, features[c].median()))
        assert np.abs(gone - middle).max() < 1e-5


def test_values_beyond_the_training_count_as_the_nearest() -> None:
    x = np.array([1.0, 2, 3, 7, 7, 7])[:, None]
    assert ranks(np.array([[9.0], [0.0]]), fit_ranks(x)).tolist() == ranks(np.array([[7.0], [1.0]]), fit_ranks(x)).tolist()
    vectors = pd.DataFrame({"snapshot.a": [1.0, 2, 3], **{f"title_vector.{i:03d}": float(i == 0) for i in range(4)}})          # all titles alike
    other = vectors.assign(**{f"title_vector.{i:03d}": [float(i == 1), np.inf, np.nan] for i in range(4)})
    z = fit_inputs(vectors).encode(other).flat["title_vector"]
    assert np.abs(z[0]).max() <= 2 and np.isnan(z[1:]).all()


def test_modality_dropout_takes_pooled_groups_too() -> None:
    plan, w, inputs, features, tokens = random_network()
    torch, said = single_threaded_torch(), []
    all_gone = replace(plan, dropout=0.0, input_dropout=0.0, modality_dropout=1.0)
    for value in (features["loudness_extractor.loudness.std"], np.nan):
        batch = tensors(inputs.encode(features.assign(**{"loudness_extractor.loudness.std": value}), tokens).batch(np.arange(9)))
        with torch.random.fork_rng(): said.append(forward_all(w, all_gone, batch, training=True))
    assert torch.equal(*said)


def test_times_of_any_length_are_finite() -> None:
    plan, w, inputs, features, tokens = random_network()
    for t in (ShotTokens(np.zeros(1), np.zeros(1), {}, {}, {}), ShotTokens(np.array([0.0, 3.0, 3.0]), np.array([3.0, 0.0, 2e5]), {}, {}, {}),
              ShotTokens(np.arange(256) * 4000.0, np.full(256, 4000.0), {}, {}, {})):
        assert np.isfinite(told_by(w, plan, inputs.encode(features[:1], [t]), np.arange(1))).all()
    for start in (np.nan, -1.0):
        with pytest.raises(UsageError, match="finite and not negative"): ShotTokens(np.array([start]), np.ones(1), {}, {}, {})


def test_many_shots_are_encoded_as_each_alone() -> None:
    _, _, inputs, features, tokens = random_network()
    many = inputs.encode(pd.concat([features] * 40), tokens * 40)                   # more than one block of videos
    for g, parts in inputs.encode(features, tokens).shots.items():
        assert all(np.array_equal(a, b) for a, b in zip(parts * 40, many.shots[g], strict=True))


def test_quantiles_never_cross() -> None:
    plan, w, inputs, _, _ = random_network()
    rng, torch = np.random.default_rng(2), single_threaded_torch()
    for scale in (0.01, 1, 100, 1e4):
        batch = {g: torch.tensor(rng.normal(0, scale, (64, n) if not g.startswith("shots") else (64, 5, n)), dtype=torch.float32) for g, n in plan.widths.items()}
        batch |= {"times": torch.rand(64, 5, 2) * scale, "there": torch.rand(64, 5) < 0.7}
        for quantiles in (Q, (0.05, 0.25, 0.5, 0.75, 0.95), (0.5,), (0.5, 0.9)):
            p = replace(plan, quantiles=quantiles)
            v = {**w, "head.w": torch.randn(2, plan.width, 6 * len(quantiles)) * scale, "head.b": torch.randn(2, 6 * len(quantiles)) * scale}
            said = forward_all(v, p, batch)
            assert said.isfinite().all() and (said.diff(dim=-1) >= 0).all()


def test_an_unknown_head_has_no_gradient_and_changes_no_other() -> None:
    plan, w, inputs, features, tokens = random_network()
    torch, batch = single_threaded_torch(), tensors(inputs.encode(features, tokens).batch(np.arange(9)))
    y, found = torch.randn(9, 6, generator=torch.Generator().manual_seed(1)), []
    for seven in (torch.nan, 0.0):
        g = {n: x.clone().requires_grad_() for n, x in w.items()}
        told = y.clone()
        told[:, [0, 3]] = seven
        weights = torch.tensor([0.0 if seven == 0.0 else 0.5, 1, 1, 0.0 if seven == 0.0 else 0.5, 1, 1])
        loss = pinball(forward_all(g, plan, batch), told, Q, weights)
        loss.backward()
        found.append((loss.detach(), {n: x.grad for n, x in g.items()}))
    (a, with_nan), (b, left_out) = found
    assert a.isfinite() and torch.allclose(a, b) and all(torch.allclose(with_nan[n], left_out[n], atol=1e-7) for n in w)
    at = [k for h in (0, 3) for k in range(3 * h, 3 * h + 3)]
    assert (with_nan["head.w"][..., at] == 0).all() and (with_nan["head.w"].abs().sum() > 0)


# --- training -------------------------------------------------------------------------------------------------------------------

def test_eight_videos_are_known_by_heart() -> None:
    data = synthetic_shots(videos=8)
    tokens = list(data.tokens.values())
    inputs = fit_inputs(data.features, tokens, token_schema(tokens))
    y = ((data.targets - data.targets.mean()) / data.targets.std(ddof=0)).to_numpy("f4")
    plan = Plan(inputs.widths, tuple(heads()), Q, **SMALL, dropout=0.0, input_dropout=0.0, modality_dropout=0.0)
    encoded = inputs.encode(data.features, tokens)
    w, losses = fit_network(plan, Examples(encoded, y, np.arange(8), np.arange(8)), Recipe(epochs=150, patience=150, rate=0.015, warm_up=10, mean=0.9, members=1, decay=0.0))
    said = told_by(w, plan, encoded, np.arange(8))[:, :, 1]
    assert losses[-1] < 0.05 * losses[0] and np.nanmax(np.abs(said - y)) < 0.15


def test_the_same_seed_gives_the_same_model_and_another_another() -> None:
    model, features, data = trained()
    give = dict(tokens=data.tokens, folds=2, recipe=SHORT, form=SMALL, quiet=True)
    again, other = (train_transformer(features, data.targets, data.groups, seed=s, **give) for s in (0, 1))
    said = model.predict(features, data.tokens)
    assert said.equals(again.predict(features, data.tokens)) and not said.equals(other.predict(features, data.tokens))
    assert {**model.card} == {**again.card}


def test_training_leaves_the_random_state_alone() -> None:
    _, features, data = trained()
    torch = single_threaded_torch()
    before, of_numpy = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    train_transformer(features, data.targets, data.groups, tokens=data.tokens, folds=2, recipe=replace(SHORT, epochs=1), form=SMALL, quiet=True)
    assert torch.equal(before, torch.random.get_rng_state()) and np.array_equal(of_numpy, np.random.get_state()[1])


@pytest.mark.parametrize(("change", "said"), [
    ({"targets": lambda d: d.targets * np.nan}, "0 videos of 0 channels"), ({"targets": lambda d: d.targets[[]]}, "no columns"),
    ({"targets": lambda d: d.targets.where(d.targets < 9, np.inf)}, "infinite values"), ({"features": lambda d: pd.concat([d.features, d.features[:1]])}, "stand twice"),
    ({"groups": lambda d: pd.Series("one", d.groups.index)}, "of 1 channels"), ({"tokens": lambda d: {f"x{v}": t for v, t in d.tokens.items()}}, "none of which has targets"),
    ({"form": lambda d: {"widht": 8}}, r"Plan has no such field"), ({"form": lambda d: {"width": 9, "looks": 2}}, "no multiple of looks"),
    ({"device": lambda d: "gpu"}, "cpu or cuda"), ({"recipe": lambda d: replace(SHORT, rate=1e38)}, "does not converge"),
])
def test_what_cannot_be_trained_is_said(change: dict, said: str) -> None:
    _, _, data = trained()
    give = {"features": data.features, "targets": data.targets, "groups": data.groups, "tokens": data.tokens, "folds": 2, "recipe": SHORT, "form": SMALL, "quiet": True}
    with pytest.raises(UsageError, match=said): train_transformer(**{**give, **{k: f(data) for k, f in change.items()}})


@pytest.mark.skipif(single_threaded_torch().cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_said() -> None:
    model, features, data = trained()
    with pytest.raises(UsageError, match="torch finds no GPU"): model.predict(features, data.tokens, device="cuda")


@pytest.mark.slow      # page 87 shows the same in the fast lane
def test_shots_are_found_that_a_mean_cannot_see() -> None:
    data = synthetic_shots(videos=480)
    recipe = Recipe(epochs=40, patience=40, batch=64, rate=4e-3, warm_up=10, mean=0.97, members=1)
    give = dict(tokens=data.tokens, folds=2, quiet=True)
    shots = train_transformer(data.features, data.targets, data.groups, recipe=recipe, form={"width": 32, "hidden": 64, "dropout": 0.0, "input_dropout": 0.0}, **give)
    pooled = train_fusion(data.features, data.targets, data.groups, recipe=SHORT, form=SMALL, **give)
    for h in heads():
        assert shots.card["metrics"][h]["spearman"] > 0.85 and pooled.card["metrics"][h]["spearman"] < 0.5
        assert 0.7 < shots.card["metrics"][h]["coverage"] < 0.9
    video = data.effect.idxmax()
    why = shots.explain(data.features.loc[[video]], data.tokens, heads=["views_21d"])
    told = data.tokens[video]
    truth = told.arrays["synthetic_look.measure"][:, 0] * told.arrays["synthetic_sound.measure"][:, 0] * 2 ** (-told.start_s / 8)
    given = why[why["feature"].str.startswith("shot.")].sort_values("feature")["contribution"].to_numpy()
    assert np.corrcoef(truth, given)[0, 1] > 0.8         # not by rank: most shots have an effect near 0, and their order is noise


def test_splits_by_time_train_one_network_and_judge_the_latest() -> None:
    _, features, data = trained()
    times = pd.Series(np.arange(120), features.index)
    model = train_transformer(features, data.targets, data.groups, times, data.tokens, split="channel_time", recipe=SHORT, form=SMALL, quiet=True)
    fold = split(features.index, "channel_time", groups=data.groups, times=times).folds[0]
    assert len(model.parts) == 1 and model.card["metrics"]["views_14d"]["videos"] == len(fold.test)


# --- the model ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("kind", "load"), [("transformer", load_transformer), ("fusion", load_fusion)])
def test_a_saved_model_is_the_same(kind: str, load, tmp_path: Path) -> None:
    model, features, data = trained(kind)
    assert model.kind == kind and model.heads == tuple(heads()) and model.quantiles == Q
    folder = model.save(tmp_path / "model")
    again = load(folder)
    assert isinstance(again, TransformerModel) and again.schema == schema_of(features) and again.card == json.loads((folder / "model.json").read_text())
    for units in ("natural", "log"): assert again.predict(features, data.tokens, units=units).equals(model.predict(features, data.tokens, units=units))
    assert again.explain(features[:2], data.tokens).equals(model.explain(features[:2], data.tokens))
    weights = single_threaded_torch().load(folder / "weights.pt", weights_only=True)
    assert all(x.dtype == single_threaded_torch().float32 for x in weights.values())
    for name in ("weights.pt", "inputs.npz"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(UsageError, match=f"{name}: altered"): load(folder)
        (folder / name).write_bytes(content)
    other = {"transformer": load_fusion, "fusion": load_transformer}[kind]
    with pytest.raises(UsageError, match="a model of kind"): other(folder)


def test_predictions_are_ordered_and_know_their_schema() -> None:
    model, features, data = trained()
    said = model.predict(features, data.tokens)
    for h in heads(): assert ((0 <= said[f"{h}_p10"]) & (said[f"{h}_p10"] <= said[f"{h}_p50"]) & (said[f"{h}_p50"] <= said[f"{h}_p90"])).all()
    assert np.isfinite(model.predict(features)).all().all()
    further = features.assign(**{"snapshot.new": 1.0})[::-1]
    assert model.predict(further, data.tokens).loc[features.index].to_numpy() == pytest.approx(said.to_numpy(), rel=1e-5)      # order and further columns do not matter
    with pytest.raises(UsageError, match="missing"): model.predict(features.drop(columns="snapshot.views_log"))
    with pytest.raises(UsageError, match="natural or log"): model.predict(features, units="views")
    video = str(features.index[0])
    t = data.tokens[video]
    older = {video: replace(t, versions={**t.versions, "synthetic_look": "0"})}
    with pytest.raises(UsageError, match="of another schema: synthetic_look is '0'"): model.predict(features[:1], older)
    why = model.explain(features[:1], data.tokens)
    assert set(why["feature"]) == {*data.features, "title_vector", *(f"shot.{i:03d}" for i in range(len(t)))} and set(why["head"]) == set(heads())
    strength = why[why["head"] == "views_14d"]["contribution"].abs().to_numpy()
    assert (np.diff(strength) <= 0).all()


# --- real videos ----------------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_real_videos_without_their_shots(shared_data: Path) -> None:
    "Other channels of a collection of 2021; counters, page and title."
    from trendflow.learn.snapshot_features import snapshot_features
    from trendflow.learn.snapshots import read_snapshots
    from trendflow.learn.targets import build_targets
    from trendflow.learn.title_vectors import title_vectors
    if lacks(get("title_embedder")): pytest.skip(REASON)
    folder = shared_data / "popularity" / "yt8k_2021"
    names = {"date": "time", "ch_subscribers": "channel_subscribers", "ch_views": "channel_views", "ch_videos": "channel_videos"}
    daily = pd.read_parquet(folder / "daily_long.parquet").rename(columns=names)
    meta = pd.read_csv(folder / "meta.csv.gz").set_index("video_id")
    snapshots = read_snapshots(daily)
    targets = build_targets(snapshots)
    features = snapshot_features(snapshots, meta).join(title_vectors(meta["title"])).loc[targets.table.index]
    model = train_transformer(features, targets, meta["channel_id"].loc[targets.table.index], quiet=True)
    for h, told in model.card["metrics"].items():
        assert told["spearman"] > (0.84 if h.startswith("views") else 0.86), h
        assert 0.78 < told["coverage"] < 0.82, h
