"""A run with networks works where no socket can be had, and asks for none.

The one exception: urllib3, which a library imports, tries on import whether this machine has IPv6. Nothing is sent, and the kernel refuses that too.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from trendflow.core import samples
from trendflow.core.registry import get
from trendflow.run.profile import settle_profile
from weights import REASON, lacks

# Python's sockets raise and are noted; the kernel refuses those of native code to the main thread and all that it starts, look-ups too.
PROGRAM = """
import sys

def hook(event, args):
    if not event.startswith("socket."): return
    frame = sys._getframe(1)
    while frame and frame.f_code.co_name != "_has_ipv6": frame = frame.f_back
    if frame is None: told.append(event); raise RuntimeError("a run touched the network: " + event)

if __name__ == "__main__":
    told = []
    from trendflow.kit.offline import _refuse_sockets
    _refuse_sockets()
    sys.addaudithook(hook)
    from trendflow.app.run_video import run_video
    done = run_video(sys.argv[1], profile="default", store=sys.argv[2], quiet=True)
    print(done.status, told, [(c["name"], c["error"]) for c in done.manifest["components"] if c["status"] == "error"])
"""


def test_the_default_profile_opens_no_socket(tmp_path: Path) -> None:
    if any(lacks(get(n)) for n in settle_profile("default").plan.order): pytest.skip(REASON)
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(samples.silent_clip()), str(tmp_path / "store")], capture_output=True, text=True, timeout=600, env=env)
    assert (done.returncode, done.stdout.strip()) == (0, "ok [] []"), done.stderr[-2000:]
