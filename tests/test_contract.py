"""Every contract check over every registered component; the notebooks run the same checks each for its own."""
from __future__ import annotations

import pytest
from trendflow.core.checks import all_checks
from trendflow.core.registry import discover
from weights import REASON, lacks

CASES = [(c, name, check) for c in discover().values() for name, check in all_checks()]


@pytest.mark.parametrize(("c", "name", "check"), CASES, ids=[f"{c.id}-{name}" for c, name, _ in CASES])
def test_check(c, name, check, request: pytest.FixtureRequest) -> None:
    if lacks(c): pytest.skip(REASON)
    expected = c.expected_failures.get(name)
    if expected: request.applymarker(pytest.mark.xfail(reason=expected, strict=True))
    check(c)
