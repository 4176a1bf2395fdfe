"""The command line as users and programs see it: exit codes, plain data, messages, Ctrl-C."""
from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trendflow.app.cli import app, main
from trendflow.core import samples
from trendflow.core.manifest import load
from trendflow.core.store import runs

PROFILE = "components: {color_light: {}, tags_extractor: {}, loudness_extractor: {}}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A folder with a profile and one finished run."
    folder = tmp_path_factory.mktemp("cli")
    (folder / "p.yaml").write_text(PROFILE)
    assert call(folder, "run", samples.clip(), "--info", samples.info(), "-q") == 0
    return folder


def call(place: Path, command: str, *args: object) -> int:
    "Exit code of a command; store and profile are those of the folder where the command has them."
    options = {p.name for c in app.registered_commands if (c.name or c.callback.__name__) == command
               for p in inspect.signature(c.callback).parameters.values()}
    own = [x for name, value in (("store", place / "store"), ("profile", place / "p.yaml")) if name in options and f"--{name}" not in args
           for x in (f"--{name}", value)]
    try: main([str(a) for a in (command, *args, *own)])
    except SystemExit as e: return int(e.code or 0)
    return 0


def run_dir(place: Path) -> Path: return next(iter(runs(place / "store")))


@pytest.mark.parametrize(("command", "args", "says"), [
    ("run", ("nowhere.mp4",), "no such file"),
    ("run", (samples.clip(), "--profile", "faast"), "faast"),
    ("run", (samples.clip(), "--info", "nowhere.json"), "info: the file is not there"),
    ("run", (samples.clip(), "--video-id", "../../etc"), "video_id"),
    ("run", (samples.clip(), "--run-id", "a/b"), "run_id"),
    ("run", (samples.clip(), "--t0", "yesterday"), "t0"),
    ("run", (samples.clip(), "--redo", "color_lite"), "color_lite"),
    ("run", (samples.clip(), "--workers", "0"), "workers"),
    ("run", (samples.clip(), "--figure", "overview.doc"), ".png, .svg or .pdf"),
    ("run", (samples.clip().parent,), "is a folder"),
    ("run", (samples.clip(), "--store", samples.info()), "is a file"),
    ("run", (samples.clip(), "--store", samples.info() / "x"), "is a file"),
    ("run", (samples.clip(), "--work", samples.info()), "is a file"),
    ("run", (samples.clip(), "--store", "same", "--work", "same"), "is the store"),
    ("run", (samples.clip(), "--run-id", ""), "run_id"),
    ("run", (samples.clip(), "--t0", "5"), "outside 2005 to 2100"),
    ("runs", ("--store", samples.info()), "is a file"),
    ("runs", ("--video-id", "../x"), "video_id"),
    ("validate", ("nowhere.npz",), "is not there"),
    ("batch", ("nowhere.mp4",), "no such files"),
    ("segment", ("nowhere.mp4",), "no such file"),
    ("plan", ("nowhere.mp4",), "no such file"),
    ("show", ("nowhere",), "nowhere"),
    ("validate", ("nowhere",), "nowhere"),
    ("explain", ("color_lite", samples.clip()), "color_lite"),
    ("components", ("color_lite",), "color_lite"),
    ("export", ("out.xls",), ".parquet or .csv"),
    ("delete", ("--video-id", "../x"), "video_id"),
])
def test_wrong_use_says_what_is_wrong_and_returns_2(place: Path, capsys: pytest.CaptureFixture, command: str, args: tuple, says: str) -> None:
    assert call(place, command, *args) == 2
    out, err = capsys.readouterr()
    assert says in err and out == "" and "Traceback" not in err


@pytest.mark.parametrize(("text", "says"), [
    ("a: [1", "line"), ("[]", "mapping"), ("components: {}", "no component"), ("components: {color_light: null}", "Write {}"), ("components: [color_light]", "components"),
    ("components: {color_light: {}, color_light: {required: false}}", "stand twice"), ("extends: [fast]", "extends"), ("{extends: fast, components: [a]}", "components"),
    ("components: {color_light: {sampling: {target: 0}}}", "color_light: sampling"), ("components: {color_light: {sampling: {target: 60.5}}}", "whole number"),
    ("components: {color_light: {config: {grey_below: .nan}}}", "grey_below"), ("{components: {color_light: {}}, max_duration_s: .inf}", "max_duration_s"),
    ("{components: {tags_extractor: {}}, anchor: tags_extractor}", "anchor"),
])
def test_a_wrong_profile_says_what_is_wrong(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture, text: str, says: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    assert call(place, "plan", samples.clip(), "--profile", tmp_path / "wrong.yaml") == 2
    assert says in capsys.readouterr().err


def test_a_profile_that_extends_itself_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "own.yaml").write_text(f"extends: {tmp_path / 'own.yaml'}")
    assert call(place, "plan", samples.clip(), "--profile", tmp_path / "own.yaml") == 2 and "extends" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as e: main(["--version"])
    assert not e.value.code and capsys.readouterr().out.count(".") == 2


def test_a_full_disk_is_said_and_leaves_no_leftovers(place: Path, tmp_path: Path) -> None:
    trendflow = Path(sys.executable).with_name("trendflow")
    command = f"ulimit -f 1; exec {trendflow} export {tmp_path / 'f.csv'} --store {place / 'store'}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_and_components_stay_where_they_are(place: Path, capsys: pytest.CaptureFixture) -> None:
    for odd in ("nobody", "../../x"):
        assert call(place, "show", run_dir(place), odd) == 2
        assert "has no artifact" in capsys.readouterr().err
    assert call(place, "components", "color_light", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == "color_light"


def test_skipped_is_10_and_a_failed_component_is_1(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "no.mp4").write_text("no video")
    assert call(place, "run", place / "no.mp4", "--store", place / "other", "-q") == 10
    assert "skipped" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "args"), [
    ("run", (samples.clip(), "--info", samples.info())), ("runs", ()), ("plan", (samples.clip(),)), ("components", ()), ("doctor", ()),
    ("explain", ("color_light", samples.clip(), "--info", samples.info())),
])
def test_json_is_json(place: Path, capfd: pytest.CaptureFixture, command: str, args: tuple) -> None:
    assert call(place, command, *args, "--json") == 0
    assert json.loads(capfd.readouterr().out)


def test_json_of_what_lies_in_the_store(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    told = {}
    for name, args in {"show": (run_dir(place),), "artifact": (run_dir(place), "color_light"), "validate": (run_dir(place),),
                       "export": (tmp_path / "f.parquet",), "purge": ("--dry-run",), "segment": (samples.clip(), "--info", samples.info())}.items():
        assert call(place, {"artifact": "show"}.get(name, name), *args, "--json") == 0
        told[name] = json.loads(capsys.readouterr().out)
    assert told["show"]["run"]["status"] == "ok" and told["artifact"]["producer"] == "color_light"
    assert len(told["validate"]) == 3 and all(r["ok"] for r in told["validate"])
    assert told["export"]["rows"] == 1 and (tmp_path / "f.parquet").stat().st_size > 0
    assert told["segment"]["views"]["analysis"] > 0


def test_the_two_halves_make_the_run(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = tmp_path / "store"
    assert call(place, "segment", samples.clip(), "--info", samples.info(), "--store", store) == 0
    frames = Path(capsys.readouterr().out.strip())
    target = store / Path(*frames.parts[-3:])
    assert call(place, "process", frames, target, "--info", samples.info(), "--component", "color_light", "-q") == 0
    assert load(target / "manifest.json")["run"]["status"] == "running"
    assert call(place, "process", frames, target, "--info", samples.info(), "-q") == 0
    assert load(target / "manifest.json")["run"]["status"] == "ok"


def test_validate_finds_a_changed_byte(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert call(place, "run", samples.clip(), "--store", tmp_path / "store", "-q") == 0
    file = next(iter(runs(tmp_path / "store"))) / "color_light" / "color_light.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    capsys.readouterr()
    assert call(place, "validate", tmp_path / "store") == 1
    assert "FAULTY" in capsys.readouterr().out
    assert call(place, "run", samples.clip(), "--store", tmp_path / "store", "-q") == 1
    said = capsys.readouterr().err
    assert "color_light.npz" in said and "--redo color_light" in said
    assert call(place, "run", samples.clip(), "--store", tmp_path / "store", "-q", "--redo", "color_light") == 0


def test_delete_leaves_nothing(place: Path, tmp_path: Path) -> None:
    assert call(place, "run", samples.clip(), "--info", samples.info(), "--store", tmp_path / "store", "-q") == 0
    assert call(place, "delete", "--video-id", "tfSample_01", "--store", tmp_path / "store") == 0
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_ctrl_c_leaves_no_leftovers_and_the_next_call_goes_on(place: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("trendflow")), "run", str(samples.clip()), "--profile", str(place / "p.yaml"), "--store", str(tmp_path / "store"), "-q"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while child.poll() is None and not list((tmp_path / "store_work").glob("*/*/*/video/*.part")): time.sleep(0.002)       # in the middle of decoding
    os.killpg(child.pid, signal.SIGINT)
    err = child.communicate(timeout=60)[1]
    assert child.returncode == 130 and "goes on from here" in err and "Traceback" not in err
    assert subprocess.run(command, timeout=120).returncode == 0
    assert not [p for p in (tmp_path / "store").rglob("*") if p.suffix in (".part", ".tmp")]
