"""Lanes, guards and fixtures that all tests share."""
from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest
from notebooks import ROOT, known_flags, notebooks, wanted_flags

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "", None}
FLAGS = known_flags()
SHARED = Path(os.environ.get("TRENDFLOW_SHARED") or ROOT.parent / "shared") / "data"


# --- Ctrl-C works in tests, also when the suite runs in the background of a shell, which ignores it there ---------------------------

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)


# --- lanes: a flag that nobody asked for leaves its tests out and says so -------------------------------------------------------

def pytest_addoption(parser: pytest.Parser) -> None:
    for flag in FLAGS: parser.addoption(f"--{flag}", action="store_true", help=f"run the tests marked {flag} too")


def wanted(config: pytest.Config) -> set[str]:
    "Flags of this run: by option or by the variable FLAGS."
    return wanted_flags() | {flag for flag in FLAGS if config.getoption(f"--{flag}")}


def has_gpu() -> bool:
    "Whether CUDA can be used."
    import torch
    return torch.cuda.is_available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = wanted(config)
    for item in items:
        for flag in FLAGS:
            if flag not in asked and item.get_closest_marker(flag): item.add_marker(pytest.mark.skip(reason=f"lane {flag}: not asked for"))
        if "gpu" in asked and item.get_closest_marker("gpu") and os.environ.get("REQUIRE_GPU") != "1" and not has_gpu():
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine; REQUIRE_GPU=1 makes this a failure"))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if hasattr(config, "workerinput"): return
    asked = wanted(config)
    reasons = [r.longrepr[2] for r in terminalreporter.stats.get("skipped", []) if isinstance(r.longrepr, tuple)]
    cells = Counter(flag for nb in notebooks() for cell in nb.cells if cell.kind == "code" for flag in cell.directives if flag in FLAGS)
    terminalreporter.section("left out")
    for flag in FLAGS:
        if flag in asked: terminalreporter.write_line(f"{flag:8} nothing: asked for")
        else: terminalreporter.write_line(f"{flag:8} {cells[flag]} cells, {sum(f'lane {flag}:' in r for r in reasons)} tests")


# --- the fast lane never leaves this machine ------------------------------------------------------------------------------------

def _local(address: object) -> bool: return not isinstance(address, tuple) or address[0] in LOOPBACK or str(address[0]).startswith("127.")


def _guarded(name: str):
    real = getattr(socket.socket, name)

    def call(self, *args):
        if not _local(args[-1]): raise OSError(f"tests do not use the network: {name} to {args[-1]!r}. Mark the test net.")
        return real(self, *args)
    return call


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    "Only loopback, except in tests marked net."
    if request.node.get_closest_marker("net"): return
    look_up = socket.getaddrinfo

    def only_local(host, *args, **kwargs):
        if not _local((host,)): raise OSError(f"tests do not use the network: look-up of {host!r}. Mark the test net.")
        return look_up(host, *args, **kwargs)

    for name in ("connect", "connect_ex", "sendto"): monkeypatch.setattr(socket.socket, name, _guarded(name))
    monkeypatch.setattr(socket, "getaddrinfo", only_local)


# --- fixtures -------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def shared_data() -> Path:
    "The labelled clips beside the repository; the test is skipped where they are absent."
    if not (SHARED / "README.md").is_file(): pytest.skip("the labelled clips (shared/data beside the repository) are not here")
    return SHARED


@pytest.fixture
def fresh_registry():
    "A registry without any component, forgotten after the test."
    from trendflow.core.registry import scratch_registry
    with scratch_registry() as registry: yield registry
