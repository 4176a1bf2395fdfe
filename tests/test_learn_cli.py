"""The learning commands: from tables to predictions, what is refused, and that nothing is half-written."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from trendflow.app.cli import main
from trendflow.app.run_video import run_video
from trendflow.core import samples

N = 75          # videos
TINY = ("--engine", "lightgbm", "--rounds", "3", "--no-titles")


def call(*args: object) -> int:
    "Exit code of a command."
    try: main([str(a) for a in args])
    except SystemExit as e: return int(e.code or 0)
    return 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A folder with invented snapshots and a model of a few trees."
    folder = tmp_path_factory.mktemp("learn")
    assert call("invent", folder, "--videos", N) == 0
    with redirect_stderr(StringIO()) as said: done = call("train", folder / "snapshots.csv.gz", "--meta", folder / "meta.csv", "--model", folder / "model", *TINY)
    assert done == 0 and (folder / "said.txt").write_text(said.getvalue())
    return folder


def own(place: Path) -> tuple: return ("--snapshots", place / "snapshots.csv.gz", "--meta", place / "meta.csv")


def test_targets_say_what_is_kept_and_why_not(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = call("targets", place / "snapshots.csv.gz", "--out", tmp_path / "t.csv", "--dropped", tmp_path / "d.parquet", "--json")
    told = json.loads(capsys.readouterr().out)
    assert made == 0
    assert told["kept"] == len(pd.read_csv(tmp_path / "t.csv")) and sum(told["dropped"].values()) == len(pd.read_parquet(tmp_path / "d.parquet")) == N - told["kept"]
    assert call("targets", samples.clip().parent / "snapshots.csv", "--out", tmp_path / "one.parquet", "--horizons", "7,14") == 0
    assert capsys.readouterr().out.startswith("1 video kept, 0 left out") and list(pd.read_parquet(tmp_path / "one.parquet"))[1:3] == ["views_7d", "views_14d"]


def test_many_videos_become_a_table(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert call("predict", place / "model", *own(place), "--out", tmp_path / "p.parquet") == 0
    table = pd.read_parquet(tmp_path / "p.parquet")
    out, err = capsys.readouterr()
    assert len(table) == N and (table["views_21d_p10"] <= table["views_21d_p90"]).all() and out == "" and f"{N} videos: baseline" in err
    assert call("predict", place / "model", *own(place), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [r["video_id"] for r in told["videos"]] == table["video_id"].tolist() and told["contributions"] is None


def test_one_video_becomes_a_text_and_a_figure(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert call("predict", place / "model", *own(place), "--video-id", "invented_0007", "--figure", tmp_path / "new" / "f.png") == 0
    assert "invented_0007" in capsys.readouterr().out and [p.name for p in (tmp_path / "new").iterdir()] == ["f.png"]


def test_an_info_json_is_enough(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert call("predict", place / "model", "--info", samples.info(), "--json") == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["videos"][0]["video_id"] == "tfSample_01"
    assert alone["videos"][0]["views_now"] == 4812 and "what the title means" not in {c["words"] for c in alone["contributions"]}
    run = run_video(samples.clip(), samples.info(), profile={"components": {"color_light": {}, "video_meta": {}}}, store=tmp_path, quiet=True)
    assert call("predict", place / "model", "--run", run.dir, "--info", samples.info(), "--json") == 0
    both = json.loads(capsys.readouterr().out)
    assert both["videos"][0] == alone["videos"][0]
    assert call("predict", place / "model", "--run", run.dir, "--info", samples.info(), "--t0", "2024-05-02T12:00:00Z") == 2
    assert "know the future" in capsys.readouterr().err


def test_evaluate_knows_its_own_data(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert call("evaluate", place / "model", place / "snapshots.csv.gz", "--meta", place / "meta.csv", "--json") == 0
    out, err = capsys.readouterr()
    card = json.loads((place / "model" / "model.json").read_text())
    assert "trained on" in err and json.loads(out)["training_data"]
    assert {r["head"]: r["spearman"] for r in json.loads(out)["figures"]} == {h: m["spearman"] for h, m in card["metrics"].items()}
    assert call("invent", tmp_path, "--videos", 66, "--seed", 4) == 0
    capsys.readouterr()
    assert call("evaluate", place / "model", tmp_path / "snapshots.csv.gz", "--meta", tmp_path / "meta.csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["training_data"] and {"all", "3_7d"} <= {r["bucket"] for r in told["figures"]}


def test_columns_of_other_names(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pd.read_csv(place / "snapshots.csv.gz").rename(columns={"time": "date", "video_id": "id"}).to_csv(tmp_path / "s.csv", index=False)
    assert call("targets", tmp_path / "s.csv", "--out", tmp_path / "t.csv") == 2 and "['video_id', 'time'] are missing" in capsys.readouterr().err
    assert call("targets", tmp_path / "s.csv", "--out", tmp_path / "t.csv", "--rename", "date=time", "--rename", "id=video_id") == 0


def test_ids_keep_their_form(tmp_path: Path) -> None:
    rows = "".join(f"{v},2024-05-{d:02d}T00:00:00Z,{100 * d},{d}\n" for v in ("0123", "1e5", "NA") for d in range(1, 25))
    (tmp_path / "s.csv").write_text("video_id,time,views,likes\n" + rows)
    assert call("targets", tmp_path / "s.csv", "--out", tmp_path / "t.csv") == 0
    assert [line.split(",")[0] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]] == ["0123", "1e5", "NA"]


@pytest.mark.parametrize(("args", "says"), [
    (("targets", "{s}", "--out", "t.xlsx"), "a table is a .parquet"),
    (("targets", "nowhere.csv", "--out", "t.csv"), "no such file"),
    (("targets", "s.pkl", "--out", "t.csv"), "a table is a .parquet"),
    (("targets", "{s}", "--out", "t.csv", "--horizons", "a week"), "days are needed"),
    (("targets", "{s}", "--out", "t.csv", "--horizons", "-7,14"), "positive days"),
    (("targets", "{s}", "--out", "t.csv", "--tolerance-days", "0"), "must be positive"),
    (("targets", "{s}", "--out", "t.csv", "--rename", "date"), "old=new"),
    (("targets", "{s}", "--out", "t.csv", "--rename", "date=time"), "no column of the files"),
    (("targets", "{m}", "--out", "t.csv"), "are missing"),
    (("targets", "{s}", "--out", "{m}/t.csv"), "'meta.csv' is no folder"),
    (("targets", "{s}", "--out", "t.csv", "--dropped", "t.csv"), "the same file"),
    (("train", "{s}", "--meta", "{m}", "--model", "{m}/deep/new"), "'meta.csv' is no folder"),
    (("train", "{s}", "--meta", "{m}", "--model", "new", "--store", "nowhere", "--no-titles"), "'nowhere': no such folder"),
    (("predict", "{model}", "--info", "{info}", "--figure", "{m}/f.png"), "'meta.csv' is no folder"),
    (("invent", "{m}/deep"), "'meta.csv' is no folder"),
    (("train", "{s}", "--model", "new"), "channel_id is needed"),
    (("train", "{s}", "--meta", "{s}", "--model", "new"), "channel_id is needed"),
    (("train", "{s}", "--meta", "{m}", "--model", "{here}"), "holds something that is no model"),
    (("train", "{s}", "--meta", "{m}", "--model", "{m}"), "is no folder"),
    (("train", "{s}", "--meta", "{m}", "--model", "new", "--kind", "oracle"), "not one of"),
    (("train", "{s}", "--meta", "{m}", "--model", "new", "--engine", "xgboost", "--no-titles"), "not one of"),
    (("train", "{s}", "--meta", "{m}", "--model", "new", "--split", "luck", "--no-titles"), "not one of"),
    (("evaluate", "nowhere", "{s}", "--meta", "{m}"), "no such folder"),
    (("predict", "{model}"), "neither a run nor snapshots"),
    (("predict", "{model}", "--meta", "{m}"), "without snapshots"),
    (("predict", "{model}", "--snapshots", "{s}", "--info", "{info}"), "Give one of them"),
    (("predict", "{model}", "--info", "{info}", "--figure", "f.doc"), ".png, .svg or .pdf"),
    (("predict", "{model}", "--info", "{info}", "--out", "p.xlsx"), "a table is a .parquet"),
    (("predict", "{model}", "--info", "{info}", "--video-id", "nobody"), "not among 1"),
    (("predict", "{model}", "--snapshots", "{s}", "--figure", "f.png"), "one video at a time"),
    (("predict", "{here}", "--info", "{info}"), "model.json is missing"),
    (("predict", "{model}", "--run", "nowhere", "--info", "{info}"), "nowhere"),
])
def test_wrong_use_says_what_is_wrong_and_returns_2(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, args: tuple, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"s": place / "snapshots.csv.gz", "m": place / "meta.csv", "model": place / "model", "here": place, "info": samples.info()}
    assert call(*(a.format(**named) for a in args)) == 2
    out, err = capsys.readouterr()
    assert says in err and out == "" and "Traceback" not in err and list(tmp_path.iterdir()) == []


def test_broken_files_are_said(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, content in (("a.csv", b"video_id,time,views\na,2024,1,2,3\n\xff"), ("b.parquet", b"PAR1"), ("c.csv.gz", b"\x1f\x8b"), ("d.csv", b"")):
        (tmp_path / name).write_bytes(content)
        assert call("targets", tmp_path / name, "--out", tmp_path / "t.csv") == 2
        assert name in capsys.readouterr().err and not (tmp_path / "t.csv").exists()
    (tmp_path / "e.csv").write_text("video_id,time,views\na,01.10,1\na,02.10,2\n")
    assert call("targets", tmp_path / "e.csv", "--out", tmp_path / "t.csv") == 2 and "is no time" in capsys.readouterr().err


def test_tables_that_say_nothing(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    long, page = pd.read_csv(place / "snapshots.csv.gz"), pd.read_csv(place / "meta.csv")
    long.head(0).to_csv(tmp_path / "bare.csv", index=False)
    assert call("targets", tmp_path / "bare.csv", "--out", tmp_path / "t.csv") == 2 and "has no rows" in capsys.readouterr().err
    long.drop(columns="views").to_csv(tmp_path / "no_views.csv", index=False)
    assert call("targets", tmp_path / "no_views.csv", "--out", tmp_path / "t.csv") == 0 and f"{N}  unknown_views" in capsys.readouterr().out
    page.assign(category_id="Music").to_csv(tmp_path / "words.csv", index=False)
    train = ("train", place / "snapshots.csv.gz", "--model", tmp_path / "new", *TINY, "--meta")
    assert call(*train, tmp_path / "words.csv") == 2 and "category_id" in capsys.readouterr().err
    page.assign(video_id="other_" + page["video_id"]).to_csv(tmp_path / "others.csv", index=False)
    assert call(*train, tmp_path / "others.csv") == 2 and "is wanted" in capsys.readouterr().err


def test_a_model_that_is_no_better_than_a_naive_one_says_so(place: Path) -> None:
    told = json.loads((place / "model" / "model.json").read_text())["metrics"]
    worse = [h for h, m in told.items() if m["spearman"] <= m["naive_spearman"]]
    assert worse and f"a naive predictor is as good or better on {', '.join(worse)}:" in (place / "said.txt").read_text()


def test_an_altered_model_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from shutil import copytree
    card = copytree(place / "model", tmp_path / "model") / "model.json"
    card.write_text(card.read_text().replace('"views_7d"', '"views_8d"', 1))
    assert call("predict", tmp_path / "model", "--info", samples.info()) == 2 and "altered" in capsys.readouterr().err


def test_ctrl_c_leaves_no_model(place: Path, tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("trendflow"), "train", place / "snapshots.csv.gz", "--meta", place / "meta.csv", "--model", tmp_path / "model",
               "--engine", "lightgbm", "--no-titles"]
    child = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    for line in child.stderr:                           # type: ignore[union-attr]
        if line.startswith("training a baseline"): break
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and "interrupted" in err and "Traceback" not in err and list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    code = ("import sys\nfrom trendflow.app.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\n"
            "print(sorted({'pandas', 'torch', 'scipy', 'matplotlib', 'lightgbm'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]")
