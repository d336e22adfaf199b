"""End to end: CKA of all sites of two models against their forward passes alone, and pytorch-cka.

T, F and P are seconds of one batch: the difference between a run over many batches and one over
few, divided by the difference in batches, so that the survey and other work done once drop out.
"""

import importlib.util
import statistics
import time
import warnings
from contextlib import ExitStack

import torch

from on_gpu.kernels import need_kernels, using
from on_gpu.names import kernel_sets
from on_gpu.section import Section


class Pair:
    """Two models, random weights, and batches of images on the device."""

    def __init__(self, names: tuple[str, str], size: int, batch: int, batches: int, device: str):
        import timm

        torch.manual_seed(0)
        options = [{"img_size": size} if "vit" in name else {} for name in names]
        self.models = [
            timm.create_model(name, **extra).eval().to(device)
            for name, extra in zip(names, options, strict=True)
        ]
        self.images = torch.randn(batches * batch, 3, size, size, device=device)
        self.batch, self.device = batch, device

    def autocast(self):
        return torch.autocast(self.device, torch.bfloat16)

    def part(self, batches: int) -> torch.Tensor:
        return self.images[: batches * self.batch]

    def forward(self, batches: int) -> None:
        """The bare forward passes."""
        with torch.no_grad(), self.autocast():
            for images in self.part(batches).split(self.batch):
                for model in self.models:
                    model(images)

    def ours(self, batches: int):
        """The Dataset of the pair."""
        from vitprobe.analyses.cka_reader import CKAReader
        from vitprobe.input_options import InputOptions
        from vitprobe.passes.inputs import prepare
        from vitprobe.passes.run import run

        options = InputOptions(batch_size=self.batch, device=self.device, precision="bf16")
        return run(prepare(self.models, self.part(batches), options), [CKAReader()])[0][0]

    def peer(self, batches: int, layers: list[list[str]]) -> None:
        """pytorch-cka over the same layers."""
        from cka import compute_cka
        from torch.utils.data import DataLoader

        loader = DataLoader(list(self.part(batches).split(self.batch)), batch_size=None)
        with self.autocast():
            compute_cka(
                *self.models,
                loader,
                layers=layers[0],
                model2_layers=layers[1],
                device=self.device,
                progress=False,
            )

    def peer_layers(self) -> list[list[str]]:
        """The modules that give a tensor; pytorch-cka stops at any other."""
        return [_firing(model, self.images[:4], self.autocast()) for model in self.models]


def _firing(model, images, autocast) -> list[str]:
    fired = []
    handles = [
        module.register_forward_hook(
            lambda _, __, out, name=name: fired.append(name) if torch.is_tensor(out) else None
        )
        for name, module in model.named_modules()
        if name
    ]
    with torch.no_grad(), autocast:
        model(images)
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys(fired))


def work(section: Section) -> None:
    """Rows {"way", "seconds_per_batch", "low", "high", "seconds_few", "peak_mib"}."""
    from vitprobe.passes.schedule import ENVIRONMENT, SCHEDULES

    need_kernels(section.device)
    warnings.simplefilter("ignore")
    if section.dry_run:
        pair = Pair(("test_resnet", "test_vit"), 32, 8, 3, "cpu")
        few, many = 1, 3
    else:
        pair = Pair(("resnet50", "vit_base_patch16_224"), 224, 256, 6, "cuda")
        few, many = 2, 6
    section.note(batch=pair.batch, batches=[few, many], image=list(pair.images.shape[1:]))

    ways = {"forward": pair.forward}
    for name, environment in kernel_sets().items():
        ways[f"vitprobe {name}"] = with_all(environment, pair.ours)
    for schedule in SCHEDULES:  # with the last kernels, by default inline
        if schedule != "inline":
            chosen = environment | {ENVIRONMENT: schedule}
            ways[f"vitprobe {name}, {schedule}"] = with_all(chosen, pair.ours)
    measure_batches(section, ways, few, many)

    if importlib.util.find_spec("cka") is None:
        section.note(pytorch_cka="not installed")
        return
    for model in pair.models:  # it compares tensors after they were overwritten
        for module in model.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
    layers = pair.peer_layers()
    section.note(pytorch_cka="in-place operations switched off for it and for its forward pass")
    ways = {
        "forward, not in place": pair.forward,
        "pytorch-cka": lambda batches: pair.peer(batches, layers),
    }
    measure_batches(section, ways, few, many)


def with_all(environment: dict[str, str], function):
    def call(batches: int):
        with ExitStack() as stack:
            for variable, kernel in environment.items():
                stack.enter_context(using(variable, kernel))
            return function(batches)

    return call


def measure_batches(section: Section, ways: dict, few: int, many: int) -> None:
    """In turns; a way that fails, or for which there is no time, gets a row that says so."""
    rounds = 1 if section.dry_run else 3
    seconds = {name: {few: [], many: []} for name in ways}
    extra, failed = {}, {}
    for turn in range(rounds + 1):  # the first turn warms up
        for name, way in ways.items():
            spent = [span for spans in seconds[name].values() for span in spans]
            if name in failed or (turn and section.time_left() < 3 + 2 * max(spent, default=0)):
                continue
            try:
                if turn == 0:
                    extra[name] = _first(section, way, few)
                    continue
                for batches in (few, many):
                    seconds[name][batches].append(_timed(section, way, batches))
            except Exception as error:  # out of memory, a peer's own trouble: the others go on
                failed[name] = f"{type(error).__name__}: {error}"[:300]
    for name, runs in seconds.items():
        if name in failed:
            section.add(way=name, failed=failed[name])
        elif not runs[many]:
            section.add(way=name, failed="no time left", **extra.get(name, {}))
        else:
            section.add(way=name, **_row(runs, few, many), **extra[name])


def _row(runs: dict[int, list[float]], few: int, many: int) -> dict:
    each = [(b - a) / (many - few) for a, b in zip(runs[few], runs[many], strict=True)]
    return {
        "seconds_per_batch": statistics.median(each),
        "low": min(each),
        "high": max(each),
        "rounds": len(each),
        "seconds_few": statistics.median(runs[few]),  # the survey and other first work included
    }


def _timed(section: Section, way, batches: int) -> float:
    begin = time.perf_counter()
    way(batches)
    if section.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _first(section: Section, way, batches: int) -> dict:
    """Warms up; memory above what was held before, and what the result says of itself."""
    cuda = section.device == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    result = way(batches)
    found = {}
    if cuda:
        torch.cuda.synchronize()
        found["peak_mib"] = round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)
    if hasattr(result, "sizes"):
        values = result["cka" if "cka" in result else "distance"]
        found["sites"] = [values.sizes[dim] for dim in values.dims]
        found["blanks"] = int(values.isnull().sum())
        found["parts"] = {
            key: value for key, value in result.attrs.items() if key.startswith("seconds_")
        }
    return found
