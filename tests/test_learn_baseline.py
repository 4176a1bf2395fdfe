"""Baselines: honest intervals, the same model twice, nothing that could run in a folder, and better than knowing nothing."""
from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trendflow.core.errors import UsageError
from trendflow.learn.ablation import ablation, split_report
from trendflow.learn.baseline import Baseline, load_baseline, train_baseline
from trendflow.learn.calibration import calibrate, calibrated, cross_calibrated, fit_conformal
from trendflow.learn.engines import LIBRARIES, Recipe
from trendflow.learn.metrics import evaluate, naive_predictions, spearman
from trendflow.learn.model_folder import SUFFIXES, pack_arrays, read_arrays, read_model, write_model
from trendflow.learn.splits import split
from trendflow.learn.targets import heads

REPLACE = os.replace
QUICK = Recipe(trees=50, rate=0.15, patience=12, folds=3, bags=2, vector_axes=3)
TWO = ["views_14d", "likes_7d"]


def collection(n: int, seed: int, unknown: float = 0.3) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    "Features, targets, channels and publications with known effects; older videos scatter more; one column is noise."
    rng = np.random.default_rng(seed)
    videos, channel = pd.Index([f"{seed}_{i:05d}" for i in range(n)]), rng.integers(0, n // 5, n)
    speed, age, vectors = rng.normal(6, 1.2, n), rng.uniform(0, 30, n), rng.normal(size=(n, 6)) * [3, 1, 1, 0.2, 0.2, 0.2]
    x = pd.DataFrame({"snapshot.views_per_day_log": speed, "snapshot.likes_per_day_log": speed - 3 + rng.normal(0, 0.3, n), "snapshot.views_log": speed + np.log1p(age),
                      "snapshot.age_days": age, "title.words": rng.integers(1, 12, n).astype(float), "title.digits": rng.normal(size=n)}, index=videos)
    for i in range(6): x[f"title_vector.{i:03d}"] = vectors[:, i]
    x.loc[rng.random(n) < 0.1, "title.words"] = np.nan
    center = speed + 1.2 * x["title.words"].between(4, 8) + 0.1 * vectors[:, 0] - 0.02 * age
    noise = rng.normal(0, 0.3, n // 5)[channel] + (0.2 + age / 40) * rng.normal(size=n)
    y = pd.DataFrame({h: np.maximum(center - 3 * h.startswith("likes") + noise, 0) for h in heads()}, index=videos)
    y.loc[rng.random(n) < unknown, "likes_7d"] = np.nan
    return x, y, pd.Series([f"{seed}_{c}" for c in channel], index=videos), pd.Series(np.arange(n) * 3600.0, index=videos)


@pytest.fixture(scope="module")
def data() -> tuple: return collection(700, 0)


@pytest.fixture(scope="module", params=LIBRARIES)
def model(request: pytest.FixtureRequest, data: tuple) -> Baseline:
    x, y, channel, _ = data
    return train_baseline(x, y[TWO], channel, engine=request.param, recipe=QUICK)


# --- calibration ----------------------------------------------------------------------------------------------------------------

def test_tails_are_corrected_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    y = rng.exponential(1, 4000)
    low, high = np.full(4000, 0.5), np.full(4000, 1.0)
    down, up = fit_conformal(y, low, high, 0.8)
    assert abs(0.5 - down - np.quantile(y, 0.1)) < 0.02 and abs(1 + up - np.quantile(y, 0.9)) < 0.05


def test_coverage_holds_over_many_small_calibrations() -> None:
    "With 39 channels of one video the mean coverage is 0.8 or more, and not much more."
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        seen, new = rng.normal(size=39), rng.normal(size=200)
        down, up = fit_conformal(seen, np.zeros(39), np.zeros(39), 0.8)
        covered.append(((new >= -down) & (new <= up)).mean())
    assert 0.79 < np.mean(covered) < 0.83


def test_a_large_channel_counts_as_one_for_the_rank() -> None:
    with pytest.raises(UsageError, match="8 channels are too few"): fit_conformal(np.zeros(80), np.zeros(80), np.zeros(80), 0.8, np.arange(80) % 8)


def test_unknown_targets_are_left_out_of_calibration() -> None:
    videos = pd.Index([f"v{i}" for i in range(40)])
    told = pd.DataFrame({"a_p10": 0.0, "a_p50": 1.0, "a_p90": 2.0}, index=videos)
    y = pd.DataFrame({"a": np.r_[np.full(20, 5.0), np.full(20, np.nan)]}, index=videos)
    shifts = calibrate(told, y, pd.Series(videos, index=videos), ["a"])
    assert shifts == {"a_p10": 5.0, "a_p50": 4.0, "a_p90": 3.0}
    assert calibrated(told, {"a_p10": 9.0, "a_p90": -9.0}, ["a"]).iloc[0].tolist() == [1.0, 1.0, 1.0]


# --- training -------------------------------------------------------------------------------------------------------------------

def test_training_twice_is_the_same(model: Baseline, data: tuple, tmp_path: Path) -> None:
    x, y, channel, _ = data
    again = train_baseline(x.sample(frac=1, random_state=1), y[TWO].sample(frac=1, random_state=2), channel, engine=model.engine, recipe=QUICK)
    one, two = model.save(tmp_path / "one"), again.save(tmp_path / "two")
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in two.iterdir()}
    other = train_baseline(x, y[TWO], channel, engine=model.engine, recipe=QUICK, seed=1)
    assert not np.allclose(other.predict(x[:50]), model.predict(x[:50]))


def test_it_learns_and_covers_on_other_channels(model: Baseline) -> None:
    x, y, channel, _ = collection(1500, 5, unknown=0)
    told = model.predict(x, units="log")
    scores = evaluate(told, y[TWO], channel, units="log", others=naive_predictions(x, y[TWO], x.index), n=0).xs("all", level="bucket")
    for head in TWO:
        here = scores.xs(head, level="head")
        assert here.loc["model", "spearman"] > here.drop("model")["spearman"].max() + 0.01
        assert 0.75 < here.loc["model", "coverage"] < 0.86, "calibrated on 490 to 700 videos only"
        width = told[f"{head}_p90"] - told[f"{head}_p10"]
        assert width[x["snapshot.age_days"] > 20].mean() > 1.15 * width[x["snapshot.age_days"] < 10].mean(), "older videos scatter more"


def test_quantiles_never_cross_and_gains_are_no_less_than_zero(model: Baseline) -> None:
    x, *_ = collection(300, 6)
    wild = x.copy() * 5 - 10
    for table in (x, wild):
        told = model.predict(table)
        for head in TWO: assert (told[f"{head}_p10"] <= told[f"{head}_p50"]).all() and (told[f"{head}_p50"] <= told[f"{head}_p90"]).all()
        assert (told >= 0).all(axis=None)
        np.testing.assert_allclose(np.log1p(told), model.predict(table, units="log"), atol=1e-9)


def test_masked_targets_are_left_out_of_their_head_only(model: Baseline, data: tuple) -> None:
    _, y, _, _ = data
    assert model.card["metrics"]["likes_7d"]["videos"] == y["likes_7d"].notna().sum() < 600
    assert model.card["metrics"]["views_14d"]["videos"] == 700
    assert model.out_of_fold is not None and len(model.out_of_fold) == 700 and set(model.out_of_fold["fold"]) == {0, 1, 2}


def test_order_and_further_columns_do_not_matter(model: Baseline) -> None:
    x, *_ = collection(120, 7)
    told = model.predict(x)
    mixed = x[x.columns[::-1]].assign(**{"ocr.words": 1.0}).sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(model.predict(mixed).loc[x.index], told, check_exact=True)
    pd.testing.assert_frame_equal(model.predict(x[:1]), told[:1], check_exact=True)
    assert model.predict(x[:0]).shape == (0, 6)


def test_a_table_of_another_schema_is_refused(model: Baseline) -> None:
    x, *_ = collection(50, 8)
    with pytest.raises(UsageError, match="title.words"): model.predict(x.drop(columns="title.words"))
    x.attrs["schema_versions"] = {"title": "99"}
    with pytest.raises(UsageError, match="title has schema 99"): model.predict(x)


def test_contributions_sum_to_the_middle_and_noise_is_not_first(model: Baseline) -> None:
    x, *_ = collection(200, 9)
    why, told = model.explain(x), model.predict(x, units="log")
    assert set(why["feature"]) == {c for c in x if not c.startswith("title_vector")} | {"title_vector"}
    for head in TWO:
        here = why[why["head"] == head]
        total = here.groupby("video_id")["contribution"].sum().loc[x.index] + why.attrs["base"][head] + model.shifts[f"{head}_p50"]
        free = told[f"{head}_p50"] > 0                      # at 0 the prediction is cut
        np.testing.assert_allclose(total[free], told.loc[free, f"{head}_p50"], atol=1e-6)
        strength = here.groupby("feature")["contribution"].agg(lambda c: c.abs().mean()).sort_values()
        assert strength.index[-1] != "title.digits" and strength["title.digits"] < 0.25 * strength.iloc[-1]
    first = why[(why["video_id"] == x.index[0]) & (why["head"] == TWO[0])]["contribution"].abs()
    assert first.is_monotonic_decreasing and len(model.explain(x[:2], top=2)) == 2 * 2 * 2


# --- folders --------------------------------------------------------------------------------------------------------------------

def test_loaded_predicts_the_same_bits(model: Baseline, tmp_path: Path) -> None:
    x, *_ = collection(200, 10)
    again = load_baseline(model.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(again.predict(x), model.predict(x), check_exact=True)
    pd.testing.assert_frame_equal(again.explain(x[:5]), model.explain(x[:5]), check_exact=True)
    assert again.card == json.loads(json.dumps(model.card)) and again.save(tmp_path / "more").is_dir()
    assert (tmp_path / "more" / "model.json").read_bytes() == (tmp_path / "model" / "model.json").read_bytes()


def test_a_folder_holds_no_pickle(model: Baseline, tmp_path: Path) -> None:
    for path in model.save(tmp_path / "model").iterdir():
        assert path.name == "model.json" or path.suffix in SUFFIXES
        assert not path.read_bytes().startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
    assert all(a.dtype.kind in "fiub" for a in read_arrays(tmp_path / "model" / "arrays.npz").values())


@pytest.mark.parametrize("harm", ["narrow", "arrays", "models", "listed"])
def test_a_folder_whose_parts_do_not_fit_is_refused(model: Baseline, tmp_path: Path, harm: str) -> None:
    card, files = read_model(model.save(tmp_path / "model"))
    content = {n: p.read_bytes() for n, p in files.items()}
    if harm == "narrow": card["schema"]["columns"] = [c for c in card["schema"]["columns"] if c.startswith("snapshot")]; card["schema"]["versions"] = {"snapshot": "1"}
    if harm == "arrays": content["arrays.npz"] = pack_arrays({})
    if harm == "models": card["models"].pop("views_14d_p10")
    write_model(tmp_path / "model", card, content)
    if harm == "listed": (tmp_path / "model" / "model.json").write_text(json.dumps(card | {"files": 5}))
    with pytest.raises(UsageError): load_baseline(tmp_path / "model")


@pytest.mark.parametrize("harm", ["byte", "lost", "stranger", "link", "folder", "card", "version"])
def test_a_harmed_folder_is_refused(model: Baseline, tmp_path: Path, harm: str) -> None:
    folder = model.save(tmp_path / "model")
    victim = sorted(p for p in folder.iterdir() if "p50" in p.name)[0]
    if harm == "byte": victim.write_bytes(victim.read_bytes()[:-1] + bytes([victim.read_bytes()[-1] ^ 1]))
    if harm == "lost": victim.unlink()
    if harm == "stranger": (folder / "notes.txt").touch()
    if harm == "link": victim.rename(tmp_path / "away"), victim.symlink_to(tmp_path / "away")
    if harm == "folder": (folder / "more").mkdir()
    card = json.loads((folder / "model.json").read_text())
    if harm == "card": card["shifts"]["views_14d_p10"] = 0.0
    if harm == "version": card["format_version"] = 2
    if harm in ("card", "version"): (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(UsageError): load_baseline(folder)


def test_a_pickle_among_arrays_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self): return (Path.touch, (tmp_path / "sprung",))
    np.savez(tmp_path / "arrays.npz", x=np.array([Trap()], dtype=object))
    with pytest.raises(UsageError, match="plain arrays"): read_arrays(tmp_path / "arrays.npz")
    assert not (tmp_path / "sprung").exists()


def test_an_interrupted_save_leaves_the_old_model(model: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model.save(tmp_path / "model")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    def stop(*_: object) -> None: raise KeyboardInterrupt
    monkeypatch.setattr("trendflow.learn.model_folder.os.fsync", stop)
    with pytest.raises(KeyboardInterrupt): model.save(folder)
    with pytest.raises(KeyboardInterrupt): model.save(tmp_path / "new")
    monkeypatch.undo()
    for k in (0, 1):                    # the interrupt comes right after the first, and after the second, of the two renames
        left = [k]
        def rename(a: object, b: object) -> None:
            REPLACE(a, b)
            if not left[0]: left[0] = 9; raise KeyboardInterrupt
            left[0] -= 1
        monkeypatch.setattr("trendflow.learn.model_folder.os.replace", rename)
        with pytest.raises(KeyboardInterrupt): model.save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "m", {"kind": "transformer", "schema": {}, "heads": [], "quantiles": []}, {"arrays.npz": pack_arrays({})})
    assert read_model(tmp_path / "m")[0]["kind"] == "transformer"
    with pytest.raises(UsageError, match="'baseline' is needed"): load_baseline(tmp_path / "m")
    write_model(tmp_path / "m", {"kind": "baseline", "schema": {}, "heads": [], "quantiles": []}, {})
    with pytest.raises(UsageError): load_baseline(tmp_path / "m")


# --- nothing reaches a prediction from where it must not ------------------------------------------------------------------------

def test_permuted_targets_cannot_be_predicted_and_are_covered() -> None:
    x, y, channel, _ = collection(900, 5, 0.0)
    y = y[["views_14d"]].set_axis(np.random.default_rng(1).permutation(y.index)).loc[x.index]
    told = train_baseline(x, y, channel, engine="lightgbm", recipe=QUICK).card["metrics"]["views_14d"]
    assert abs(told["spearman"]) < 0.1 and abs(told["coverage"] - 0.8) < 0.05


def test_what_a_judged_video_gained_does_not_move_its_own_shift() -> None:
    rng = np.random.default_rng(0)
    videos = pd.Index([f"v{i:03d}" for i in range(300)])
    channel, fold = pd.Series([f"c{i % 60}" for i in range(300)], index=videos), pd.Series(np.arange(300) % 60 % 5, index=videos)
    raw, y = pd.DataFrame(np.sort(rng.normal(size=(300, 3)), axis=1), index=videos, columns=[f"views_14d_{q}" for q in ("p10", "p50", "p90")]), pd.DataFrame({"views_14d": rng.normal(size=300)}, index=videos)
    other = y.mask(fold == 2, 100.0)
    before, after = (cross_calibrated(raw, t, channel, fold, ["views_14d"]) for t in (y, other))
    assert before[fold == 2].equals(after[fold == 2]) and not before[fold == 1].equals(after[fold == 1])


def test_one_row_at_a_time_is_the_same_to_the_last_bit(model: Baseline, tmp_path: Path) -> None:
    x = collection(40, 8)[0]
    whole, again = model.predict(x), load_baseline(model.save(tmp_path / "model"))
    assert pd.concat([again.predict(x[i:i + 1]) for i in range(len(x))]).equals(whole) and again.predict(x[x.columns[::-1]]).equals(whole)


# --- what is asked wrongly ------------------------------------------------------------------------------------------------------

def test_wrong_input_is_named(data: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, channel, _ = data
    for change, says in (({"engine": "forest"}, "not one of"), ({"split": "author"}, "not one of"), ({"quantiles": (0.1, 0.9)}, "hold 0.5"),
                         ({"quantiles": (0.9, 0.5)}, "must rise"), ({"split": "time"}, "Give times"), ({"targets": y[[]]}, "no columns"),
                         ({"targets": y[:30]}, "at least 60"), ({"features": x[100:]}, "have no features"), ({"groups": channel[:20]}, "have no groups"),
                         ({"features": x.replace({"title.digits": {x.iloc[0]["title.digits"]: -np.inf}})}, "infinite"), ({"targets": y * 0}, "same value"),
                         ({"features": x.assign(**{"snapshot_1.views": 1.0})}, "after t0"), ({"features": x.assign(**{"ocr.sum": y["views_14d"]})}, "ocr.sum"),
                         ({"groups": pd.Series("one", index=x.index)}, "of 1 channels"), ({"groups": channel.where(channel.index != x.index[3], " ")}, "1 of 700 videos have no groups"),
                         ({"groups": None}, "got None"), ({"features": pd.concat([x, x], axis=1)}, "stand twice"), ({"targets": y["views_14d"]}, "got Series"),
                         ({"features": x.set_axis([0, *x.index[1:]])}, "several types"),
                         ({"targets": y[["views_14d"]].assign(views_7d=y["views_14d"].where(np.arange(700) > 635)), "split": "time", "times": data[3]}, "nothing is known of")):
        with pytest.raises(UsageError, match=says): train_baseline(**{"features": x, "targets": y, "groups": channel, "recipe": QUICK} | change)

    with pytest.raises(UsageError, match="constant or ignored"): train_baseline(x.fillna(0) * 0, y[TWO], channel, recipe=QUICK)
    numbered = train_baseline(x.iloc[:, :6].set_axis(range(6), axis=1), y[TWO[:1]], channel, engine="lightgbm", recipe=QUICK)
    assert numbered.predict(x.iloc[:, :6].set_axis(range(6), axis=1)).notna().all(axis=None)

    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(UsageError, match=r"pip install 'trendflow\[learn\]'"): train_baseline(x, y, channel, engine="catboost")


# --- splits and families --------------------------------------------------------------------------------------------------------

def test_figures_by_channel_time_are_of_the_latest_tenth(data: tuple) -> None:
    x, y, channel, published = data
    model = train_baseline(x, y[TWO[:1]], channel, published, "lightgbm", split="channel_time", recipe=QUICK)
    part = split(x.index, "channel_time", groups=channel, times=published).folds[0].test
    assert model.out_of_fold is not None and set(model.out_of_fold.index) == set(part) and model.card["split"] == "channel_time"


def test_the_useful_family_is_found(data: tuple) -> None:
    x, y, channel, published = data
    x = x.assign(**{"ocr.words": np.random.default_rng(0).normal(size=len(x))})
    worth = ablation(x, y[TWO[:1]], channel, cost={"ocr": 2.5}, recipe=Recipe(trees=80, rate=0.12, patience=15, folds=4, bags=1, vector_axes=3), n=60)
    assert worth.loc["title", "gain_low"] > 0 and worth.loc["ocr", "gain"] < 0.01 and worth.loc["ocr", "cost_cpu_s"] == 2.5
    report = split_report(x, y[TWO[:1]], channel, published, ("random", "channel"), recipe=QUICK)
    assert report.table["videos"].tolist() == [700, 700] and "random tells" in repr(report)


# --- real snapshots -------------------------------------------------------------------------------------------------------------

LEVEL = {"views": 0.855, "likes": 0.876}                    # Spearman, mean over horizons


@pytest.mark.slow
@pytest.mark.parametrize("engine", LIBRARIES)
def test_on_real_snapshots_it_beats_the_naive_and_covers(engine: str, shared_data: Path) -> None:
    from trendflow.learn.snapshot_features import snapshot_features
    from trendflow.learn.targets import build_targets
    from trendflow.learn.title_vectors import title_vectors
    folder = shared_data / "popularity" / "yt8k_2021"
    meta = pd.read_csv(folder / "meta.csv.gz")
    visits = pd.read_parquet(folder / "daily_long.parquet").rename(columns={
        "date": "time", "ch_subscribers": "channel_subscribers", "ch_views": "channel_views", "ch_videos": "channel_videos",
        "tc_likes": "top_comment_likes", "tc_replies": "top_comment_replies", "tc_published": "top_comment_published"})
    targets = build_targets(visits)
    features = snapshot_features(visits, meta)
    features = features.join(title_vectors(meta.set_index("video_id")["title"])).loc[targets.table.index]
    channel = meta.set_index("video_id").loc[features.index, "channel_id"]
    start = time.process_time()
    model = train_baseline(features, targets, channel, engine=engine)
    print(f"{engine}: {time.process_time() - start:.0f} CPU s\n{pd.DataFrame(model.card['metrics']).T}")
    assert model.out_of_fold is not None
    folds, y = split(features.index, groups=channel), targets.table[targets.heads]
    parts = [naive_predictions(features, y.loc[f.train], f.test) for f in folds]
    naive = {name: pd.concat([p[name] for p in parts]).loc[y.index] for name in parts[0]}
    scores = evaluate(model.out_of_fold.drop(columns="fold"), y, channel, units="log", others=naive).xs("all", level="bucket")
    own = scores.xs("model", level="predictor")
    assert own["coverage"].between(0.78, 0.82).all(), own["coverage"]
    for quantity, level in LEVEL.items(): assert own.filter(like=quantity, axis=0)["spearman"].mean() >= level
    rivals = scores.drop("model", level="predictor")
    assert (rivals["model_mae_gain_high"] < 0).all() and (rivals["model_spearman_gain_low"].dropna() > 0).all()
    assert spearman(y["views_14d"].to_numpy(), model.out_of_fold["views_14d_p50"].to_numpy()) > 0.85
