"EfficientNet-Lite, ImageNet classes, sentence vectors, and what is made of them."
from __future__ import annotations

import pytest
import torch
from trendflow.core.errors import UsageError
from trendflow.kit.effnet import read_net, run
from trendflow.kit.models import torchvision_here

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
