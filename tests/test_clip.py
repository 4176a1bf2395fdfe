"""CLIP: the numbers of open_clip itself, from a pinned file, without a network; the checks of both components on a small checkpoint."""
from __future__ import annotations

import logging
import pickle
import random
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trendflow.core import samples
from trendflow.core.artifact import write_artifact
from trendflow.core.checks import all_checks
from trendflow.core.contract import contract
from trendflow.core.errors import ContractError, ModelDigestMismatch, ModelUnavailable, UsageError
from trendflow.core.measure import measure
from trendflow.core.roles import PROMPTS, shots
from trendflow.kit.clip import clip, sample_checkpoint
from trendflow.kit.models import Models, find, known, pin, single_threaded_torch
from trendflow.kit.prompts import SETS, shares
from trendflow.providers.core_clip import core_clip
from trendflow.providers.core_title_clip import core_title_clip
from trendflow.views.checks import all_checks as view_checks
from trendflow.visual.high_level_semantic import high_level_semantic

Config = dict[str, str]


def of(key: str) -> Config: return {"model": key, "architecture": key}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    "A cache of our own, for this page."
    folder = tmp_path_factory.mktemp("clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRENDFLOW_MODELS", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def small(place: Path) -> Config: return of(sample_checkpoint(place).key)


def theirs(architecture: str, path: Path):
    "The same checkpoint as open_clip itself builds, loads and feeds it: network, transform, tokenizer."
    import open_clip
    single_threaded_torch()
    network, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=str(path))
    return network.eval(), transform, open_clip.get_tokenizer(architecture)


def by_open_clip(architecture: str, path: Path, pictures: np.ndarray, said: list[str]) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image
    torch, (network, transform, tokenizer) = single_threaded_torch(), theirs(architecture, path)
    with torch.inference_mode():
        seen = network.encode_image(torch.stack([transform(Image.fromarray(p)) for p in pictures]), normalize=True)
        return seen.numpy(), network.encode_text(tokenizer(said), normalize=True).numpy()


# --- the contract, on the small checkpoint in the place of the official one -----------------------------------------------------

CHECKS = dict([*all_checks(), *view_checks()])


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("fn", [core_clip, core_title_clip])
def test_check(fn, name: str, small: Config) -> None: CHECKS[name](with_model(fn, small["model"]))


@cache                                  # one declaration, so that the checks keep what they measured
def with_model(fn, key: str): return replace(contract(fn), config={**contract(fn).config, **of(key)})


# --- the numbers ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [(180, 320), (320, 180), (97, 64), (40, 41)])
def test_vectors_are_those_of_open_clip(small: Config, size: tuple[int, int]) -> None:
    frames = samples.frames("pictures", n=3, size=size)
    said = ["How a rocket lands: 5 things to know", "🚀🔥 ¡Ñandú! 你好", "a", "rocket " * 90]
    seen, told = by_open_clip(small["architecture"], next(iter(find(small["model"]).values())), frames.pixels, said)
    assert np.abs(measure(core_clip, {"frames": frames}, small).embedding - seen).max() < 1e-4
    for text, vector in zip(said, told):
        made = measure(core_title_clip, {"texts": replace(samples.texts(), title=text)}, small).title_vector
        assert np.abs(made - vector).max() < 1e-4
    assert np.abs(seen[0] - seen[1]).max() > 1e-3 and np.abs(told[0] - told[1]).max() > 1e-3     # the small network tells things apart


def test_a_picture_has_one_vector_whatever_lies_beside_it(small: Config) -> None:
    frames = samples.frames("pictures", n=11, size=(90, 160))
    net = clip(Models((small["model"],)), small["model"], small["architecture"])
    alone = np.concatenate([net.pictures(f[None]) for f in frames])
    assert np.abs(measure(core_clip, {"frames": frames}, small).embedding - alone).max() < 1e-5


def test_a_text_has_one_vector_whatever_lies_beside_it(small: Config) -> None:
    net = clip(Models((small["model"],)), small["model"], small["architecture"])
    said = ["a", "a much longer text about a rocket that lands on its own pillar of fire", "word " * 100]
    assert np.abs(net.texts(said) - np.concatenate([net.texts([t]) for t in said])).max() < 1e-5


def test_scores_are_shares_of_the_cosines_at_the_learned_or_a_fixed_scale(small: Config) -> None:
    frames = samples.frames("pictures", n=3, size=(90, 160))
    learned, warm, cold = (measure(core_clip, {"frames": frames}, {**small, "logit_scale": s}) for s in (0.0, 1.0, 1000.0))
    assert np.array_equal(learned.cosine, warm.cosine)
    assert np.allclose(learned.score, shares(learned.cosine, 1 / 0.07), atol=1e-5)          # the scale that an untrained network starts with
    for own in SETS.values():
        assert (cold.score[:, own].max(1) >= learned.score[:, own].max(1)).all() and (learned.score[:, own].max(1) > warm.score[:, own].max(1)).all()
    assert [len(own) for own in SETS.values()] == [20, 8, 14, 5]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.01, 1000), shift=st.floats(-1, 1))
def test_shares_sum_to_one_in_each_set_and_mind_differences_only(seed: int, scale: float, shift: float) -> None:
    cosine = np.random.default_rng(seed).uniform(-1, 1, (3, len(PROMPTS)))
    made = shares(cosine, scale)
    assert np.isfinite(made).all() and (made >= 0).all()
    for own in SETS.values(): assert np.allclose(made[:, own].sum(1), 1, atol=1e-5) and (made[:, own].argmax(1) == cosine[:, own].argmax(1)).all()
    assert np.allclose(made, shares(cosine + shift, scale), atol=1e-5)


# --- files ----------------------------------------------------------------------------------------------------------------------

def test_both_kinds_of_file_give_the_same_vectors(place: Path) -> None:
    frames = samples.frames("pictures", n=2, size=(90, 160))
    made = [measure(core_clip, {"frames": frames}, of(sample_checkpoint(place, 7, ending).key)).embedding for ending in (".safetensors", ".pt")]
    assert np.array_equal(*made)


def test_a_training_checkpoint_is_read_too(place: Path, small: Config) -> None:
    from safetensors.torch import load_file
    torch = single_threaded_torch()
    plain = load_file(next(iter(find(small["model"]).values())))
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v.half() for k, v in plain.items()}}, place / "trained.pt")
    pin("trained", {"trained.pt": place / "trained.pt"}, name="trained", engine="torch")
    frames, config = samples.frames("pictures", n=2, size=(90, 160)), {**small, "model": "trained"}
    made = measure(core_clip, {"frames": frames}, config).embedding
    assert made.dtype == np.float32 and np.abs(made - measure(core_clip, {"frames": frames}, small).embedding).max() < 0.01     # half precision on disk


class Payload:
    def __reduce__(self) -> tuple: return print, ("executed",)


def test_a_file_that_would_execute_something_is_refused(place: Path, small: Config, capsys: pytest.CaptureFixture) -> None:
    path = place / "evil.pt"
    single_threaded_torch().save({"visual.proj": Payload()}, path)
    with open(place / "evil2.pt", "wb") as f: pickle.dump(Payload(), f)
    for name in ("evil", "evil2"):
        pin(name, {f"{name}.pt": place / f"{name}.pt"}, name=name, engine="torch")
        with pytest.raises(UsageError, match="more than plain tensors"): measure(core_clip, {"frames": samples.frames()}, {**small, "model": name})
    assert "executed" not in capsys.readouterr().out


def test_weights_of_another_architecture_are_refused(place: Path, small: Config) -> None:
    from safetensors.torch import load_file, save_file
    plain = load_file(next(iter(find(small["model"]).values())))
    more, less = {**plain, "extra": plain["logit_scale"].clone()}, {k: v for k, v in plain.items() if k != "ln_final.bias"}
    for name, tensors in (("more", more), ("less", less)):
        save_file(tensors, place / f"{name}.safetensors")
        pin(name, {f"{name}.safetensors": place / f"{name}.safetensors"}, name=name, engine="torch")
        with pytest.raises(UsageError, match="Name the architecture"): measure(core_clip, {"frames": samples.frames()}, {**small, "model": name})


@pytest.mark.parametrize("fn", [core_clip, core_title_clip])
def test_absent_and_altered_weights(fn, place: Path) -> None:
    source = {"frames": samples.frames()} if fn is core_clip else {"texts": samples.texts()}
    with pytest.raises(ModelUnavailable, match="trendflow models pull clip_vit_b32"): measure(fn, source)
    key = sample_checkpoint(place, 20 + (fn is core_clip)).key
    path = next(iter(find(key).values()))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDigestMismatch, match=f"trendflow models pull {key}"): measure(fn, source, of(key))


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "xlm-roberta-base-ViT-B-32", "coca_ViT-B-32", "MobileCLIP-S1"])
def test_architectures_that_would_fetch_something_are_refused(small: Config, name: str) -> None:
    with pytest.raises(UsageError, match="only CLIP's own text tower"): measure(core_title_clip, {"texts": samples.texts()}, {**small, "architecture": name})


# --- manners --------------------------------------------------------------------------------------------------------------------

def test_loading_leaves_random_state_and_logging_alone(place: Path) -> None:
    torch, key = single_threaded_torch(), sample_checkpoint(place, 30).key
    before = torch.get_rng_state(), random.getstate(), list(logging.getLogger().handlers)
    net = clip(Models((key,)), key, key)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1:] == (random.getstate(), list(logging.getLogger().handlers))
    assert not any(p.requires_grad for p in net.network.parameters()) and not net.network.training


def test_threads_share_one_network_and_get_the_same_numbers(place: Path) -> None:
    key, frames, made = sample_checkpoint(place, 31).key, samples.frames("pictures", n=4, size=(90, 160)), []
    work = [threading.Thread(target=lambda: made.append(measure(core_clip, {"frames": frames}, of(key)))) for _ in range(4)]
    for t in work: t.start()
    for t in work: t.join()
    assert {m.meta["content_digest"] for m in made} == {made[0].meta["content_digest"]} and len(made) == 4


def test_no_word_of_a_title_is_stored_or_said(place: Path, small: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = replace(samples.texts(), title="secretworda " * 40)
    made = measure(core_title_clip, {"texts": secret}, small)
    write_artifact(made, place / "title.npz")
    with pytest.raises(UsageError) as caught: measure(core_title_clip, {"texts": secret}, {**small, "architecture": "ViT-S-32"})
    data = (place / "title.npz").read_bytes().lower()
    assert made.token_count[1] > 0
    assert not any("secretword".encode(code) in data for code in ("utf-8", "utf-16-le", "utf-32-le")) and "secretword" not in f"{caught.value}{caplog.text}"


# --- what reads them ------------------------------------------------------------------------------------------------------------

def test_title_and_pictures_meet_only_when_one_model_made_them(place: Path, small: Config) -> None:
    frames = samples.frames()
    seen, other = measure(core_clip, {"frames": frames}, small), of(sample_checkpoint(place, 1).key)
    title, foreign = (measure(core_title_clip, {"texts": samples.texts()}, c) for c in (small, other))
    given_ = {"image_embeddings": seen, "prompt_scores": seen, "shots": samples.artifact(shots), "title_embedding": title}
    made = measure(high_level_semantic, given_)
    assert np.allclose(made.frame_title, seen.embedding @ title.title_vector, atol=1e-6)
    with pytest.raises(ContractError, match="leave the title out"): measure(high_level_semantic, {**given_, "title_embedding": foreign})


@pytest.mark.slow
def test_the_full_network_from_a_file_of_the_official_form(place: Path) -> None:
    "Random weights in the architecture of the lock's file: the same tensors, so the same number of bytes."
    import open_clip
    from safetensors.torch import save_file
    torch, path = single_threaded_torch(), place / "open_clip_model.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(open_clip.CLIP(**open_clip.get_model_config("ViT-B-32")).state_dict(), path, metadata={"format": "pt"})
    assert path.stat().st_size == known("clip_vit_b32").size
    pin("full", {path.name: path}, name="untrained ViT-B-32", version="laion2b_s34b_b79k", engine="torch")
    frames, title = samples.frames("pictures", n=2, size=(360, 640)), "How a rocket lands"
    made = measure(core_clip, {"frames": frames}, {"model": "full"})
    named = measure(core_title_clip, {"texts": replace(samples.texts(), title=title)}, {"model": "full"})
    seen, told = by_open_clip("ViT-B-32", path, frames.pixels, [title])
    assert made.embedding.shape == (2, 512) and np.abs(made.embedding - seen).max() < 1e-4 and np.abs(named.title_vector - told[0]).max() < 1e-4
