"""Write trendflow/assets/imagenet.json: the names of ImageNet's 1000 classes, their sentence vectors, and those of the prompts.

    python tools/make_imagenet_asset.py         needs the model minilm (trendflow models pull minilm) and torchvision

Sources. Names: torchvision, `_IMAGENET_CATEGORIES` of `torchvision.models._meta` (BSD-3-Clause; first words of the WordNet synsets, WordNet licence),
in the order of the classifier. Vectors: all-MiniLM-L6-v2 (Apache-2.0) of the bare name. Prompts: trendflow/assets/prompts.json, the mean over the phrases of a name.
A vector is stored as int8 with one scale for all; the cosine to the exact one is above 0.999. Another processor may round a few numbers to the other side.
"""
from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from trendflow.core.identity import digest
from trendflow.kit.assets import asset
from trendflow.kit.minilm import read_minilm, sentence_vectors
from trendflow.kit.models import find, torchvision_here

OUT = Path(__file__).resolve().parents[1] / "trendflow" / "assets" / "imagenet.json"
LICENCE = "names: torchvision (BSD-3-Clause) after WordNet (WordNet licence); vectors: made with all-MiniLM-L6-v2 (Apache-2.0)"


def packed(vectors: np.ndarray) -> dict[str, object]:
    "Vectors as text: int8 in base64, and what one step is worth."
    step = float(f"{np.abs(vectors).max() / 127:.6g}")
    return {"step": step, "width": vectors.shape[1], "int8": base64.b64encode(np.round(vectors / step).clip(-127, 127).astype(np.int8).tobytes()).decode()}


def main() -> None:
    torchvision_here()
    from torchvision.models._meta import _IMAGENET_CATEGORIES as names
    encoder, prompts = read_minilm(find("minilm")), asset("prompts")
    told = np.stack([sentence_vectors(encoder, phrases).mean(0) for phrases in prompts.data.values()])
    data = {"names": list(names), "vectors": packed(sentence_vectors(encoder, list(names))),
            "prompts": {"names": list(prompts.data), "phrases": prompts.digest, "vectors": packed(told)}}
    version = json.loads(OUT.read_text("utf-8"))["version"] if OUT.is_file() else 1
    out = {"id": "imagenet", "version": version, "digest": digest(data), "licence": LICENCE,
           "what": "names of the classes of ImageNet, in the classifier's order, and sentence vectors of them and of the prompts", "data": data}
    OUT.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, {len(names)} names, {len(told)} prompts, digest {out['digest'][:12]}")


if __name__ == "__main__": main()
