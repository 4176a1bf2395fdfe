"EfficientNet-Lite, ImageNet classes, sentence vectors, and what is made of them."
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from trendflow.core.artifact import Artifact
from trendflow.core.errors import UsageError
from trendflow.core.measure import measure
from trendflow.core.roles import PROMPTS
from trendflow.core.sources import Frames, Texts
from trendflow.kit.assets import asset
from trendflow.kit.effnet import read_net, run
from trendflow.kit.imagenet import read_imagenet, text_map, towards, unpacked
from trendflow.kit.minilm import read_minilm, sentence_vectors
from trendflow.kit.models import loaded, torchvision_here
from trendflow.providers.core_imagenet import core_imagenet, whole
from trendflow.providers.core_title_imagenet import core_title_imagenet

MIDAS = {0: ("layer1", 3), 1: ("layer1", 4), 2: ("layer2", 0), 3: ("layer3", 0), 4: ("layer3", 1), 5: ("layer4", 0), 6: ("layer4", 1)}


def random_lite(name: str):
    "A seeded net of timm whose batch norms do something."
    torchvision_here()
    import timm
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model(name).eval()
        for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(0, 0.1)
    return net


def as_midas(state: dict) -> dict:
    "The encoder's tensors under the names that MiDaS gives them, among others of its own."
    out = {"scratch.layer1_rn.weight": torch.zeros(1)}
    for k, v in state.items():
        first, *rest = k.split(".")
        if first == "blocks": out[".".join(["pretrained", MIDAS[int(rest[0])][0], str(MIDAS[int(rest[0])][1]), *rest[1:]])] = v
        elif first in ("conv_stem", "bn1"): out[".".join(["pretrained.layer1", {"conv_stem": "0", "bn1": "1"}[first], *rest])] = v
    return out


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_lite3"])
@pytest.mark.parametrize("size", [(64, 96), (65, 127)])
def test_the_net_is_timms(name: str, size: tuple[int, int]) -> None:
    theirs = random_lite(name)
    pictures = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(): want = theirs(pictures)
    got = run(read_net(theirs.state_dict()), pictures)
    assert torch.allclose(got.logits, want, rtol=0, atol=1e-4 * float(want.abs().max()))


def test_the_encoder_of_midas_is_the_net_without_its_head() -> None:
    theirs = random_lite("tf_efficientnet_lite3")
    pictures = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    maps = []
    hooks = [theirs.blocks[i].register_forward_hook(lambda *x: maps.append(x[2])) for i in (1, 2, 4, 6)]
    with torch.inference_mode(): theirs(pictures)
    for hook in hooks: hook.remove()
    got = run(read_net(as_midas(theirs.state_dict())), pictures, ends=(1, 2, 4, 6))
    assert got.pooled is None and got.logits is None
    assert [tuple(m.shape[1:]) for m in got.maps] == [(32, 16, 16), (48, 8, 8), (136, 4, 4), (384, 2, 2)]
    for mine, want in zip(got.maps, maps, strict=True): assert torch.allclose(mine, want, rtol=0, atol=1e-4 * float(want.abs().max()))


def test_running_leaves_the_pictures_and_the_net_alone() -> None:
    net, pictures = read_net(random_lite("tf_efficientnet_lite0").state_dict()), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    before = pictures.clone()
    one, two = run(net, pictures, ends=(0, 6)), run(net, pictures)
    assert torch.equal(pictures, before) and torch.equal(one.logits, two.logits)
    assert torch.equal(one.maps[0], run(net, pictures, ends=(0,)).maps[0])


def test_half_a_net_is_refused() -> None:
    state = random_lite("tf_efficientnet_lite0").state_dict()
    with pytest.raises(UsageError, match="found 6"): read_net({k: v for k, v in state.items() if not k.startswith("blocks.6")})


def test_every_prompt_has_phrases() -> None:
    phrases = asset("prompts").data
    assert tuple(phrases) == PROMPTS
    every = [p for told in phrases.values() for p in told]
    assert all(1 <= len(told) <= 3 for told in phrases.values()) and len(set(every)) == len(every)
    assert all(p and p.isascii() and p == p.strip() for p in every)


def test_the_asset_is_what_its_sources_give() -> None:
    torchvision_here()
    from torchvision.models._meta import _IMAGENET_CATEGORIES as names
    data, encoder = asset("imagenet").data, loaded("minilm", read_minilm)
    assert data["names"] == list(names) and tuple(data["prompts"]["names"]) == PROMPTS
    assert data["prompts"]["phrases"] == asset("prompts").digest, "prompts.json has changed: run tools/make_imagenet_asset.py"
    some = slice(None, None, 37)
    for kept, exact in ((unpacked(data["vectors"])[some], sentence_vectors(encoder, names[some])),
                        (unpacked(data["prompts"]["vectors"]), np.stack([sentence_vectors(encoder, p).mean(0) for p in asset("prompts").data.values()]))):
        cosine = (kept * exact).sum(1) / np.linalg.norm(kept, axis=1) / np.linalg.norm(exact, axis=1)
        assert cosine.min() > 0.999


def test_odd_sentences_have_vectors() -> None:
    "A sentence beyond the longest is cut, not refused; empty and odd ones have vectors of unit length."
    encoder = loaded("minilm", read_minilm)
    made = sentence_vectors(encoder, ["cat " * 300, "cat " * 254, "", "🚀", "cat"])
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.allclose(made[0], made[1], atol=1e-5) and not np.allclose(made[1], made[4], atol=1e-2)


def test_a_text_finds_the_row_of_a_class_that_was_never_seen() -> None:
    "Other classes are held out than on the page."
    texts, rows = unpacked(asset("imagenet").data["vectors"]), loaded("imagenet", read_imagenet).net.classifier[0].numpy()
    out = np.arange(3, 1000, 5)
    rest = np.setdiff1d(np.arange(1000), out)
    cosine = (rows[out] - rows[rest].mean(0)) @ towards(text_map(texts[rest], rows[rest]), texts[out], texts[rest].mean(0)).T
    rank = (cosine >= cosine.diagonal()[:, None]).sum(1)
    assert (rank <= 1).mean() > 0.33 and (rank <= 5).mean() > 0.55


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> tuple[list[str], Artifact]:
    "The photos of skimage, each a frame of 640×480, and what they show."
    paths = sorted((shared_data / "images" / "skimage").iterdir())
    pixels = np.stack([cv2.resize(cv2.imread(str(p))[:, :, ::-1], (640, 480), interpolation=cv2.INTER_AREA) for p in paths])
    at = np.arange(len(paths))
    frames = Frames(pixels, at, at.astype(np.int32), at.astype(np.int32), at / 2, len(at) / 2)
    return [p.stem for p in paths], measure(core_imagenet, {"frames": frames})


def test_classes_of_photos(photos: tuple[list[str], Artifact]) -> None:
    names, seen = photos
    classes = asset("imagenet").data["names"]
    told = {n: [classes[i] for i in seen.class_id[row]] for row, n in enumerate(names)}
    assert told["coffee"][0] == "espresso" and told["camera"][0] == "tripod"
    assert told["chelsea"][0] in ("Egyptian cat", "tiger cat", "tabby") and told["motorcycle_left"][0] in ("moped", "motor scooter")
    assert {"missile", "projectile"} & set(told["rocket"])
    lost = dict(zip(names, seen.class_entropy))
    assert lost["coffee"] < 0.2 and lost["camera"] < 0.2 and lost["astronaut"] > 0.4


def test_scores_of_photos(photos: tuple[list[str], Artifact]) -> None:
    names, seen = photos
    best = {g: [PROMPTS[max((i for i, p in enumerate(PROMPTS) if p.startswith(g)), key=lambda i: row[i])].removeprefix(f"{g}_") for row in seen.score]
            for g in ("place", "style", "topic", "mood")}
    told = {g: dict(zip(names, b)) for g, b in best.items()}
    assert told["topic"]["coffee"] == "cooking" and told["topic"]["chelsea"] == "animals" and told["topic"]["motorcycle_left"] == "cars"
    sets = np.array([p.split("_")[0] for p in PROMPTS])
    for g in told: assert np.allclose(seen.score[:, sets == g].sum(1), 1, atol=1e-5)
    assert seen.score.min() >= 0


@pytest.mark.parametrize(("title", "wanted"), [("my cat", "chelsea"), ("a cup of coffee", "coffee"), ("rocket launch", "rocket"),
                                               ("I rebuilt an old motorcycle in my garage", "motorcycle_left motorcycle_right"), ("filming with a tripod", "camera")])
def test_a_title_finds_its_photo(title: str, wanted: str, photos: tuple[list[str], Artifact]) -> None:
    names, seen = photos
    found = measure(core_title_imagenet, {"texts": Texts(title, language="en")})
    assert names[int((seen.embedding @ found.title_vector).argmax())] in wanted.split()
    assert found.name_similarity > 0.3 and found.language_stated == 1


@pytest.mark.parametrize(("title", "language", "reason"), [
    (None, "en", "no_text_available"), ("", None, "no_text_available"), ("!!! 🚀 2024", None, "no_text_available"),
    ("Моя кошка", None, "title_not_english"), ("我的猫", "en", "title_not_english"), ("Mi gato", "es-419", "title_not_english"),
])
def test_titles_without_a_vector(title: str | None, language: str | None, reason: str) -> None:
    assert measure(core_title_imagenet, {"texts": Texts(title, language=language)}).meta["empty_reason"] == reason


def test_the_title_itself_is_nowhere_in_the_artifact() -> None:
    made = measure(core_title_imagenet, {"texts": Texts("zebrafish waffles")})
    assert "zebrafish" not in str(made.meta) and all(a.dtype.kind in "fib" for a in made.arrays.values()) and made.language_stated == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (720, 1280), (1920, 1080), (33, 47)])
def test_every_shape_of_picture_fits(size: tuple[int, int]) -> None:
    made = whole(np.zeros((*size, 3), np.uint8))
    height, width = made.shape[:2]
    assert height % 32 == width % 32 == 0 and 30_000 < height * width < 75_000
    assert (height >= width) == (size[0] >= size[1]) or height == width


def test_threads_share_the_network() -> None:
    net = loaded("imagenet", read_imagenet).net
    pictures = [torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    alone = [run(net, p).logits for p in pictures]
    with ThreadPoolExecutor(3) as pool: together = list(pool.map(lambda p: run(net, p).logits, pictures))
    assert all(torch.equal(a, b) for a, b in zip(alone, together))


def test_an_encoder_has_no_classes(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pth"
    torch.save(as_midas(random_lite("tf_efficientnet_lite0").state_dict()), path)
    with pytest.raises(UsageError, match="no classifier"): read_imagenet({path.name: path})
