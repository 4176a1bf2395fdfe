"""A notebook for a new component, in the shape that all have. It fails until it is filled.

    make new KIND=visual NAME=my_thing          KIND: core, visual, audio, text
"""
from __future__ import annotations

import hashlib
import json
import keyword
import os
import re
import sys

from notebooks import NBS, ROOT, notebooks

KINDS = {                   # KIND → folder, package, family, kind of the declaration, sampling, source parameter, its imports, its sample
    "core": ("20_providers", "providers", "visual", "core", "Sample(Budget(60, 120, 200))", "frames: Frames,", "Frames", "frames"),
    "visual": ("30_visual", "visual", "visual", "module", "Sample(Budget(60, 120, 200))", "frames: Frames,", "Frames", "frames"),
    "audio": ("40_audio", "audio", "audio", "audio", "", "audio: Audio,", "Audio", "audio"),
    "text": ("50_text", "text", "text", "text", "", "texts: Texts,", "Texts", "texts"),
}
SEEN = {"frames": "[frame, y, x, rgb] uint8 – RGB", "audio": "the sound of the whole video", "texts": "title, description, tags, comments"}
TEMPLATE = '''
%% py
#| default_exp {package}.{name}

%% md
# {name}

> One line: what it measures.

%% py
#| export
from __future__ import annotations

import numpy as np

from trendflow.core.axes import Array
from trendflow.core.contract import Arrays, Empty, component
{imports}

%% py
#| hide
from fastcore.test import expect_fail, test_close, test_eq
from trendflow.core import samples
from trendflow.core.checks import check_component
from trendflow.core.contract import contract
from trendflow.core.errors import MissingInput
from trendflow.core.measure import measure

%% md
**Why.** Two to five sentences: which question about popularity it serves, what it cannot see, which paper or standard it follows.

%% md
## Contract

%% py
#| export
@component(family="{family}", kind="{kind}", {sampling}source="paper, standard or code",
    outputs=[
        Array("{array}", {dims}, unit="1", doc="what the number means, 0 such and 1 such", pool={pool}),
    ],
    empty={{"nothing_to_measure": "when it holds"}})
def {name}(
    {parameter:<32}# {seen}
    *, gain: float = 1.0,           # meaning, range
) -> Arrays | Empty:
    "What the value is, in one line."
    return {{"{array}": {value}}}

%% py
contract({name})

%% md
## Measure

Why it is computed this way.

%% py
#| export
def _measure(
    {parameter:<32}# {seen}
    gain: float,                    # factor
) -> {returns}
    "What the value is."
    raise NotImplementedError("{name}: fill in _measure")

%% md
## Example

State the fact that the next cell shows.

%% py
made = measure({name}, {{"{source}": samples.{source}()}})
test_eq(made.status, "ok")
made

%% md
## Nothing to measure

One lesson for each reason that the declaration lists.

%% py
nothing = measure({name}, {{"{source}": samples.{source}({nothing})}})
test_eq(nothing.meta["empty_reason"], "nothing_to_measure")
nothing

%% md
## What raises

%% py
with expect_fail(MissingInput, "{source}"): measure({name}, {{}})

%% md
## Contract check

%% py
check_component({name})

%% py
#| hide
import nbdev; nbdev.nbdev_export()
'''


def text(kind: str, name: str) -> str:
    "The cells of the notebook, each after a line `%% md` or `%% py`."
    folder, package, family, kind_word, sampling, parameter, cls, source = KINDS[kind]
    framed = source == "frames"
    module = {"Frames": "sources", "Texts": "sources", "Audio": "audio"}[cls]
    imports = ["from trendflow.core.sampling import Budget, Sample"] * framed + [f"from trendflow.core.{module} import {cls}"]
    return TEMPLATE.format(
        name=name, package=package, family=family, kind=kind_word, source=source, parameter=parameter, seen=SEEN[source],
        imports="\n".join(sorted(imports)), sampling=f"sampling={sampling}, " if sampling else "", array="value_mean",
        dims='("frame",)' if framed else "()", pool='("mean", "std")' if framed else '("value",)',
        value=f"_measure({source}, gain)", returns="np.ndarray:                 # [frame] float32" if framed else "float:",
        nothing={"frames": '"black"', "audio": '"silence"', "texts": '"none"'}[source])


def cells(source: str) -> list[dict]:
    "Notebook cells."
    made = []
    for i, (kind, body) in enumerate(re.findall(r"^%% (md|py)\n(.*?)(?=^%% |\Z)", source, re.MULTILINE | re.DOTALL)):
        cell = {"cell_type": "markdown" if kind == "md" else "code", "id": hashlib.sha1(f"{i}{body}".encode()).hexdigest()[:8],
                "metadata": {}, "source": body.strip("\n").splitlines(keepends=True)}
        made.append(cell if kind == "md" else cell | {"execution_count": None, "outputs": []})
    return made


def main(kind: str, name: str) -> None:
    "Writes the notebook and exports its module."
    if kind not in KINDS: sys.exit(f"KIND={kind!r}: one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", name) or keyword.iskeyword(name): sys.exit(f"NAME={name!r}: lower case letters, digits and _")
    taken = {nb.stem: nb.name for nb in notebooks()}
    if name in taken: sys.exit(f"NAME={name}: {taken[name]} has this word")
    path = NBS / KINDS[kind][0] / f"{name}.ipynb"
    spec = {"display_name": "python3", "language": "python", "name": "python3"}
    notebook = {"cells": cells(text(kind, name)), "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.chdir(ROOT)
    from nbdev.clean import nbdev_clean
    from nbdev.export import nb_export
    nbdev_clean.__wrapped__(str(path))
    nb_export(path)
    print(f"wrote {path.relative_to(ROOT)}\nFill it, then: make nb NB={name}. It fails until _measure is written and the contract check passes."
          f"\nThen: make golden NAME={name}, and name it in a profile to have it run.")


if __name__ == "__main__":
    if len(sys.argv) != 3: sys.exit(__doc__)
    main(*sys.argv[1:])
