"""One step of `vitprobe train`, and of the bare loop that a script would have."""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from vitprobe.passes.processes import Processes
from vitprobe.training.files import RunFiles
from vitprobe.training.loop import Loop, autocast
from vitprobe.training.optimize import new_optimizer
from vitprobe.training.parts import open_parts
from vitprobe.training.report import Report
from vitprobe.training.resolve import resolve
from vitprobe.training.train import new_loop
from vitprobe.training.trainee import new_trainee


def ways(folder: str, count: int = 1, **options) -> dict[str, Callable[[], None]]:
    """`bare`: forward, backward, step on images that are there already. `vitprobe`: the loop, with
    its batches drawn and augmented, its records and its timed checkpoints.

    Each call does `count` steps and, on a GPU, waits for them. Both train a model of their own
    from the same weights; options are those of `vitprobe train`.
    """
    options = {"device": "cpu", "output": folder} | options
    steps = endless(built(options))
    each = {"bare": bare_step(options), "vitprobe": lambda: next(steps)}
    return {name: repeated(step, count, options["device"]) for name, step in each.items()}


def repeated(step: Callable[[], object], count: int, device: str) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            step()
        if device != "cpu":
            torch.cuda.synchronize()

    return run


def built(options: dict) -> Loop:
    settings = resolve("scratch", options)
    device, files = torch.device(settings.device), RunFiles(settings.output, settings.model_name)
    files.check_writable()
    parts = open_parts(settings)
    trainee = new_trainee(settings, parts.train.data, device)
    return new_loop(settings, parts, trainee, files, device, Processes(), Report(False), "")


def endless(loop: Loop) -> Iterator[int]:
    """Full batches only: the last of an epoch is shorter."""
    while True:
        for step in loop.steps():
            if step < loop.feed.steps:
                yield step
        loop.epoch, loop.step = loop.epoch + 1, 0


def bare_step(options: dict) -> Callable[[], None]:
    loop = built(options)
    model, settings = loop.model, loop.settings
    optimizer = new_optimizer(model, settings)
    batch = next(loop.feed.epoch(0))
    images, labels = batch.images, batch.targets
    model.train()

    def step() -> None:
        with autocast(images.device, settings):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
