"Targets, snapshot features, splits, the feature table and its quality: properties on made-up tables, and what is known of the real collections."
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.columns import columns
from trendflow.core.errors import ArtifactError, ManifestError, UsageError
from trendflow.core.registry import discover
from trendflow.learn.feature_schema import FeatureSchema, differences, families, schema_of
from trendflow.learn.feature_table import REPEATED, feature_table
from trendflow.learn.quality import audit_leaks, data_quality_report, doubles, drift, known_names, refuse_leaks
from trendflow.learn.snapshot_features import snapshot_features
from trendflow.learn.snapshots import COUNTERS, DAY_S, read_snapshots
from trendflow.learn.splits import split
from trendflow.learn.targets import build_targets, heads, state_at, t0_of
from trendflow.learn.title_vectors import title_vectors
from trendflow.views.tables import feature_rows

START = 1_619_700_000.0             # s – a moment in April 2021
HOUR_S = 3600.0
quick, heavy = settings(max_examples=25, deadline=None), settings(max_examples=6, deadline=None)


# --- made-up collections --------------------------------------------------------------------------------------------------------

@st.composite
def visits(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    "A few videos of two channels, visited at odd hours, with holes; their pages; a t0 for each."
    rows, pages, t0 = [], [], {}
    for i in range(draw(st.integers(2, 5))):
        hours = sorted(draw(st.sets(st.integers(0, 40 * 24), min_size=2, max_size=14)))
        views = draw(st.lists(st.one_of(st.integers(0, 10**6), st.none()), min_size=len(hours), max_size=len(hours)))
        rows += [{"video_id": f"v{i}", "time": START + h * HOUR_S, "views": v, "likes": None if v is None else v // 20, "channel_subscribers": 10 + i} for h, v in zip(hours, views)]
        pages.append({"video_id": f"v{i}", "published_at": START - draw(st.integers(1, 900)) * HOUR_S, "channel_id": f"c{i % 2}", "title": f"Title {i}", "duration": 60.0 * i})
        t0[f"v{i}"] = START + draw(st.sampled_from(hours)) * HOUR_S + draw(st.integers(0, 30)) * HOUR_S
    table = pd.DataFrame(rows)
    table[["views", "likes"]] = table[["views", "likes"]].astype(float)
    return table, pd.DataFrame(pages), t0


@heavy
@given(visits(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_doubles_change_nothing(made, random) -> None:
    table, page, t0 = made
    order = list(range(len(table))) + [random.randrange(len(table)) for _ in range(3)]
    random.shuffle(order)
    mixed = table.iloc[order]
    for options in ({}, {"interpolate": True, "t0": t0}):
        one, other = build_targets(table, **options), build_targets(mixed, **options)
        pd.testing.assert_frame_equal(one.table, other.table)
        pd.testing.assert_frame_equal(one.dropped, other.dropped)
    pd.testing.assert_frame_equal(snapshot_features(table, page, t0), snapshot_features(mixed, page.iloc[::-1], t0))


@heavy
@given(visits(), st.sampled_from(["altered", "removed", "moved"]), st.integers(0, 4))
def test_nothing_later_than_t0_enters(made, how: str, k: int) -> None:
    "Whatever becomes of all rows later than the t0 of one video, its own or those of the channel's other videos, its features stay."
    table, page, t0 = made
    video = sorted(t0)[k % len(t0)]
    later = table["time"] > t0[video]
    changed = table.copy()
    if how == "altered": changed.loc[later, ["views", "likes", "channel_subscribers"]] = 7e9
    elif how == "removed": changed = changed[~later]
    else: changed.loc[later, "time"] += 3 * DAY_S
    assert (table.loc[~later, "video_id"] == video).any()
    assert snapshot_features(changed, page, t0).loc[video].equals(snapshot_features(table, page, t0).loc[video])


@heavy
@given(visits())
def test_the_state_at_t0_is_the_last_row_up_to_it(made) -> None:
    table, _, t0 = made
    clean = read_snapshots(table)
    state = state_at(clean, t0_of(clean, t0), DAY_S)
    for video, row in state.iterrows():
        own = table[(table["video_id"] == video) & (table["time"] <= t0[video]) & (table["time"] >= t0[video] - DAY_S)]
        if own.empty: assert row.isna().all()
        else: assert row["time_s"] == own["time"].max() and row["views"] == pytest.approx(own.loc[own["time"].idxmax(), "views"], nan_ok=True)


def one_video(hours: list[float], views: list[float]) -> pd.DataFrame: return pd.DataFrame({"video_id": "a", "time": [START + h * HOUR_S for h in hours], "views": views, "likes": views})


@heavy
@given(st.integers(1, 48), st.integers(1, 72), st.integers(0, 72))
def test_the_nearest_snapshot_within_the_tolerance_counts(tolerance: int, early: int, late: int) -> None:
    at = 14 * 24
    made = build_targets(one_video([0, at - early, at + late], [0, 100, 200]), (14,), (14,), tolerance_days=tolerance / 24)
    near = [(gap, gain) for gap, gain in ((early, 100), (late, 200)) if gap <= tolerance]
    if not near: assert made.dropped["reason"].tolist() == ["no_snapshot_14d"]
    else: assert np.expm1(made.table.loc["a", "views_14d"]) == pytest.approx(min(near)[1])         # of two equally near the earlier


@heavy
@given(st.integers(0, 10**6), st.integers(0, 10**4), st.lists(st.integers(1, 23), min_size=24, max_size=40))
def test_interpolation_is_exact_on_linear_growth(first: int, per_hour: int, steps: list[int]) -> None:
    hours = np.cumsum([0, *steps])
    made = build_targets(one_video(list(hours), list(first + per_hour * hours)), (7,), (), interpolate=True)
    y = made.table.loc["a", "views_7d"]
    assert np.expm1(y) == pytest.approx(7 * 24 * per_hour, rel=1e-9) if hours[-1] >= 7 * 24 else np.isnan(y)


def test_falling_hidden_and_missing_are_told_apart() -> None:
    hours = [0.0, 7 * 24, 14 * 24, 21 * 24]
    fell = one_video(hours, [100, 90, 120, 80]).assign(video_id="fell")
    hidden = one_video(hours, [1, 2, 3, 4]).assign(video_id="hidden", likes=np.nan)
    blind = one_video(hours, [1, 2, 3, 4]).assign(video_id="blind", views=np.nan)
    gap = one_video([0.0, 14 * 24, 21 * 24], [1, 2, 3]).assign(video_id="gap")
    short = one_video(hours[:3], [1, 2, 3]).assign(video_id="short")
    made = build_targets(pd.concat([fell, hidden, blind, gap, short]))
    assert dict(made.dropped.to_numpy()) == {"hidden": "hidden_likes", "blind": "unknown_views", "short": "no_snapshot_21d"}
    assert made.table.loc["fell", ["views_7d", "views_21d"]].tolist() == [0, 0] and made.table.loc["fell", "views_14d"] > 0
    assert (made.counts["falling_views_7d"], made.counts["falling_views_14d"], made.counts["falling_views_21d"]) == (1, 0, 1)
    assert made.table.loc["gap", ["mask_views_7d", "mask_likes_7d"]].tolist() == [False, False] and np.isnan(made.table.loc["gap", "views_7d"])


def test_tables_of_the_caller_are_left_as_they_are() -> None:
    page = pd.DataFrame({"title": ["x", "y"]}, index=[1, 2])
    table = one_video([0, 24], [1, 2]).assign(video_id=1)
    kept, seen = page.copy(), table.copy()
    snapshot_features(table, page)
    pd.testing.assert_frame_equal(page, kept)
    pd.testing.assert_frame_equal(table, seen)


# --- splits ---------------------------------------------------------------------------------------------------------------------

@quick
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10**6)), min_size=30, max_size=120), st.integers(2, 6), st.integers(0, 3))
def test_parts_never_share_a_video_or_a_channel(made: list[tuple[int, int]], folds: int, seed: int) -> None:
    index = pd.Index([f"v{i}" for i in range(len(made))])
    groups, times = (pd.Series([m[k] for m in made], index=index) for k in range(2))
    for by in ("random", "channel", "time", "channel_time"):
        parts = split(index, by, groups=groups, times=times, folds=folds, seed=seed)
        for fold in parts:
            every = [*fold.train, *fold.valid, *fold.test]
            assert sorted(every) == sorted(index)
            channels = [set(groups[part]) for part in (fold.train, fold.valid, fold.test)]
            if by.startswith("channel"): assert sum(map(len, channels)) == len(set().union(*channels))
            if by == "time" and len(fold.test): assert times[fold.train].max() <= times[fold.test].min()
            if by == "channel_time":
                first = times.groupby(groups).min()
                ends = [[first[c] for c in group] for group in channels if group]
                assert all(max(a) <= min(b) for a, b in zip(ends, ends[1:]))
        if by in ("random", "channel"): assert sorted(v for fold in parts for v in fold.test) == sorted(index)


def test_shares_are_kept_when_channels_are_small() -> None:
    index = pd.Index([f"v{i}" for i in range(3000)])
    fold, = split(index, "channel_time", groups=pd.Series(np.arange(3000) // 3, index=index), times=pd.Series(np.arange(3000), index=index))
    assert [len(p) / 3000 for p in (fold.train, fold.valid, fold.test)] == pytest.approx([0.8, 0.1, 0.1], abs=0.002)


# --- real collections -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def yt8k(shared_data) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = shared_data / "popularity/yt8k_2021"
    daily = pd.read_parquet(folder / "daily_long.parquet").rename(columns={"date": "time", "ch_subscribers": "channel_subscribers", "ch_views": "channel_views", "ch_videos": "channel_videos"})
    return daily, pd.read_csv(folder / "meta.csv.gz")


def test_the_traps_of_yt8k(yt8k) -> None:
    made = build_targets(yt8k[0])
    assert (len(made), len(made.dropped)) == (5672, 114)
    assert made.dropped["reason"].value_counts().to_dict() == {"hidden_likes": 65, "no_snapshot_14d": 29, "no_snapshot_21d": 19, "unknown_views": 1}
    assert sum(n for k, n in made.counts.items() if k.startswith("falling")) == 305
    assert made.table[[h for h in heads() if not h.endswith("_7d")]].notna().all(axis=None)
    for x in ("views", "likes"): assert (made.table[f"mask_{x}_7d"] == made.table[f"{x}_7d"].notna()).all()


def counter(daily: pd.DataFrame, day: int, name: str = "views") -> pd.Series:
    "A counter of each video at its n-th visit."
    row = daily.sort_values("time").groupby("video_id").nth(day)
    return row.set_index("video_id")[name].astype(float)


@pytest.mark.parametrize("start", [None, 5])
def test_leaks_are_found_on_real_counters(yt8k, start: int | None) -> None:
    "At the first visit, and on day 5, when honest gains of the last days order the next week with 0.97."
    some = sorted(yt8k[0]["video_id"].unique())[:1500]
    daily = yt8k[0][yt8k[0]["video_id"].isin(some)]
    t0 = None if start is None else pd.Timestamp(daily["time"].min()) + pd.Timedelta(start, "D")
    features, targets = snapshot_features(daily, yt8k[1], t0), build_targets(daily, (7, 14), (14,), t0=t0)
    assert not len(audit_leaks(features, targets)) and refuse_leaks(features, targets) is None
    rng, y = np.random.default_rng(1), targets.table["views_7d"]
    week, next_day = counter(daily, (start or 0) + 7), counter(daily, (start or 0) + 1)
    leaking = pd.DataFrame({"x.week": week, "x.week_log": np.log1p(week), "x.noisy": week - 0.02 * week * rng.random(len(week)), "x.next": next_day, "x.target": y,
                            "x.turned": 3 - 2 * y, "x.rough": y + rng.normal(0, 0.3, len(y)), "x.likes": counter(daily, (start or 0) + 14, "likes")}).reindex(features.index)
    honest = pd.DataFrame({"x.shuffled": pd.Series(rng.permutation(y), y.index), "x.noise": rng.normal(size=len(features)), "x.views_again": features["snapshot.views_log"]}, index=features.index)
    found = set(audit_leaks(pd.concat([features, leaking, honest], axis=1), targets)["column"])
    assert found == set(leaking.columns)
    with pytest.raises(UsageError, match="8 columns seem to know"): refuse_leaks(pd.concat([features, leaking], axis=1), targets)


def test_four_visits_in_nine_days(shared_data) -> None:
    "mftn_tech_2026: irregular moments, no day 14."
    table = pd.read_parquet(shared_data / "popularity/mftn_tech_2026/snapshots_long.parquet").rename(columns={"snapshot_utc": "time", "view_count": "views", "like_count": "likes", "comment_count": "comments"})
    made = build_targets(table, (7,), (7,))
    time = pd.to_datetime(table["time"], utc=True, format="ISO8601")
    age = (time - time.groupby(table["video_id"]).transform("min")) / pd.Timedelta(1, "D")
    reached = set(table["video_id"][(age > 0) & ((age - 7).abs() <= 1)])
    assert set(made.table.index) <= reached and {v for v, why in made.dropped.to_numpy() if why == "no_snapshot_7d"} == set(table["video_id"]) - reached
    assert len(made) > 1000 and not len(build_targets(table))
    page = table.drop_duplicates("video_id")[["video_id", "published_at", "duration_iso8601", "category_id", "channel_id", "title"]].rename(columns={"duration_iso8601": "duration"})
    features = snapshot_features(table[table["video_id"].isin(page["video_id"][:400])], page)
    assert features["snapshot.age_days"].dropna().ge(0).all() and features["snapshot.duration_log"].notna().mean() > 0.9


def test_a_date_without_a_year_is_no_time(shared_data) -> None:
    "trending_2017: `date` is text, 01.10 is the first of October; read as a number it is nonsense, and refused."
    path = shared_data / "popularity/trending_2017/GBvideos.csv.gz"
    table = pd.read_csv(path, dtype={"date": str}, on_bad_lines="skip").rename(columns={"comment_total": "comments"})
    with pytest.raises(UsageError, match="time"): read_snapshots(table.rename(columns={"date": "time"}))
    with pytest.raises(UsageError, match="time"): read_snapshots(table.assign(time=table["date"].astype(float)))
    table["time"] = pd.to_datetime(table["date"].str.strip() + ".2017", format="%d.%m.%Y", utc=True)
    made = build_targets(table, (7,), (7,))
    assert table["time"].dt.strftime("%d.%m").eq(table["date"].str.strip()).all() and len(made) > 50
    assert made.counts["doubled_rows"] == len(table) - len(table.drop_duplicates(["video_id", "time"]))


def test_interpolation_follows_dense_series(shared_data) -> None:
    table = pd.read_parquet(shared_data / "popularity/dense_few/sakamichi_mv_hourly.parquet").rename(columns={"t": "time"})
    between, nearest = build_targets(table, (7,), (), interpolate=True), build_targets(table, (7,), ())
    both = between.table["views_7d"].notna() & nearest.table["views_7d"].notna()
    assert both.sum() >= 5
    time = pd.to_datetime(table["time"], utc=True).astype("datetime64[us, UTC]").astype("int64") / 1e6
    for video in between.table.index[both]:
        own = pd.DataFrame({"t": time, "x": table["views"].astype(float)})[table["video_id"] == video].groupby("t")["x"].max()
        want = np.interp(own.index[0] + 7 * DAY_S, own.index, own.to_numpy()) - own.iloc[0]
        assert np.expm1(between.table.loc[video, "views_7d"]) == pytest.approx(max(want, 0), rel=1e-6)
    assert (between.table["views_7d"] - nearest.table["views_7d"])[both].abs().max() < 0.1


# --- title vectors and the schema -----------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_a_title_has_its_vector_whatever_stands_beside_it(yt8k) -> None:
    titles = yt8k[1].set_index("video_id")["title"].iloc[:40]
    together = title_vectors(titles)
    for video in titles.index[::8]: np.testing.assert_allclose(together.loc[video], title_vectors(titles[[video]]).iloc[0], atol=1e-5)
    np.testing.assert_allclose((together**2).sum(axis=1), 1, atol=1e-5)
    pd.testing.assert_frame_equal(title_vectors(titles.iloc[::-1]).loc[titles.index], together, atol=1e-5)


names = st.lists(st.sampled_from([f"{f}.m{i}" for f in ("snapshot", "author", "video_pacing", "mine") for i in range(4)]), min_size=1, unique=True)


@quick
@given(names, st.randoms(use_true_random=False))
def test_a_schema_finds_its_columns_in_any_order(wanted: list[str], random) -> None:
    table = pd.DataFrame(np.arange(2.0 * len(wanted)).reshape(2, -1), columns=wanted)
    schema = FeatureSchema.from_dict(json.loads(json.dumps(schema_of(table).to_dict())))
    mixed = [*wanted, "other.m"]
    random.shuffle(mixed)
    pd.testing.assert_frame_equal(schema.select(table.assign(**{"other.m": 1.0})[mixed]), table)
    assert schema.fingerprint == schema_of(table).fingerprint and differences(schema, table) == []
    assert len(wanted) == 1 or schema_of(table[wanted[::-1]]).fingerprint != schema.fingerprint
    lost = random.choice(wanted)
    with pytest.raises(UsageError, match="missing"): schema.select(table.drop(columns=lost))
    numbered = table.copy()
    numbered.attrs["schema_versions"] = {wanted[0].split(".")[0]: "another"}
    with pytest.raises(UsageError, match="has schema another, the model was trained on"): schema.select(numbered)


# --- the feature table ----------------------------------------------------------------------------------------------------------

INFO = {"epoch": START, "timestamp": START - 5 * DAY_S, "view_count": 1000, "like_count": 50, "duration": 5, "channel_id": "UCx", "title": "A small clip", "tags": ["one"]}


def multiplied(run, store: Path, n: int) -> list[Path]:
    "Run folders that differ in the id of the video alone; the arrays are the same files."
    manifest, out = json.loads((run.dir / "manifest.json").read_text("utf-8")), []
    for i in range(n):
        folder = store / "youtube" / f"vid{i:05d}" / "r1"
        for file in run.dir.glob("*/*.npz"):
            (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
            os.link(file, folder / file.parent.name / file.name)
        manifest["run"]["video_id"] = f"vid{i:05d}"
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        out.append(folder)
    return out


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    profile = {"components": {c: {} for c in ("video_meta", "color_light", "lexico_static_features", "tags_extractor")}}
    return run_video(samples.silent_clip(), {"id": "small", **INFO}, profile=profile, store=tmp_path_factory.mktemp("small") / "store", quiet=True)


def edited(folder: Path, edit) -> None:
    "Change a manifest."
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    edit(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def without(name: str): return lambda m: m.update(components=[c for c in m["components"] if c["name"] != name])


def failed(name: str):
    def edit(m: dict) -> None:
        next(c for c in m["components"] if c["name"] == name).update(status="error", empty_reason=None, error={"code": "x", "type": "X", "message": "x"}, artifacts=[])
    return edit


def test_a_hundred_runs_as_one_table(small_run, tmp_path: Path) -> None:
    folders = multiplied(small_run, tmp_path / "store", 100)
    edited(folders[3], without("color_light"))
    edited(folders[4], failed("color_light"))
    table = feature_table(tmp_path / "store")
    assert list(table.index) == [f.parent.name for f in folders] and set(table.dtypes) == {np.dtype("float64")}
    # each column is what the run says of itself
    own = feature_rows(small_run.paths, small_run.manifest)
    measured = {k: v for part in own.values() for k, v in part.items() if k.split(".")[:2] not in [["video_meta", r] for r in REPEATED]}
    assert [c for c in table.columns if c not in known_names()] == [c for d in ("color_light", "lexico_static_features", "tags_extractor", "video_meta") for c in columns(discover()[d]) if c in measured]
    for row in (0, 99): np.testing.assert_array_equal(table.iloc[row][list(measured)].to_numpy(), np.array(list(measured.values())))
    for row in (3, 4):
        there = table.iloc[row].filter(like="color_light.")
        assert there.pop("color_light.present") == 0 and there[[c for c in there.index if not c.endswith("present_share")]].isna().all()
    assert table["author.other_videos"].eq(99).all() and table["snapshot.age_days"].eq(5).all()
    assert set(table.attrs["schema_versions"]) == set(families(table))
    pd.testing.assert_frame_equal(feature_table(reversed(folders)).iloc[::-1], table)
    chosen = feature_table(folders, components=["lexico_static_features"])
    pd.testing.assert_frame_equal(chosen, table[chosen.columns])
    # columns are known without data: a table of the two runs alone has the same
    assert list(feature_table([folders[3], folders[0]]).columns) == list(table.columns)


def test_a_table_survives_parquet(small_run, tmp_path: Path) -> None:
    table = feature_table(small_run)
    table.to_parquet(tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(back, table)
    assert back.attrs == table.attrs and schema_of(back) == schema_of(table)


def test_what_is_wrong_with_a_run_is_said_with_its_name(small_run, tmp_path: Path) -> None:
    folders = multiplied(small_run, tmp_path / "store", 3)
    broken = folders[1] / "color_light" / "color_light.npz"
    content = broken.read_bytes()
    broken.unlink()
    with pytest.raises(ArtifactError, match="run youtube/vid00001/r1"): feature_table(folders)
    broken.write_bytes(content[:-5000])
    with pytest.raises(ArtifactError, match="run youtube/vid00001/r1"): feature_table(folders)
    broken.write_bytes(content)
    feature_table(folders)
    (folders[2] / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ManifestError, match="vid00002"): feature_table(folders)
    with pytest.raises(UsageError, match="one for each video"): feature_table([folders[0], folders[0]])


def test_a_run_from_after_t0_is_refused(small_run) -> None:
    table = pd.DataFrame({"video_id": "small", "time": START + np.arange(-30, 25) * DAY_S, "views": np.arange(55.0)})
    for days, ahead in ((0, False), (-1, False), (-1.5, True), (3, False)):
        ask = {"snapshots": table, "t0": START + days * DAY_S}
        if not ahead: assert feature_table(small_run, **ask)["snapshot.views_log"].notna().all()
        else:
            with pytest.raises(UsageError, match=r"know the future"): feature_table(small_run, **ask)
    with pytest.raises(UsageError, match="by up to 30.0 days"): feature_table(small_run, table)         # without t0 it is the first snapshot


SCALE = """
import json, resource, sys, time
from trendflow.core.registry import discover
from trendflow.learn.feature_table import feature_table
discover()
start = time.process_time()
table = feature_table(sys.argv[1])
print(json.dumps([*table.shape, time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@pytest.mark.slow
def test_two_thousand_runs_in_a_minute_and_a_gigabyte(tmp_path: Path) -> None:
    run = run_video(samples.clip(), samples.info(), profile="fast", store=tmp_path / "one", quiet=True)
    multiplied(run, tmp_path / "store", 2000)
    told = subprocess.run([sys.executable, "-c", SCALE, str(tmp_path / "store")], capture_output=True, text=True, check=True).stdout
    rows, _, cpu_s, peak_mb = json.loads(told)
    assert rows == 2000 and cpu_s < 60 and peak_mb < 1024, told


# --- quality --------------------------------------------------------------------------------------------------------------------

def test_doubles_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=(400, 6))
    table = pd.DataFrame(np.c_[base, base[:, 0]**3, -base[:, 1] + 0.02 * rng.normal(size=400), base[:, 2] + 0.3 * rng.normal(size=400), np.round(base[:, 3]), np.full(400, 2.0), base[:, 4]],
                         columns=[f"x.{i}" for i in range(12)])
    table = table.mask(rng.random(table.shape) < 0.05)
    found = {(r.a, r.b): r.rho for r in doubles(table).itertuples()}
    for i, a in enumerate(table):
        for b in list(table)[i + 1:]:
            rho = spearmanr(*table[[a, b]].dropna().to_numpy().T)[0] if "x.10" not in (a, b) else 0.0
            assert ((a, b) in found) == (abs(rho) >= 0.98) and found.get((a, b), rho) == pytest.approx(rho)
    assert ("x.0", "x.6") in found and ("x.1", "x.7") in found and ("x.2", "x.8") not in found


@quick
@given(st.integers(0, 10**6))
def test_drift_looks_at_ranks_and_holes_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x.a": rng.normal(size=300)}).mask(rng.random((300, 1)) < 0.1)
    a, b = table.index[:200], table.index[200:]
    assert drift(table, a, a)["psi"].iloc[0] == 0
    assert drift(np.exp(table), a, b)["psi"].iloc[0] == pytest.approx(drift(table, a, b)["psi"].iloc[0])
    assert 0 <= drift(table, a, b)["psi"].iloc[0] < drift(table.mask(table.index.to_numpy()[:, None] >= 200), a, b)["psi"].iloc[0]


def test_the_report_tells_what_is_wrong(yt8k) -> None:
    some = sorted(yt8k[0]["video_id"].unique())[:800]
    daily = yt8k[0][yt8k[0]["video_id"].isin(some)]
    features, targets, page = snapshot_features(daily, yt8k[1]), build_targets(daily), yt8k[1].set_index("video_id")
    features = features.loc[targets.table.index]
    parts = split(features.index, "channel_time", groups=page["channel_id"], times=pd.to_datetime(page["published_at"]).astype("int64"))
    report = data_quality_report(features, targets, parts)
    assert report.drift.index[0].startswith("snapshot.age_days") and not len(report.leaks)
    assert {"snapshot.views_gain_1d_log", "author.matured_views_14d_median"} <= set(report.constant.index)
    assert ("snapshot.age_days_log", "snapshot.age_days") in set(zip(report.duplicated["a"], report.duplicated["b"]))
    assert len(str(report).splitlines()) == 6 and max(map(len, str(report).splitlines())) < 220
    assert "<script" not in report._repr_html_() and report.plot().png()[1:4] == b"PNG"
    assert report.missing.loc["snapshot.views_gain_1d_log", ["all", "train", "test"]].tolist() == [1, 1, 1]


def test_every_counter_has_a_column() -> None:
    assert {f"{'channel' if c.startswith('channel') else 'snapshot'}.{c.removeprefix('channel_')}_log" for c in COUNTERS} <= set(snapshot_features(one_video([0], [1])).columns)
