"""Numbers and schemas move only together with their version."""
from __future__ import annotations

import json

import golden
import numpy as np
import pytest
from trendflow.core.registry import discover
from weights import official

COMPONENTS = {name: c for name, c in discover().items() if c.fn.__module__.startswith("trendflow.")}


@pytest.mark.parametrize("name", COMPONENTS)
def test_values(name: str) -> None:
    c, path = COMPONENTS[name], golden.path_of(name)
    if official(c): pytest.skip("official weights: its values are not kept")
    assert path.exists(), f"make golden NAME={name}"
    want, have = json.loads(path.read_text()), golden.measured(c)
    assert (want["version"], want["schema"]) == (c.version, c.schema), f"the version moved: make golden NAME={name}, and review the diff"
    hint = f"the numbers moved and the version did not: bump version={c.version!r}, then make golden NAME={name}"
    assert sorted(want["arrays"]) == sorted(have["arrays"]) and want["status"] == have["status"], hint
    for array, told in want["arrays"].items():
        seen = have["arrays"][array]
        assert {k: v for k, v in told.items() if k != "quantiles"} == {k: v for k, v in seen.items() if k != "quantiles"}, f"{array}: {hint}"
        if "quantiles" not in told: continue
        scale = max(abs(q) for q in told["quantiles"])
        close = np.allclose(told["quantiles"], seen["quantiles"], rtol=1e-4, atol=max(c.atol, 1e-4 * scale))    # other processors round elsewhere
        assert close, f"{array}: {told['quantiles']} became {seen['quantiles']}; {hint}"


@pytest.mark.parametrize("name", COMPONENTS)
def test_schema(name: str) -> None:
    c, known = COMPONENTS[name], json.loads(golden.SCHEMAS.read_text())
    key = f"{name}@{c.schema}"
    assert key in known, f"make golden NAME={name}"
    assert known[key] == golden.schema_hash(c), f"{name}: keys, dtypes or dims changed under schema {c.schema}: bump schema"


def test_no_golden_file_without_its_component() -> None:
    files = {path.stem for path in golden.FOLDER.glob("*.json")} - {"schemas"}
    assert files <= set(COMPONENTS), f"left over: {sorted(files - set(COMPONENTS))}"
