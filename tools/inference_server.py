"""A real Triton Inference Server on this machine, without root and without a container.

    python tools/inference_server.py --port 8000            the models of the profile default, until Ctrl-C
    python tools/inference_server.py --models minilm …      these models

It runs in the environment .venv-triton, which `make triton-env` makes. Not named triton.py: that would hide a library that torch imports.
"""
from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from notebooks import ROOT

ENVIRONMENT = Path(os.environ.get("TRITON_ENV") or ROOT / ".venv-triton")
START_S, STOP_S = 180.0, 20.0            # s – Triton itself gives up its models after 10
DIES_WITH_PARENT = 1                    # prctl(2): PR_SET_PDEATHSIG


def with_parent() -> None: ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)


def backends(python: Path) -> tuple[Path, Path]:
    "The server's program and its folder of backends, with the stub that fits this Python beside its backend."
    code = "import pytriton, sys, sysconfig; print(pytriton.__path__[0], '%d.%d' % sys.version_info[:2], sep='\\n')"
    package, version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    home = Path(package) / "tritonserver"
    stub = home / "backends" / "python" / "triton_python_backend_stub"
    if not (home / "python_backend_stubs" / version).is_dir(): sys.exit(f"Python {version}: this server has no backend for it. Make {ENVIRONMENT.name} with another.")
    if not stub.exists(): shutil.copy(home / "python_backend_stubs" / version / stub.name, stub)
    return home / "bin" / "tritonserver", home / "backends"


def environment(python: Path) -> dict[str, str]:
    "What the server and its Python processes need: the library of that Python, its programs first, the package from here."
    library = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"], capture_output=True, text=True, check=True).stdout.strip()
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [library, os.environ.get("LD_LIBRARY_PATH")])),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "VIRTUAL_ENV": str(python.parent.parent),
            "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def free_port() -> int:
    "A port that nobody listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class InferenceServer:
    "A server process. As a context it is ready inside and gone afterwards."

    def __init__(self, repository: Path, port: int = 0, *, log: Path | None = None, explicit: bool = False) -> None:
        self.repository, self.port, self.log = repository, port or free_port(), log     # log: None is the standard error
        self.control = ["--model-control-mode=explicit", "--load-model=*"] if explicit else []     # models can be loaded and unloaded while it runs

    @property
    def address(self) -> str: return f"localhost:{self.port}"

    def start(self) -> None:
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists(): sys.exit(f"{ENVIRONMENT.name}: is not there. Make it with `make triton-env`.")
        program, folder = backends(python)
        command = [program, f"--model-repository={self.repository}", f"--backend-directory={folder}", f"--http-port={self.port}", "--http-address=127.0.0.1",
                   "--allow-grpc=false", "--allow-metrics=false", "--exit-timeout-secs=10", "--disable-auto-complete-config",
                   "--log-info=false", "--pinned-memory-pool-byte-size=0", *self.control]
        with open(self.log or os.devnull, "ab") as out:
            self.process = subprocess.Popen(command, env=environment(python), stdin=subprocess.DEVNULL, stdout=out, stderr=out if self.log else None,
                                            start_new_session=True, preexec_fn=with_parent)
        until = time.monotonic() + START_S
        while not self.ready():
            if self.process.poll() is not None: sys.exit(f"the server ended with {self.process.returncode}" + (f":\n{self.log.read_text()[-2000:]}" if self.log else ""))
            if time.monotonic() > until:
                self.stop()
                sys.exit(f"the server was not ready within {START_S:g} s")
            time.sleep(0.1)

    def ready(self) -> bool:
        "Every model is ready."
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, HTTPException): return False
        finally: connection.close()         # a server waits for its clients before it ends

    def stop(self) -> None:
        if self.process.poll() is None: self.process.send_signal(signal.SIGTERM)
        try: self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> InferenceServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None: self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--models", nargs="*", default=[], help="keys of the lock; without them those of the profile")
    parser.add_argument("--profile", default="default", help="name of a profile or a YAML file")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)       # a shell ignores it for what runs in its background
    from trendflow.app.weights import serve_models
    from trendflow.core.errors import TrendflowError
    with suppress(KeyboardInterrupt), TemporaryDirectory(prefix="trendflow-models-") as folder:
        try: made = serve_models(folder, asked.models, None if asked.models else asked.profile)
        except TrendflowError as e: sys.exit(str(e))
        with InferenceServer(Path(folder), asked.port) as server:
            print(f"{server.address}: ready with {', '.join(made.values())}. Ctrl-C stops it.", flush=True)
            sys.exit(f"the server ended with {server.process.wait()}")


if __name__ == "__main__": main()
