"""The notebook lane: nbdev_test over all notebooks, each in a process of its own, so that nothing leaks from one to the next.

    python tools/run_notebooks.py                  all
    python tools/run_notebooks.py color_light      some
    FLAGS=slow python tools/run_notebooks.py       with the cells that this flag marks, and with the tutorials
"""
from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from notebooks import NBS, ROOT, find, known_flags, paths, read, wanted_flags

WORKERS = int(os.environ.get("WORKERS", "2"))
TUTORIALS = "90_tutorials"                                  # of the slow lane: they show what other notebooks test
BUDGET_S = 10.0                                             # CPU; a notebook that needs more flags its long cells as slow
LIMIT_S = 1200.0 if wanted_flags() else 120.0               # then it hangs and is ended
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
FORK = multiprocessing.get_context("fork")                  # the parent has nbdev imported and no threads: a child starts at once


def child(path: Path, log: int) -> None:
    "nbdev_test of one notebook; the exit code says whether it passed."
    from nbdev.test import test_nb
    os.dup2(log, 1), os.dup2(log, 2)
    passed, _ = test_nb(path, skip_flags=known_flags(), force_flags=wanted_flags(), basepath=ROOT)
    sys.exit(0 if passed else 1)


@dataclass
class Running:
    "A notebook under test and what became of it."
    path: Path
    log: tempfile._TemporaryFileWrapper[bytes] = field(default_factory=tempfile.TemporaryFile)
    start: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0                                    # on the clock
    cpu_s: float = 0.0                                      # of the process and its children
    fault: str = ""

    def __post_init__(self) -> None:
        self.process = FORK.Process(target=child, args=(self.path, self.log.fileno()))
        self.process.start()

    @property
    def name(self) -> str: return str(self.path.relative_to(NBS))

    def ended(self) -> bool:
        "Whether it is over, by itself or by the limit."
        self.seconds = time.perf_counter() - self.start
        before = resource.getrusage(resource.RUSAGE_CHILDREN)       # now: to ask whether it lives is to collect it
        if self.process.is_alive():
            if self.seconds < LIMIT_S: return False
            self.process.kill()
            self.fault = f"no end after {LIMIT_S:.0f} s"
        self.process.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        code = self.process.exitcode or 0
        if code < 0 and not self.fault: self.fault = f"killed by signal {-code}"
        if code:
            self.log.seek(0)
            self.fault = f"{self.log.read().decode(errors='replace').strip()}\n{self.fault}".strip() or "failed"
        return True


def run(chosen: list[Path]) -> list[Running]:
    "All of them, WORKERS at a time; a failure is shown when it happens."
    waiting, running, done = list(chosen), [], []
    while waiting or running:
        while waiting and len(running) < WORKERS: running.append(Running(waiting.pop(0)))
        wait([r.process.sentinel for r in running], timeout=5)
        for r in [r for r in running if r.ended()]:
            running.remove(r)
            done.append(r)
            if r.fault: print(f"FAIL {r.name}\n{r.fault}\n", flush=True)
    return done


def cells_left_out() -> Counter[str]:
    "How many cells each flag keeps out of this run."
    skipped = set(known_flags()) - wanted_flags()
    cells = [cell for path in paths() for cell in read(path).cells if cell.kind == "code"]
    return Counter(flag for cell in cells for flag in skipped & cell.directives.keys())


def needs(path: Path) -> str:
    "Data that a notebook says it needs and that are not here, such as #| needs: ../shared/data; empty when all is there."
    told = (cell.directives.get("needs", "") for cell in read(path).cells if cell.kind == "code")
    return next((p for p in told if p and not (ROOT / p).exists()), "")


def main(names: list[str]) -> int:
    "Runs, reports, and gives the exit code."
    os.chdir(ROOT)
    os.environ.update({**ONE_THREAD, "MPLBACKEND": "agg", "IN_TEST": "1", "PYTHONPATH": str(ROOT)})
    import nbdev.test  # noqa: F401  once, before the forks
    start = time.perf_counter()
    chosen = [p for p in paths() if "slow" in wanted_flags() or p.parent.name != TUTORIALS]
    wanted = [find(name) for name in names] or chosen
    lacking = {p.name: n for p in wanted if (n := needs(p))}
    results = run([p for p in wanted if p.name not in lacking])
    print("slowest notebooks:")
    for r in sorted(results, key=lambda r: -r.cpu_s)[:10]:
        over = f"  (over the budget of {BUDGET_S:.0f} s)" if r.cpu_s > BUDGET_S else ""
        print(f"  {r.seconds:5.1f} s  {r.cpu_s:5.1f} CPU s  {r.name}{over}")
    left, failed = cells_left_out(), sorted(r.name for r in results if r.fault)
    print("cells left out: " + ", ".join(f"{flag} {left[flag]}" for flag in known_flags() if flag not in wanted_flags()))
    for name, what in lacking.items(): print(f"left out: {name} needs {what}, which is not here")
    if not names and len(chosen) < len(paths()): print(f"tutorials left out: {len(paths()) - len(chosen)}")
    print(f"notebooks: {len(results) - len(failed)} ok, {len(failed)} failed, {time.perf_counter() - start:.0f} s")
    for name in failed: print(f"  failed: {name}")
    return 1 if failed else 0


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
