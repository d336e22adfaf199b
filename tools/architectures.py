"""docs/architectures.md: every analysis on every kind of model, really run.

    python tools/architectures.py                              # all; writes the page
    python tools/architectures.py --only resnet18,vit --output /tmp/page.md
    python tools/architectures.py --list

Weights are random, images are noise, both are small: it is about what runs, and why not. A cell
that takes longer than --limit seconds is stopped, and says so. Analyses that this version of
vitprobe lacks are left out, with a line.
"""

import argparse
import copy
import pkgutil
import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import vitprobe
from vitprobe.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, BATCH = 16, 8
CLASSES = 10


def timm_model(name: str, **options) -> Callable[[], nn.Module]:
    import timm

    return lambda: timm.create_model(name, num_classes=CLASSES, **options)


def torchvision_model(name: str, **options) -> Callable[[], nn.Module]:
    import torchvision

    return lambda: torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **options)


def torchvision_vit() -> nn.Module:
    """vit_b_16 with four blocks of width 96."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(64, 16, 4, 3, 96, 192, num_classes=CLASSES)


def transformers_model(kind: str, patch: int, size: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        small = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 3}
        config = getattr(transformers, f"{kind}Config")(
            image_size=size, patch_size=patch, num_labels=CLASSES, **small
        )
        return getattr(transformers, f"{kind}ForImageClassification")(config)

    return make


def own_model(name: str) -> Callable[[], nn.Module]:
    return lambda: vitprobe.load_model(name)


VIT = {"img_size": 64, "depth": 4}
ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], int]] = {  # and the images' side in pixels
    "vit": (own_model("vit"), 32),
    "resnet20": (own_model("resnet20"), 32),
    "vit_tiny_patch16_224": (timm_model("vit_tiny_patch16_224", **VIT), 64),
    "deit_tiny_distilled_patch16_224": (timm_model("deit_tiny_distilled_patch16_224", **VIT), 64),
    "deit3_small_patch16_224": (timm_model("deit3_small_patch16_224", **VIT), 64),
    "beit_base_patch16_224": (
        timm_model("beit_base_patch16_224", embed_dim=192, num_heads=3, **VIT),
        64,
    ),
    "eva02_tiny_patch14_224": (timm_model("eva02_tiny_patch14_224", img_size=56, depth=4), 56),
    "vit_small_patch14_reg4_dinov2": (
        timm_model("vit_small_patch14_reg4_dinov2", img_size=56, depth=4),
        56,
    ),
    "cait_xxs24_224": (timm_model("cait_xxs24_224", **VIT), 64),
    "xcit_nano_12_p16_224": (timm_model("xcit_nano_12_p16_224", **VIT), 64),
    "swin_tiny_patch4_window7_224": (
        timm_model("swin_tiny_patch4_window7_224", img_size=56, depths=(2, 2, 2, 2)),
        56,
    ),
    "swinv2_tiny_window8_256": (
        timm_model("swinv2_tiny_window8_256", img_size=64, depths=(2, 2, 2, 2)),
        64,
    ),
    "mixer_s32_224": (timm_model("mixer_s32_224", img_size=64), 64),
    "resmlp_12_224": (timm_model("resmlp_12_224", img_size=64), 64),
    "gmlp_s16_224": (timm_model("gmlp_s16_224", img_size=64), 64),
    "poolformer_s12": (timm_model("poolformer_s12"), 64),
    "convnext_atto": (timm_model("convnext_atto"), 64),
    "resnet18": (timm_model("resnet18"), 64),
    "resnet50": (timm_model("resnet50"), 64),
    "resnetv2_50x1_bit": (timm_model("resnetv2_50x1_bit"), 64),
    "vit_tiny_r_s16_p8_224": (timm_model("vit_tiny_r_s16_p8_224", **VIT), 64),
    "maxvit_rmlp_pico_rw_256": (timm_model("maxvit_rmlp_pico_rw_256", img_size=64), 64),
    "coatnet_nano_rw_224": (timm_model("coatnet_nano_rw_224", img_size=64), 64),
    "levit_128s": (timm_model("levit_128s", img_size=128), 128),
    "efficientnet_b0": (timm_model("efficientnet_b0"), 64),
    "mobilenetv3_small_050": (timm_model("mobilenetv3_small_050"), 64),
    "regnety_002": (timm_model("regnety_002"), 64),
    "densenet121": (timm_model("densenet121"), 64),
    "vgg11": (timm_model("vgg11"), 64),
    "torchvision:resnet18": (torchvision_model("resnet18"), 64),
    "torchvision:vit_b_16": (torchvision_vit, 64),
    "torchvision:swin_v2_t": (torchvision_model("swin_v2_t"), 64),
    "hf:ViT": (transformers_model("ViT", 16, 64), 64),
    "hf:DINOv2": (transformers_model("Dinov2", 14, 56), 56),
}


HEAD = """# Architectures: what runs on which

The analyses on {models} architectures with random weights, as `python tools/architectures.py` ran
them: {n} images of noise in batches of {batch} (`receptive-field` 4, `maps` and `features` 1),
of as many pixels along each side as the second column says. Models are smaller than those of their
names: transformers have 4 blocks, or 2 in a stage, where that can be chosen. A tick has its
seconds, on a machine that did other things meanwhile. A number is why an analysis does not apply,
as the one line that the command says; lines that differ in names and numbers only stand once.
`head-subsets` compares with `resnet20`, `finetuning` with the same weights and a tenth of noise.
`probe`, `compare` and other measures read the activations that `cka` reads; `paper` leaves out what
a model does not allow.
"""


def fine_tuned(model: nn.Module) -> nn.Module:
    """The same model with weights that are a little different."""
    other = copy.deepcopy(model)
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=numbers)
            parameter += 0.1 * noise * parameter.std(unbiased=False)
    return other


# Command -> its function in vitprobe, and the call: function, {label: model}, images -> results.
Call = Callable[[Callable, dict[str, nn.Module], Tensor], Any]
ANALYSES: dict[str, tuple[str, Call]] = {
    "cka": ("cka", lambda f, m, x: f(m, data=x, batch_size=BATCH)),
    "attention": ("attention", lambda f, m, x: f(m, x, batch_size=BATCH)),
    "maps": ("maps", lambda f, m, x: f(m, x[:1])),
    "head-subsets": (
        "head_subsets",
        lambda f, m, x: f(m, vitprobe.load_model("resnet20"), x, batch_size=BATCH),
    ),
    "skips": ("skips", lambda f, m, x: f(m, x, batch_size=BATCH)),
    "receptive-field": ("receptive_field", lambda f, m, x: f(m, x[:4], batch_size=4)),
    "localization": ("localization", lambda f, m, x: f(m, x, batch_size=BATCH)),
    "features": ("features", lambda f, m, x: f(m, x[:1])),
    "finetuning": (
        "finetuning",
        lambda f, m, x: f([m, {"after": fine_tuned(next(iter(m.values())))}], x, batch_size=BATCH),
    ),
    "dominant": ("dominant", lambda f, m, x: f(m, x, batch_size=BATCH)),
}


@dataclass
class Cell:
    """What became of one analysis of one architecture: "ran", "refused" or "failed"."""

    state: str
    seconds: float
    reason: str = ""


class Reasons:
    """Reasons with their numbers, in the order in which they first came. Those that differ in names
    of layers and in numbers only are one, in the words of the first."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def number(self, reason: str) -> int:
        kind = re.sub(r"\w+(\.\w+)+|\d+", "", reason)
        self.found.setdefault(kind, reason)
        return list(self.found).index(kind) + 1

    def __iter__(self) -> Iterator[str]:
        return iter(self.found.values())


def main(words: list[str] | None = None) -> dict[tuple[str, str], Cell]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="architectures, with commas (all)")
    parser.add_argument("--analyses", help="analyses, with commas (all)")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one cell")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "architectures.md")
    parser.add_argument("--list", action="store_true", help="print names, and go")
    asked = parser.parse_args(words)
    models = _chosen(parser, asked.only, ARCHITECTURES)
    calls = _chosen(parser, asked.analyses, ANALYSES)
    if asked.list:
        print("\n".join([*models, "", *calls]))
        return {}
    for analysis in [name for name in calls if not hasattr(vitprobe, calls[name][0])]:
        print(f"{analysis}: vitprobe {version('vitprobe')} has none; left out", flush=True)
        del calls[analysis]
    for analysis in readers() - {name.replace("-", "_") for name in ANALYSES}:
        print(f"{analysis}: has a reader, and no call in ANALYSES of this file", flush=True)
    started = time.perf_counter()
    cells = {}
    for name, (make, size) in models.items():
        torch.manual_seed(0)
        model = make().eval()
        images = torch.randn(EXAMPLES, 3, size, size)
        for analysis in calls:
            cell = run(analysis, name, model, images, asked.limit)
            cells[name, analysis] = cell
            said = f"{name}, {analysis}: {cell.state} after {cell.seconds:.1f} s"
            print(": ".join(filter(None, (said, cell.reason))), flush=True)
    asked.output.write_text(page(cells, models, list(calls)))
    print(f"{asked.output}: {time.perf_counter() - started:.0f} s", flush=True)
    return cells


def _chosen(parser: argparse.ArgumentParser, words: str | None, known: dict) -> dict:
    names = list(known) if words is None else words.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no {unknown[0]}: there are {', '.join(known)}")
    return {name: known[name] for name in names}


#: They read the activations that cka reads, or leave out what a model does not allow.
NO_COLUMN = {"compare", "measures", "paper", "probe"}


def readers() -> set[str]:
    """The names of all analyses that are readers of a pass."""
    package = import_module("vitprobe.analyses")
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    modules = [import_module(f"vitprobe.analyses.{name}") for name in names]
    return {module.READER.analysis for module in modules if hasattr(module, "READER")}


def run(analysis: str, name: str, model: nn.Module, images: Tensor, limit: float) -> Cell:
    """One analysis of one model."""
    function, call = ANALYSES[analysis]
    started = time.perf_counter()
    state, reason = "ran", ""
    try:
        with within(limit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = call(getattr(vitprobe, function), {name: model}, images)
        if not any(finite(result) for result in _listed(results)):
            state, reason = "failed", "it has no value that is a number, and does not say why"
    except InputError as error:
        state, reason = "refused", str(error)
    except TimeoutError:
        state, reason = "failed", f"stopped after {limit:g} s"
    except Exception as error:  # what is not refused in a line is a fault, and is shown
        line = (str(error).strip().splitlines() or [""])[0]
        state, reason = "failed", f"{type(error).__name__}: {line}"
    reason = reason.replace(name, "the model")
    return Cell(state, time.perf_counter() - started, " ".join(reason.split()))


@contextmanager
def within(seconds: float):
    """Raises TimeoutError where it takes longer; between two operations of Python."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _listed(results: Any) -> list:
    return list(results) if isinstance(results, list | tuple) else [results]


def finite(result) -> bool:
    """Whether any number of a result is one."""
    numbers = (each.values for each in result.data_vars.values() if each.dtype.kind == "f")
    return any(np.isfinite(values).any() for values in numbers)


def page(cells: dict[tuple[str, str], Cell], models: dict[str, tuple], analyses: list[str]) -> str:
    """The page of docs/."""
    refused, failed = Reasons(), Reasons()
    rows = []
    for name in models:
        shown = []
        for analysis in analyses:
            cell = cells[name, analysis]
            if cell.state == "ran":
                shown.append(f"✓ {cell.seconds:.1f} s")
            elif cell.state == "refused":
                shown.append(f"({refused.number(cell.reason)})")
            else:
                shown.append(f"fails (F{failed.number(cell.reason)})")
        rows.append(f"| `{name}` | {models[name][1]} | {' | '.join(shown)} |")
    ran = {a: sum(cells[name, a].state == "ran" for name in models) for a in analyses}
    counts = " | ".join(f"{ran[a]} of {len(models)}" for a in analyses)
    links = [f"[{a}]({a}.md)" if (ROOT / "docs" / f"{a}.md").exists() else a for a in analyses]
    lines = [
        HEAD.format(models=len(models), n=EXAMPLES, batch=BATCH),
        f"| model | px | {' | '.join(links)} |",
        f"|---|---|{'---|' * len(analyses)}",
        *rows,
        f"| runs on | | {counts} |",
        "",
        *(f"- ({number}) {_escaped(text)}" for number, text in enumerate(refused, 1)),
    ]
    if failed.found:
        lines += ["", "What fails, though it should run or say why not:", ""]
        lines += [f"- (F{number}) {_escaped(text)}" for number, text in enumerate(failed, 1)]
    torch_version = version("torch").split("+")[0]
    lines += ["", f"With timm {version('timm')} and torch {torch_version}, on a CPU.", ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """As it is, in Markdown."""
    return re.sub(r"([*_<>|`\[\]])", r"\\\1", text)


if __name__ == "__main__":
    main()
