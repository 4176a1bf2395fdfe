"""Work on one notebook: `python tools/nb.py color_light` exports it, runs it top to bottom in place, and stores clean outputs."""
from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.foundation import working_directory
from nbdev.clean import clean_nb
from nbdev.config import get_config
from nbdev.export import nb_export
from nbdev.process import NBProcessor
from notebooks import ROOT, find, known_flags, wanted_flags


def left_out(cell, flags: set[str]) -> bool:
    "Whether nbdev_test would leave this cell out."
    if cell.cell_type != "code" or "nbdev_export(" in cell.source: return True
    directives = getattr(cell, "directives_", None) or {}
    return directives.get("eval:", [""])[0].lower() == "false" or bool(flags & directives.keys())


def save(path: Path, nb) -> None:
    "Writes a cleaned notebook under its name at once."
    clean_nb(nb, clean_ids=get_config().clean_ids)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    write_nb(nb, part)
    os.replace(part, path)


def run(path: Path) -> bool:
    "Exports and runs one notebook; its outputs are stored when every cell ran."
    nb_export(path)
    flags = set(known_flags()) - wanted_flags()
    processed, stored = NBProcessor(path, process=True).nb, read_nb(path)
    shell, start, ok = CaptureShell(path, mpl_format="png"), time.perf_counter(), True
    os.environ["IN_TEST"] = "1"                             # nbdev_export() in the last cell does nothing
    try:
        with working_directory(path.parent): shell.run_all(processed, exc_stop=True, preproc=lambda cell: left_out(cell, flags))
    except Exception:                                       # noqa: BLE001  a cell may raise anything; it is shown with its cell
        ok = False
        print(shell.prettytb(fname=path), file=sys.stderr)
    if ok:
        ran = {cell.id: cell for cell in processed.cells}
        for cell in stored.cells:
            if cell.cell_type == "code" and not left_out(ran[cell.id], flags): cell["outputs"] = ran[cell.id].get("outputs", [])
        save(path, stored)
    print(f"{'ok  ' if ok else 'FAIL'} {path.relative_to(ROOT)}  {time.perf_counter() - start:.1f} s")
    return ok


if __name__ == "__main__":
    os.chdir(ROOT)
    if len(sys.argv) < 2: sys.exit(__doc__)
    sys.exit(0 if min([run(find(name)) for name in sys.argv[1:]]) else 1)
