"""Measures one YouTube video with visual, audio and text components and keeps every measurement as a self-describing file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
_HOMES = {"run_video": "app.run_video", "run_videos": "app.batch", "segment_video": "app.stages", "process": "app.stages", "Run": "views.browse",
          "VideoDocument": "segment.texts", "read_info": "segment.texts", "build_targets": "learn.targets", "snapshot_features": "learn.snapshot_features",
          "feature_table": "learn.feature_table", "train_baseline": "learn.baseline", "train_fusion": "learn.fusion", "train_transformer": "learn.train_transformer",
          "evaluate": "learn.metrics", "load_model": "learn.predict", "predict": "learn.predict"}
__all__ = ["Run", "VideoDocument", "build_targets", "evaluate", "feature_table", "load_model", "predict", "process", "read_info", "run_video", "run_videos", "segment_video",
           "snapshot_features", "train_baseline", "train_fusion", "train_transformer"]

if TYPE_CHECKING:
    from .app.batch import run_videos
    from .app.run_video import run_video
    from .app.stages import process, segment_video
    from .learn.baseline import train_baseline
    from .learn.feature_table import feature_table
    from .learn.fusion import train_fusion
    from .learn.metrics import evaluate
    from .learn.predict import load_model, predict
    from .learn.snapshot_features import snapshot_features
    from .learn.targets import build_targets
    from .learn.train_transformer import train_transformer
    from .segment.texts import VideoDocument, read_info
    from .views.browse import Run


def __getattr__(name: str) -> Any:
    "The front doors, each imported when it is first asked for: `import trendflow` alone loads nothing."
    if name not in _HOMES: raise AttributeError(f"module 'trendflow' has no attribute {name!r}, only {__all__}")
    found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]: return sorted({*globals(), *_HOMES})
