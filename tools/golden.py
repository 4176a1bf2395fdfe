"""Golden values: what each component measures on the standard sample, and the hash of each schema.

    make golden NAME=color_light        measure one anew, for review as a diff
    make golden                         all of them
"""
from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from notebooks import ROOT

FOLDER = ROOT / "tests" / "golden"
SCHEMAS = FOLDER / "schemas.json"
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def digits(x: float) -> float: return float(f"{x:.6g}")


def summary(values: np.ndarray) -> dict[str, Any]:
    "Shape, dtype, five quantiles and the number of absent values."
    about: dict[str, Any] = {"shape": list(values.shape), "dtype": str(values.dtype)}
    if values.dtype.kind not in "fiub": return about
    known = values[np.isfinite(values)].astype(float)
    if values.dtype.kind == "f": about["n_nan"] = int(np.isnan(values).sum())
    return about | ({"quantiles": [digits(q) for q in np.quantile(known, QUANTILES)]} if known.size else {})


def measured(c) -> dict[str, Any]:
    "The golden record of a component: versions and a summary of each array on the normal sample."
    from trendflow.core.checks import cases
    from trendflow.core.measure import measure
    made = measure(c, next(iter(cases(c)))[1])
    arrays = {name: summary(np.asarray(made[name])) for name in sorted(made)}
    return {"version": c.version, "schema": c.schema, "status": made.status, "arrays": arrays}


def schema_hash(c) -> str:
    "What the schema number stands for: keys, dtypes, dims, units, labels; not the prose."
    from trendflow.core.contract import schema
    def bare(x): return {k: bare(v) for k, v in x.items() if k != "doc"} if isinstance(x, dict) else x
    return hashlib.sha256(json.dumps(bare(schema(c)), sort_keys=True).encode()).hexdigest()[:16]


def path_of(name: str) -> Path: return FOLDER / f"{name}.json"


def dump(path: Path, value: dict[str, Any]) -> None:
    "A file that reads well as a diff."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compact(value) + "\n", encoding="utf-8")


def compact(value: dict[str, Any]) -> str:
    "Top level and arrays on lines of their own."
    lines = []
    for key, entry in sorted(value.items()):
        if isinstance(entry, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in sorted(entry.items()))
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else: lines.append(f" {json.dumps(key)}: {json.dumps(entry)}")
    return "{\n" + ",\n".join(lines) + "\n}"


def main(names: list[str]) -> None:
    from trendflow.core.registry import discover
    from weights import official
    found = {k: c for k, c in discover().items() if c.fn.__module__.startswith("trendflow.")}
    unknown = sorted(set(names) - set(found))
    if unknown: sys.exit(f"NAME={unknown}: no such component, only {sorted(found)}")
    known = json.loads(SCHEMAS.read_text()) if SCHEMAS.exists() else {}
    for name in names or sorted(found):
        known[f"{name}@{found[name].schema}"] = schema_hash(found[name])
        if official(found[name]): print(f"{name}: schema only, its weights are not everywhere"); continue
        dump(path_of(name), measured(found[name]))
        print(f"wrote {path_of(name).relative_to(ROOT)}")
    dump(SCHEMAS, known)
    for path in FOLDER.glob("*.json"):
        if not names and path != SCHEMAS and path.stem not in found: path.unlink()


if __name__ == "__main__": main(sys.argv[1:])
