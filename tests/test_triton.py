"""Networks on a real Triton Inference Server: the same results, and every fault by its name.

The server runs in .venv-triton. Without it these tests are skipped; `make test-triton` and `make test-all` make it and allow no skip.
"""
from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from inference_server import ENVIRONMENT, InferenceServer, free_port
from trendflow.app.inspect import doctor
from trendflow.app.run_video import run_video
from trendflow.core import samples
from trendflow.core.artifact import Artifact
from trendflow.core.contract import Hosting
from trendflow.core.errors import ComponentFailed, ContractError, ModelDigestMismatch, ModelUnavailable, UsageError
from trendflow.core.registry import discover
from trendflow.core.sampling import Budget
from trendflow.kit import repository, triton
from trendflow.kit.models import Models, known, loaded, lock
from trendflow.kit.repository import open_network, write_repository
from trendflow.kit.triton import SERVED, ServerCut, ServerSlow, served
from trendflow.run.profile import settle_profile

KEYS = ("imagenet", "minilm", "whisper_tiny_en")
RNG = np.random.default_rng(0)
ARRAYS = {
    "imagenet": {"pixel": RNG.integers(0, 256, (2, 96, 160, 3), "uint8")},
    "whisper_tiny_en": {"samples": np.asarray(samples.audio("recording").mono(16000)), "language": np.array([-1], "int32"), "beam": np.array([5], "int32")},
    "minilm": {"piece_id": RNG.integers(1000, 30000, (3, 12)), "piece_count": np.array([12, 7, 1], "int32")},
}
SECRET = "pineapple-4711"


# --- the server, and something between it and us that can break the connection ---------------------------------------------------

@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    if not (ENVIRONMENT / "bin" / "python").exists():
        if os.environ.get("REQUIRE_TRITON") == "1": pytest.fail(f"{ENVIRONMENT.name} is not there: make triton-env")
        pytest.skip(f"{ENVIRONMENT.name} is not there: make triton-env")
    folder = tmp_path_factory.mktemp("triton")
    write_repository(folder / "models", KEYS)
    with InferenceServer(folder / "models", log=folder / "log", explicit=True) as running: yield running
    assert running.process.returncode == 0, (folder / "log").read_text()[-2000:]


def whole(connection: socket.socket) -> bytes:
    "One HTTP message, request or answer."
    got = b""
    while b"\r\n\r\n" not in got: got += connection.recv(65536)
    head, body = got.split(b"\r\n\r\n", 1)
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length: body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


class Between:
    "Passes each request on, and does to answers what the test says."

    def __init__(self, port: int) -> None:
        self.port, self.asked, self.closing = port, list[str](), threading.Event()
        self.fault: Callable[[socket.socket, bytes, int], None] | None = None       # connection, whole answer, how many inferences were asked before
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self) -> str: return f"127.0.0.1:{self.listening.getsockname()[1]}"

    @property
    def inferences(self) -> int: return sum(path.endswith("/infer") for path in self.asked)

    def accept(self) -> None:
        while True:
            try: connection, _ = self.listening.accept()
            except OSError: return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            request = whole(connection)
            path, before = request.split(b" ", 2)[1].decode(), self.inferences
            self.asked.append(path)
            with socket.create_connection(("127.0.0.1", self.port)) as there:
                there.sendall(request)
                answer = whole(there)
            if self.fault and path.endswith("/infer"): self.fault(connection, answer, before)
            else: connection.sendall(answer)

    # what can happen to an answer
    def half(self, connection: socket.socket, answer: bytes, before: int) -> None: connection.sendall(answer[:len(answer) // 2])

    def reset(self, connection: socket.socket, answer: bytes, before: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def nothing(self, connection: socket.socket, answer: bytes, before: int) -> None: pass

    def late(self, connection: socket.socket, answer: bytes, before: int) -> None: self.closing.wait(20)

    def busy(self, connection: socket.socket, answer: bytes, before: int) -> None:
        connection.sendall(b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 16\r\n\r\n{"error":"busy"}')

    def half_twice(self, connection: socket.socket, answer: bytes, before: int) -> None:
        connection.sendall(answer if before >= 2 else answer[:len(answer) // 2])


@pytest.fixture
def between(server: InferenceServer) -> Iterator[Between]:
    proxy = Between(server.port)
    yield proxy
    proxy.closing.set()
    proxy.listening.close()


def command(server: InferenceServer, path: str) -> int:
    connection = HTTPConnection(server.address, timeout=120)
    try:
        connection.request("POST", f"/v2/repository/models/{path}", b"{}")
        return connection.getresponse().status
    finally: connection.close()


# --- the same results ------------------------------------------------------------------------------------------------------------

def make_of(key: str) -> Callable:
    module, name = SERVED[key].function.split(":")
    return getattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize("key", KEYS)
def test_the_server_says_what_this_process_says(server: InferenceServer, key: str) -> None:
    here, there = loaded(key, make_of(key))(ARRAYS[key]), served(known(key), server.address)(ARRAYS[key])
    assert set(here) == set(there) == set(SERVED[key].gives)
    for name, x in here.items():
        assert there[name].dtype == x.dtype == SERVED[key].gives[name][0] and there[name].shape == x.shape
        if x.dtype.kind == "f": assert np.abs(there[name] - x).max() < 1e-3
        else: assert np.array_equal(there[name], x)


def test_arrays_without_a_number_arrive(server: InferenceServer) -> None:
    none = {"pixel": np.zeros((0, 64, 64, 3), "uint8")}
    here, there = loaded("imagenet", make_of("imagenet"))(none), served(known("imagenet"), server.address)(none)
    assert {k: (x.shape, x.dtype) for k, x in here.items()} == {k: (x.shape, x.dtype) for k, x in there.items()}


def test_threads_share_a_network(server: InferenceServer) -> None:
    network, every = served(known("minilm"), server.address), [{"piece_id": np.full((1, n), 2000 + n), "piece_count": np.array([n], "int32")} for n in range(1, 17)]
    alone = [network(a)["vector"] for a in every]
    with ThreadPoolExecutor(8) as pool: together = list(pool.map(network, every))
    for a, b in zip(alone, together, strict=True): assert np.array_equal(a, b["vector"])


def test_nothing_stays_open(server: InferenceServer) -> None:
    network = served(known("minilm"), server.address)
    network(ARRAYS["minilm"])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        thread = threading.Thread(target=network, args=(ARRAYS["minilm"],))
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before


# --- faults of the server and of the model ---------------------------------------------------------------------------------------

def test_no_server() -> None:
    with pytest.raises(ModelUnavailable, match="the server does not answer, ConnectionRefusedError. Start it") as e: served(known("imagenet"), f"127.0.0.1:{free_port()}")
    assert e.value.code == "triton_unavailable" and not isinstance(e.value, ConnectionError)


def test_something_else_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        def answer() -> None:
            for _ in range(2):
                connection, _ = other.accept()
                with connection:
                    whole(connection)
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<html")
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ModelUnavailable, match="no Triton Inference Server, it said 404") as e: served(known("imagenet"), f"127.0.0.1:{other.getsockname()[1]}")
    assert e.value.code == "triton_unavailable"


def test_no_such_model(server: InferenceServer) -> None:
    with pytest.raises(ModelUnavailable, match=r"no such model, only \['image_embedding_triton', 'text_embedding_triton', 'whisper_tiny_triton'\]") as e:
        served(replace(known("imagenet"), served_as="nobody_triton"), server.address)
    assert e.value.code == "triton_unavailable"


def test_a_model_that_is_not_ready(server: InferenceServer, tmp_path: Path) -> None:
    "Before the run, and in the middle of it."
    network = served(known("minilm"), server.address)
    assert command(server, "text_embedding_triton/unload") == 200
    try:
        for ask in (lambda: served(known("minilm"), server.address), lambda: network(ARRAYS["minilm"])):
            with pytest.raises(ModelUnavailable, match="text_embedding_triton on localhost:.*not ready: (UNLOADING|UNAVAILABLE unloaded)") as e: ask()
            assert e.value.code == "triton_unavailable" and not isinstance(e.value, ConnectionError)
    finally: assert command(server, "text_embedding_triton/load") == 200
    assert network(ARRAYS["minilm"])["vector"].shape == (3, 384)


def test_other_weights_are_refused(server: InferenceServer) -> None:
    model = known("imagenet")
    other = replace(model, files={n: replace(f, sha256="0" * 64) for n, f in model.files.items()})
    with pytest.raises(ModelDigestMismatch, match="weights_digest"): served(other, server.address)


def test_other_data_files_are_refused(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVED, "imagenet", replace(SERVED["imagenet"], assets=("prompts",)))
    with pytest.raises(ModelDigestMismatch, match=r"\['assets_digest'\]"): served(known("imagenet"), server.address)


def test_a_folder_whose_weights_were_changed_is_not_opened(tmp_path: Path) -> None:
    write_repository(tmp_path, ["imagenet"])
    folder = tmp_path / "image_embedding_triton" / "1"
    with next(folder.glob("*.pth")).open("r+b") as f: f.write(b"x")
    with pytest.raises(ModelDigestMismatch, match="Write the repository anew"): open_network(folder, {"key": "imagenet", "weights_digest": known("imagenet").weights_digest})


# --- faults of what is sent ------------------------------------------------------------------------------------------------------

def test_wrong_arrays_are_not_sent(between: Between) -> None:
    network = served(known("imagenet"), between.address)
    odd = {"pixel": ARRAYS["imagenet"]["pixel"][..., :2]}, {"pixel": ARRAYS["imagenet"]["pixel"].astype("float32")}, {"pixel": ARRAYS["imagenet"]["pixel"][0]}, {}
    for arrays in odd:
        with pytest.raises(ContractError, match=r"pixel: (expected UINT8 \[-1, -1, -1, 3\], got|missing)"): network(arrays)
    assert between.inferences == 0


def test_the_server_refuses_wrong_arrays_too(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "_faults", lambda *_: [])
    with pytest.raises(ContractError, match="refuses the arrays, .*unexpected shape"): served(known("imagenet"), server.address)({"pixel": ARRAYS["imagenet"]["pixel"][0]})


def test_a_network_that_fails_there_quotes_nothing(server: InferenceServer) -> None:
    network = served(known("minilm"), server.address)
    with pytest.raises(ComponentFailed, match=r"the network failed there, IndexError in \w+, \w+\.py line \d+\. Look") as e:
        network({"piece_id": np.array([[987654321]]), "piece_count": np.array([1], "int32")})
    assert e.value.code == "internal" and "987654321" not in str(e.value)
    assert network(ARRAYS["minilm"])["vector"].shape == (3, 384)


# --- transient faults, and what the executor makes of them ------------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["half", "reset", "nothing", "busy"])
def test_a_broken_connection(between: Between, fault: str) -> None:
    network = served(known("minilm"), between.address)
    between.fault = getattr(between, fault)
    with pytest.raises(ServerCut) as e: network(ARRAYS["minilm"])
    assert isinstance(e.value, ConnectionError) and e.value.code == "triton_unavailable"
    between.fault = None
    assert network(ARRAYS["minilm"])["vector"].shape == (3, 384)


def test_a_slow_answer(between: Between) -> None:
    network = served(known("minilm"), between.address, answer_s=1.0)
    between.fault = between.late
    with pytest.raises(ServerSlow, match="no answer within 1 s. Raise execution.triton_timeout_s") as e: network(ARRAYS["minilm"])
    assert isinstance(e.value, TimeoutError) and e.value.code == "timeout"


def on_server(address: str, **components: dict) -> dict:
    return {"components": components, "runtime": "triton", "execution": {"triton": address, "triton_timeout_s": 30.0}}


FEW = {"sampling": {"min": 4, "target": 4, "max": 4}}


@pytest.mark.parametrize(("fault", "code", "times"), [("half_twice", None, 3), ("reset", "triton_unavailable", 3), ("late", "timeout", 3)])
def test_transient_faults_are_tried_twice_again(between: Between, tmp_path: Path, fault: str, code: str | None, times: int) -> None:
    between.fault, profile = getattr(between, fault), on_server(between.address, core_title_imagenet={})
    profile["execution"]["triton_timeout_s"] = 1.0 if fault == "late" else 30.0
    run = run_video(samples.silent_clip(), {"id": "abcdefghijk", "title": f"A cat and {SECRET}"}, profile=profile, store=tmp_path / "store", quiet=True)
    entry, = run.manifest["components"]
    assert (run.status, (entry["error"] or {}).get("code"), between.inferences) == ("ok" if code is None else "error", code, times)
    assert SECRET not in (run.dir / "manifest.json").read_text()


@pytest.mark.parametrize("lost", ["server", "model"])
def test_what_is_absent_is_not_tried_again(between: Between, tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = between.address if lost == "model" else f"127.0.0.1:{free_port()}"
    asked = list[str]()
    ask = triton._Server.ask
    monkeypatch.setattr(triton._Server, "ask", lambda self, path, *rest: asked.append(path) or ask(replace(self, name="nobody"), path.replace(self.name, "nobody"), *rest))
    run = run_video(samples.silent_clip(), profile=on_server(address, core_imagenet=FEW), store=tmp_path / "store", quiet=True)
    entry, = run.manifest["components"]
    assert (run.status, entry["error"]["code"], sum(path.endswith("/ready") for path in asked)) == ("error", "triton_unavailable", 1)


# --- whole runs ------------------------------------------------------------------------------------------------------------------

def asking() -> tuple[dict[str, set[str]], dict]:
    "The components of the profile default that a server has a part in, with the models they ask it for; and a profile of these and all that they read."
    settled = settle_profile("default")
    asked = {n: {k for k in c.model_keys(settled.configs[n], settled.hosting) if known(k).served_as and k not in c.local} for n, c in settled.contracts.items()}
    asked = {n: keys for n, keys in asked.items() if keys}
    names = set(asked)
    for name in reversed(settled.plan.order): names |= set(settled.plan.feeds(name)) if name in names else set()
    chosen = {n: {"config": settled.profile.components[n].config, **(FEW if isinstance(getattr(settled.samples.get(n), "policy", None), Budget) else {})} for n in names}
    return asked, {"components": {**chosen, "loudness_extractor": {}}, "roles": settled.plan.roles}


def test_a_whole_run_has_the_same_artifacts(server: InferenceServer, tmp_path: Path) -> None:
    (asked, profile), made = asking(), {}
    assert {"core_imagenet", "core_title_imagenet"} <= set(asked)
    profile["roles"] = {r: p for r, p in profile["roles"].items() if p in profile["components"]}
    for name, change in {"here": {}, "there": on_server(server.address)}.items():
        run = run_video(samples.clip(), samples.info(), profile={**change, **profile}, store=tmp_path / "store", quiet=True)
        assert run.status == "ok", [c["error"] for c in run.manifest["components"]]
        made[name] = {c["name"]: (c, Artifact.open(run.dir / c["name"] / f"{c['name']}.npz")) for c in run.manifest["components"]}
    touched = settle_profile(profile).plan.downstream(asked)
    for name in profile["components"]:
        (_, here), (entry, there) = made["here"][name], made["there"][name]
        for a in (a.name for a in discover()[name].outputs):
            x, y = np.asarray(getattr(here, a)), np.asarray(getattr(there, a))
            assert x.dtype == y.dtype and x.shape == y.shape
            if x.dtype.kind == "f": assert np.allclose(x, y, rtol=0, atol=1e-3, equal_nan=True), a
            else: assert np.array_equal(x, y), a
        sent = {m["model_name"] for m in there.meta["models_used"] if m["runtime"] == "triton"}
        assert sent == {known(k).name for k in asked.get(name, ())}
        assert [{**m, "runtime": ""} for m in here.meta["models_used"]] == [{**m, "runtime": ""} for m in there.meta["models_used"]]
        assert (here.meta["component_key"] != there.meta["component_key"]) == (name in touched), name
        assert bool(entry["reused_from"]) == (name not in touched), "what no server has a part in is reused"


def test_doctor_asks_the_server(server: InferenceServer) -> None:
    profile = on_server(server.address, core_imagenet={}, core_title_imagenet={}, core_depth_fast={})
    told = {r["what"]: (r["ok"], r["found"]) for r in doctor(profile)}
    for name in ("image_embedding_triton", "text_embedding_triton"): assert told[name] == (True, f"ready on {server.address}")
    assert not {"image_embedding_triton"} & {r["what"] for r in doctor({**profile, "runtime": "inprocess"})}


@pytest.mark.slow
def test_the_command_runs_until_ctrl_c(server: InferenceServer) -> None:
    import signal
    import subprocess
    import sys
    port, script = free_port(), Path(InferenceServer.__init__.__code__.co_filename)
    asked = subprocess.Popen([sys.executable, script, "--port", str(port), "--models", "imagenet"], stdout=subprocess.PIPE, text=True)
    assert asked.stdout is not None and asked.stdout.readline() == f"localhost:{port}: ready with image_embedding_triton. Ctrl-C stops it.\n"
    assert served(known("imagenet"), f"localhost:{port}")(ARRAYS["imagenet"])["embedding"].shape == (2, 1280)
    asked.send_signal(signal.SIGINT)
    assert asked.wait(60) == 0
    with pytest.raises(ModelUnavailable, match="does not answer"): served(known("imagenet"), f"localhost:{port}")


# --- what needs no server --------------------------------------------------------------------------------------------------------

def test_every_model_with_a_name_on_the_server_is_described() -> None:
    assert set(SERVED) == {k for k, m in lock().items() if m.served_as}
    for key, own in SERVED.items():
        assert callable(make_of(key)) and own.takes and own.gives


def test_two_models_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "known", lambda key: replace(known(key), served_as="one"))
    with pytest.raises(UsageError, match=r"two would be \['one'\]"): write_repository(tmp_path, ["imagenet", "minilm"])


def test_a_repository_is_written_over_and_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    for _ in range(2): assert write_repository(tmp_path, ["imagenet", "imagenet"]) == ["image_embedding_triton"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["image_embedding_triton", "theirs"]


def test_models_used_tells_where_a_network_runs() -> None:
    told = Models(("imagenet", "text_embedding", "depth"), Hosting(runtime="triton", address="nowhere:1"), local=("imagenet",))
    assert [u["runtime"] for u in told.used] == ["inprocess", "triton", "inprocess"]
    assert callable(told.network("imagenet", make_of("imagenet"))), "what is local runs here"


def test_components_ask_served_models_as_networks() -> None:
    "Else an artifact would name a server that had no part in it."
    import inspect
    import sys
    for c in discover().values():
        asked = [k for k in c.model_keys(c.config) if known(k).served_as and k not in c.local]
        if not asked: continue
        module = sys.modules[c.fn.__module__]
        sources = inspect.getsource(module) + "".join(inspect.getsource(sys.modules[f.__module__]) for f in vars(module).values() if inspect.isfunction(f))
        assert ".network(" in sources, f"{c.id}: asks for {asked} by load; take models.network"
