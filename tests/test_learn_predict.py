"""Predictions: who answers and why, what is refused, and that the numbers are those of the model."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from trendflow.app.learning_data import info_rows
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.errors import UsageError
from trendflow.learn.baseline import Baseline, train_baseline
from trendflow.learn.engines import Recipe
from trendflow.learn.feature_schema import FeatureSchema
from trendflow.learn.feature_table import feature_table
from trendflow.learn.in_words import column_words, compact, in_words
from trendflow.learn.predict import in_order, judged, load_model, predict, run_shots
from trendflow.learn.snapshot_features import snapshot_features
from trendflow.learn.synthetic_snapshots import synthetic_snapshots
from trendflow.learn.targets import build_targets
from trendflow.views.browse import Run

TINY = Recipe(trees=4, folds=2, bags=1)


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, pd.DataFrame]: return synthetic_snapshots(75, seed=2)


@pytest.fixture(scope="module")
def model(data: tuple[pd.DataFrame, pd.DataFrame]) -> Baseline: return trained(data)


def trained(data: tuple[pd.DataFrame, pd.DataFrame], more: pd.DataFrame | None = None) -> Baseline:
    "A baseline of a few trees; with more, further columns that are the same for each video."
    features, targets = snapshot_features(*data), build_targets(data[0])
    if more is not None: features = features.join(pd.DataFrame(np.repeat(more.to_numpy(), len(features), 0), index=features.index, columns=more.columns))
    return train_baseline(features, targets, data[1].set_index("video_id")["channel_id"].loc[targets.table.index], engine="lightgbm", recipe=TINY)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    profile = {"components": {"cut_detection": {}, "color_light": {}, "video_meta": {}}}
    return run_video(samples.clip(), samples.info(), profile=profile, store=tmp_path_factory.mktemp("store"), quiet=True)


@pytest.fixture(scope="module")
def content(data: tuple[pd.DataFrame, pd.DataFrame], run: Run) -> Baseline:
    "A baseline that reads a component too."
    table = feature_table(run)
    return trained(data, table[[c for c in table if c.startswith("color_light.")]])


def shots(model: Baseline, **changes: object) -> SimpleNamespace:
    "What a model that reads shots looks like from outside; it says the double of a baseline."
    return SimpleNamespace(**{"kind": "transformer", "heads": model.heads, "quantiles": model.quantiles, "schema": model.schema, "card": model.card | {"engine": "torch"},
                              "tokens": SimpleNamespace(select=lambda tokens, modality: None), "predict": lambda x, tokens: 2 * model.predict(x),
                              "explain": lambda x, tokens: model.explain(x), **changes})


def test_the_numbers_are_those_of_the_model(data: tuple, model: Baseline) -> None:
    told, own = predict(None, model, *data), model.predict(snapshot_features(*data))
    assert list(told.answered.index) == list(own.index) and set(told.answered["kind"]) == {"baseline"}
    for head in model.heads:
        for q in ("p10", "p50", "p90"): assert np.array_equal(told.table.xs(head, level="head")[q], own[f"{head}_{q}"])
    first = data[0].sort_values("time").groupby("video_id")["views"].first()
    assert (told.table.xs("views_7d", level="head")["now"] == first).all()
    hidden, seen = (told.table[told.table["now"].isna() == absent] for absent in (True, False))
    assert np.allclose(seen["level_p90"] - seen["now"], seen["p90"])
    assert len(hidden) and {h.split("_")[0] for h in hidden.index.get_level_values("head")} == {"likes"} and hidden["p50"].notna().all() and hidden["level_p50"].isna().all()


def test_one_of_many_is_the_same_as_one_alone(data: tuple, model: Baseline) -> None:
    every = predict(None, model, *data)
    video = str(every.answered.index[7])
    one = every.of(video)
    assert len(one) == 1 and one.table.equals(every.table.loc[[video]])
    assert one.contributions.equals(every.contributions[every.contributions["video_id"] == video].reset_index(drop=True))
    with pytest.raises(UsageError, match="not among"): every.of("nobody")
    with pytest.raises(UsageError, match="one video at a time"): every.plot()


def test_the_first_that_can_answer_does(data: tuple, model: Baseline, run: Run) -> None:
    row, page = info_rows(samples.info())
    assert [m.kind for m in in_order([model, shots(model)])] == ["transformer", "baseline"]
    without = predict(None, [model, shots(model)], row, page)
    assert without.answered["kind"].tolist() == ["baseline"] and "transformer: it reads what a run measured, and no run was given." in without.why
    assert len(run_shots(run) or ()) > 1
    both = predict(run, [model, shots(model)], row, page)
    assert both.answered["kind"].tolist() == ["transformer"] and both.model.startswith("transformer (torch") and "baseline" not in both.why
    assert np.allclose(both.table["p50"], 2 * without.table["p50"])


def test_a_run_without_shots_goes_to_the_next_model(data: tuple, model: Baseline, tmp_path: Path) -> None:
    bare = run_video(samples.clip(), samples.info(), profile={"components": {"video_meta": {}}}, store=tmp_path, quiet=True)
    assert run_shots(bare) is None
    told = predict(bare, [shots(model), model])
    assert told.answered["kind"].tolist() == ["baseline"] and "transformer: no shots in this run." in told.why
    with pytest.raises(UsageError, match="no model can answer: transformer: no shots in this run"): predict(bare, shots(model))


def test_shots_of_another_schema_are_told(model: Baseline, run: Run) -> None:
    def select(tokens: object, modality: str) -> None: raise UsageError("tokens: of another schema: cut_detection is '1', here '2'.")
    told = predict(run, [shots(model, tokens=SimpleNamespace(select=select)), model])
    assert told.answered["kind"].tolist() == ["baseline"] and "cut_detection is '1'" in told.why


def test_any_other_error_of_a_model_is_not_swallowed(model: Baseline, run: Run) -> None:
    def broken(x: pd.DataFrame, tokens: object) -> pd.DataFrame: raise UsageError("weights: are not those of the card.")
    with pytest.raises(UsageError, match="not those of the card"): predict(run, [shots(model, predict=broken), model])


def test_another_schema_is_refused_with_what_differs(data: tuple, model: Baseline) -> None:
    other = replace(model, schema=FeatureSchema(model.schema.columns, model.schema.versions | {"author": "0"}))
    with pytest.raises(UsageError, match="author has schema 1, the model was trained on 0"): predict(None, other, *data)
    told = predict(None, [replace(other), model], *data)
    assert "baseline: the features are of another schema: author has schema 1" in told.why


def test_components_come_from_the_run(data: tuple, run: Run, content: Baseline) -> None:
    with pytest.raises(UsageError, match="it reads what a run measured"): predict(None, content, *data)
    told = predict(run, content)
    assert told.table["p50"].notna().all() and "color light" not in told.why and "Not known of this video: title" in told.why
    assert told.table["now"].tolist() == [4812.0] * 3 + [286.0] * 3


def test_a_run_that_has_none_of_the_components_is_refused(content: Baseline, tmp_path: Path) -> None:
    bare = run_video(samples.clip(), samples.info(), profile={"components": {"video_meta": {}}}, store=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="none of the 1 component that it reads measured anything"): predict(bare, content)


def test_a_run_later_than_t0_knows_the_future(model: Baseline, run: Run) -> None:
    row, page = info_rows(samples.info(), t0="2024-05-02T12:00:00Z")
    with pytest.raises(UsageError, match="know the future"): predict(run, model, row, page)


def test_an_age_outside_the_training_is_told(data: tuple, model: Baseline) -> None:
    row, page = info_rows(samples.info())
    assert "a guess" not in predict(None, model, row, page).why
    page["published_at"] = "2020-01-01T00:00:00Z"
    assert "At t0 it was 1585.5 days old, the model was trained on" in predict(None, model, row, page).why


def test_what_is_not_known_is_told(data: tuple, model: Baseline) -> None:
    row, page = info_rows(samples.info())
    assert "Not known" not in predict(None, model, row, page).why
    assert "Not known of this video: title, author." in predict(None, model, row).why
    hidden = predict(None, model, row.assign(likes=np.nan), page)
    assert hidden.table.loc[("tfSample_01", "likes_7d"), "now":].isna().all() and "unknown" in repr(hidden)
    assert hidden.plot().axes[1].get_title(loc="left").startswith("likes gained")


def test_nothing_that_comes_later_changes_an_answer(data: tuple, model: Baseline) -> None:
    first = data[0].sort_values("time").groupby("video_id", as_index=False).head(1)
    later = data[0].assign(views=data[0]["views"] * np.where(data[0].index.isin(first.index), 1, 3))
    page = data[1].drop(columns="channel_id")           # the history of an author may know what other videos reached before t0
    assert predict(None, model, later, page).table.equals(predict(None, model, first, page).table)


def test_broken_calls(data: tuple, model: Baseline, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run nor snapshots"): predict(None, model)
    with pytest.raises(UsageError, match="no model"): predict(None, ["x", 7][1:], *data)
    with pytest.raises(UsageError, match="no such folder"): predict(None, tmp_path / "no", *data)
    with pytest.raises(UsageError, match="not one of"): predict(None, model, *info_rows(samples.info())).plot("views_9d")


def test_folders_of_models(model: Baseline, tmp_path: Path, data: tuple) -> None:
    model.save(tmp_path / "m")
    assert predict(None, tmp_path / "m", *data).table.equals(predict(None, model, *data).table)
    victim = next((tmp_path / "m").glob("*.txt"))
    victim.write_bytes(victim.read_bytes() + b" ")
    with pytest.raises(UsageError, match="altered"): load_model(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text(json.dumps({"format": "trendflow_model", "format_version": 1, "kind": "oracle", "files": {}}))
    with pytest.raises(UsageError): load_model(tmp_path / "m")


def test_a_weak_model_is_seen_to_be_weak(data: tuple, model: Baseline, run: Run) -> None:
    figure = model.card["metrics"]["views_14d"]["spearman"]
    assert f"out of fold Spearman {figure:.2f} for views_14d) answered" in predict(None, model, *data).of("invented_0003").why

    def card(spearman: float, **more: object) -> dict: return model.card | {"engine": "torch", "metrics": {"views_14d": {"spearman": spearman}}} | more
    said = [predict(run, [model, shots(model, card=c)]).why for c in (card(0.1), card(figure), card(0.1, split="time"), card(0.1, data={"fingerprint": "x"}))]
    assert f"Spearman 0.10 for views_14d) answered. The baseline (lightgbm) has {figure:.2f} for views_14d: its answer may be better" in said[0]
    assert "may be better" not in said[1] + said[2] and "on later videos Spearman 0.10" in said[2] and ", on other data: its answer" in said[3]
    assert judged(shots(model, card={})) == {}


def test_many_ages_are_one_sentence(data: tuple, model: Baseline) -> None:
    old = data[1].assign(published_at=pd.Timestamp("2020-01-01", tz="UTC"))
    assert predict(None, model, data[0], old).why.count("of another age") == 1


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    from trendflow.learn.model_folder import write_model
    write_model(tmp_path / "m", {"kind": "oracle", "schema": {}, "heads": [], "quantiles": []}, {})
    with pytest.raises(UsageError, match="kind 'oracle'"): load_model(tmp_path / "m")


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 2e6])
def test_pictures_and_words_of_any_size(model: Baseline, scale: float) -> None:
    row, page = info_rows(samples.info())
    told = predict(None, model, row.assign(views=row["views"] * scale, likes=row["likes"] * scale), page)
    figure = told.plot()
    figure.canvas.draw()                                # the labels of the ticks are made now
    for ax in figure.axes[:2]:
        labels = [t.get_text() for t in ax.get_yticklabels() if t.get_text()]
        assert len(set(labels)) == len(labels) >= 2 and all(t.get_window_extent().x0 >= 0 for t in ax.get_yticklabels())
    assert told._repr_html_().count("<tr") == 7 and "What moved" in repr(told)


def test_html_escapes_what_a_file_says(data: tuple, model: Baseline) -> None:
    odd = data[0].assign(video_id=data[0]["video_id"].str.replace("invented", "<b>x"))
    assert "<b>x" not in predict(None, model, odd[odd["video_id"] == "<b>x_0003"])._repr_html_().replace("<b>&lt;", "")


def test_words_of_numbers() -> None:
    assert [compact(x) for x in (-1200, 9.94, 999_500, 1e12)] == ["-1.2 K", "9.9", "1.0 M", "1000 B"]
    assert in_words("snapshot.hd", 0.0) == "high definition: no" and in_words("snapshot.duration_log", np.log1p(3725)) == "length of the video: 1:02:05"
    assert column_words("channel.subscribers_log")[0] == "channel: subscribers"


def test_the_front_doors_open() -> None:
    import trendflow
    assert trendflow.predict is predict and trendflow.load_model is load_model and trendflow.train_baseline is train_baseline
    assert all(callable(getattr(trendflow, name)) for name in trendflow.__all__) and set(trendflow.__all__) == set(trendflow._HOMES)
