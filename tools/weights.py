"""Components whose default model is an official file that no package carries: it is on the internet only, so a machine may not have it."""
from __future__ import annotations

from trendflow.core.contract import Contract
from trendflow.kit.models import faults, known, model_folder

REASON = "official weights: not in the model cache"


def official(c: Contract) -> list[str]:
    "Models of the default configuration that no package carries."
    return [k for k in c.model_keys(c.config) if all(s["kind"] == "url" for s in known(k).sources)]


def lacks(c: Contract) -> bool:
    "Whether one of them is not in the cache. A model that a package carries is never excused."
    return any(faults(known(k), model_folder(known(k))) for k in official(c))
