"""Results of the analyses as they come out, made up: real sites' names, plausible similarities."""

import numpy as np
import pytest
import xarray

from vitprobe.figures import plot


def vit_sites(count=None, depth=12):
    """(name, block) of a timm ViT's sites; with `count`, the first of them and the output."""
    attn = ["attn." + name for name in ("qkv", "q_norm", "k_norm", "norm", "proj", "proj_drop")]
    mlp = ["mlp." + name for name in ("fc1", "act", "drop1", "norm", "fc2", "drop2")]
    inside = [
        "norm1",
        *attn,
        "attn",
        "ls1",
        "drop_path1",
        "norm2",
        *mlp,
        "mlp",
        "ls2",
        "drop_path2",
    ]
    stem = ["patch_embed.proj", "patch_embed.norm", "patch_embed", "pos_drop", "patch_drop"]
    stem += ["norm_pre"]
    sites = [(name, "") for name in stem]
    for i in range(depth):
        sites += [(f"blocks.{i}.{name}", f"blocks.{i}") for name in inside]
        sites += [(f"blocks.{i}", f"blocks.{i}")]
    sites += [(name, "") for name in ("norm", "fc_norm", "head_drop", "head", "output")]
    return sites if count is None else sites[: count - 1] + sites[-1:]


def resnet_sites(stages, convs):
    """(name, block) of a timm ResNet's sites; stages: blocks in each; convs: in a block."""
    sites = [("conv1", ""), ("bn1", ""), ("act1", "")]
    for stage, blocks in enumerate(stages, 1):
        for i in range(blocks):
            block = f"layer{stage}.{i}"
            inside = [f"{kind}{c}" for c in range(1, convs + 1) for kind in ("conv", "bn", "act")]
            if i == 0 and (stage > 1 or convs == 3):
                inside[-1:-1] = ["downsample.0", "downsample.1"]
            sites += [(f"{block}.{name}", block) for name in inside] + [(block, block)]
    return sites + [("global_pool", ""), ("fc", "")]


def swin_sites(depths):
    """(name, block) of a Swin's sites, with its long names."""
    attn = ["attn.qkv", "attn.relative_position_bias", "attn.proj"]
    inside = ["norm1", *attn, "norm2", "mlp.fc1", "mlp.fc2"]
    sites = [("patch_embed.proj", ""), ("patch_embed.norm", "")]
    for stage, blocks in enumerate(depths):
        for i in range(blocks):
            block = f"layers.{stage}.blocks.{i}"
            sites += [(f"{block}.{name}", block) for name in inside] + [(block, block)]
    return sites + [("norm", ""), ("head", ""), ("output", "")]


def flat_sites(count):
    """(name, "") of layers outside any block."""
    return [(f"features.{i}", "") for i in range(count)]


def make_result(sites_a, sites_b, *, blank_a=(), low=0.02, **attrs):
    """A CKA result over these sites; `blank_a`: blank layers; `low`: the least value."""
    random = np.random.default_rng(0)

    def path(sites):
        # a similarity that falls with depth, in steps from block to block
        blocks = np.unique([block for _, block in sites], return_inverse=True)[1]
        jump = np.concatenate([[0], np.diff(blocks) != 0])
        steps = random.gamma(1.0, 0.3, (len(sites), 1)) + jump[:, None]
        walk = np.cumsum(steps * random.normal(size=(len(sites), 16)), axis=0)
        ramp = np.linspace(0, 3, len(sites))[:, None] * np.ones((1, 4))
        return np.hstack(
            [walk / np.sqrt(len(sites)), ramp, random.normal(size=(len(sites), 4)) / 4]
        )

    a, b = path(sites_a), path(sites_b)
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    cka = low + (1 - low) * np.exp(-squared / 6)
    cka[list(blank_a)] = np.nan
    sides = {}
    for side, sites, blank in (("a", sites_a, set(blank_a)), ("b", sites_b, ())):
        dim = f"layer_{side}"
        sides |= {
            dim: [name for name, _ in sites],
            f"type_{side}": (dim, ["Linear"] * len(sites)),
            f"features_{side}": (dim, [64] * len(sites)),
            f"block_{side}": (dim, [block for _, block in sites]),
            f"blank_{side}": (
                dim,
                ["constant activations" if i in blank else "" for i in range(len(sites))],
            ),
        }
    dims = ("layer_a", "layer_b")
    return xarray.Dataset(
        {"cka": (dims, cka), "cka_se": (dims, 0.02 * (1 - cka)), "hsic": (dims, cka * 40)},
        coords=sides,
        attrs={
            "analysis": "cka",
            "model_a": "vit",
            "model_b": "resnet18",
            "dataset": "digits (test)",
            "examples": 360,
            "batch_size": 45,
            "passes": 1,
            "estimator": "unbiased",
            "kernel": "linear",
            "tokens": "all",
            "layers": "all",
        }
        | attrs,
    )


RESNET18, RESNET50 = resnet_sites((2, 2, 2, 2), 2), resnet_sites((3, 4, 6, 3), 3)
VIT = vit_sites()
ALIKE = [
    (f"backbone.stages.{s}.blocks.{b}.attn_block.attention.relative_position_projection", "")
    for s, b in [(0, 0), (0, 1), (1, 0), (1, 1), *((2, b) for b in range(8, 13)), (3, 0), (3, 1)]
]
LONG = [("encoder." * 12 + f"end{i}", "") for i in range(12)]

CASES = {  # by the number of layers of a and b
    "10x10": lambda: make_result(vit_sites(10), RESNET18[:10]),
    "30x55": lambda: make_result(vit_sites(30), RESNET18[:54] + RESNET18[-1:]),
    "67x67": lambda: make_result(RESNET18, RESNET18, model_a="resnet18"),
    "263x67": lambda: make_result(VIT, RESNET18),
    "67x263": lambda: make_result(RESNET18, VIT, model_a="resnet18", model_b="vit"),
    "300x300": lambda: make_result(
        vit_sites(300, 14), vit_sites(300, 14), model_b="vit@pretrained", blank_a=(40, 150, 151)
    ),
    "300x300 without blocks": lambda: make_result(flat_sites(300), flat_sites(300)),
    "300x173 of 300 blocks": lambda: make_result(
        [(f"stages.{i}", f"stages.{i}") for i in range(300)], RESNET50, model_b="resnet50"
    ),
    "10x10 long names": lambda: make_result(swin_sites((1,))[:10], swin_sites((1,))[:10]),
    "101x173 long names": lambda: make_result(
        swin_sites((2, 2, 6, 2)), RESNET50, model_a="swin_tiny", model_b="resnet50"
    ),
    "12x12 endless names": lambda: make_result(LONG, LONG, model_a="a_factory_of_models" * 8),
    "11x11 alike names": lambda: make_result(ALIKE, ALIKE),
    "1x12": lambda: make_result(
        [("output", "")], RESNET18[:12], model_a="resnet20@../shared/data/resnet20-12fca82f.th"
    ),
    "40x1": lambda: make_result(vit_sites(40), [("output", "")]),
    "1x1": lambda: make_result([("output", "")], [("output", "")]),
    "30x25 negative": lambda: make_result(
        vit_sites(30), vit_sites(25), low=-0.2, blank_a=(3, 17), passes=3, examples=10240
    ),
    "4x7 unicode": lambda: make_result(
        [("größe.Ångström", ""), ("Δ.λ₁", ""), ("$x_1$ and $y", ""), ("bloc_é#2", "")],
        [(f"слой.{i}", "") for i in range(7)],
        model_a="модель:Größe$",
        dataset="npz:../data/изображения-" + "x" * 60 + ".npz",
    ),
}


@pytest.fixture(params=CASES, scope="session")
def result(request):
    return CASES[request.param]()


@pytest.fixture(scope="session")
def figure(result):
    """The result's figure, for tests that leave it as it is."""
    return plot(result)


@pytest.fixture(scope="session")
def cases():
    """Name -> a function that makes that result."""
    return CASES


@pytest.fixture(scope="session", name="make_result")
def _make_result():
    """See `make_result` above."""
    return make_result


@pytest.fixture(scope="session")
def sites():
    """Name -> (name, block) of each site."""
    return {
        "vit": VIT,
        "resnet18": RESNET18,
        "resnet50": RESNET50,
        "swin": swin_sites((2, 2, 6, 2)),
        "small": vit_sites(10),
        "long": LONG,
    }
