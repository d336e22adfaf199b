"""Results of the attention analysis as they come out, made up: real names, plausible numbers."""

import numpy as np
import xarray

from vitprobe.taps.token_grid import TokenGrid

QUANTITIES = ("distance", "distance_raw", "patch_mass", "entropy")


def made(names, heads, grids, *, blank=(), model="vit", seed=0, spread=0.8):
    """A result over layers of these names, numbers of heads and TokenGrids.

    blank: layers without values; spread: how far heads of the first layers lie below uniform.
    """
    random = np.random.default_rng(seed)
    layers, most = len(names), max(heads)
    uniform = [grid.uniform() for grid in grids]
    local = random.uniform(0, 1, (layers, most)) * np.linspace(spread, 0.05, layers)[:, None]
    variables = {}
    for name in QUANTITIES:
        level = np.array([values[name] for values in uniform])[:, None]
        part = local if name != "patch_mass" else local / 20
        values = level * (1 - (part if name != "entropy" else part / 2))
        values[np.arange(most)[None] >= np.array(heads)[:, None]] = np.nan
        values[list(blank)] = np.nan
        variables[name] = (("layer", "head"), values)
        variables[f"{name}_se"] = (("layer", "head"), values * 0.01)
    along = {
        "block": [name.rpartition(".")[0] for name in names],
        "heads": list(heads),
        "blank": ["its grid is unknown" if i in blank else "" for i in range(layers)],
    } | {
        f"{name}_uniform": [np.nan if i in blank else uniform[i][name] for i in range(layers)]
        for name in QUANTITIES
    }
    for name in ("rows", "columns", "prefix", "patch_height", "patch_width"):
        along[name] = [getattr(grid, name) for grid in grids]
    return xarray.Dataset(
        variables,
        coords={"layer": list(names), "head": np.arange(most)}
        | {name: ("layer", values) for name, values in along.items()},
        attrs={
            "analysis": "attention",
            "model": model,
            "model_weights": "random",
            "model_image_size": "32, 32",
            "dataset": "digits",
            "examples": 360,
        },
    )


def vit(layers, heads, **options):
    names = [f"blocks.{i}.attn" for i in range(layers)]
    return made(names, [heads] * layers, [TokenGrid(14, 14, 1, 16, 16)] * layers, **options)


def swin(**options):
    depths, heads = (2, 2, 6, 2), (3, 6, 12, 24)
    places = [(stage, i) for stage, depth in enumerate(depths) for i in range(depth)]
    return made(
        [f"layers.{stage}.blocks.{i}.attn" for stage, i in places],
        [heads[stage] for stage, _ in places],
        [TokenGrid(7, 7, 0, 4 << stage, 4 << stage) for stage, _ in places],
        model="swin_tiny_patch4_window7_224",
        **options,
    )


def maxvit():
    """Two kinds of attention in every block, and long names that differ in their middle."""
    places = [(stage, i) for stage, depth in enumerate((2, 2, 5, 2)) for i in range(depth)]
    names = [
        f"stages.{stage}.blocks.{i}.{kind}.attn"
        for stage, i in places
        for kind in ("attn_block", "attn_grid")
    ]
    return made(names, [4] * len(names), [TokenGrid(8, 8, 0, 4, 4)] * len(names), model="maxvit")


CASES = {
    "6x4": lambda: [vit(6, 4)],
    "12x12": lambda: [vit(12, 12)],
    "24x16": lambda: [vit(24, 16, model="vit_large_patch16_224@pretrained")],
    "1x1": lambda: [vit(1, 1)],
    "2x3": lambda: [vit(2, 3)],
    "3x3": lambda: [vit(3, 3)],
    "swin": lambda: [swin()],
    "blanks": lambda: [vit(12, 12, blank=(0, 5, 11))],
    "long names": lambda: [
        made(
            [f"vit.encoder.layer.{i}.attention.attention_{'x' * 60}{i}" for i in range(12)],
            [12] * 12,
            [TokenGrid(14, 14, 1, 16, 16)] * 12,
            model="a_factory_of_models" * 8,
        )
    ],
    "maxvit": lambda: [maxvit()],
    "two": lambda: [vit(12, 12), vit(12, 3, model="deit_tiny_patch16_224", seed=1, spread=0.4)],
    "vit and swin": lambda: [vit(6, 4), swin()],
    "three": lambda: [vit(6, 4), vit(12, 12, model="b"), vit(24, 16, model="a_factory" * 12)],
}
