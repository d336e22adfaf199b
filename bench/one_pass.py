"""What one pass saves: analyses together, a forward that ends early, processes that share batches.

    python bench/one_pass.py                   all three, one thread, in turns in this process
    python bench/one_pass.py together | early | processes

together: CKA of all layers and attention of vit_tiny_patch16_224 (32 px, patch 4), 2 batches of
128 images, in one pass and in two. early: CKA of the first stage of ResNet-18, the bare forward of
that stage, and of all of it. processes: the CKA of `together` on 8 batches, in one process and in
two (gloo), one thread each, from the first batch's reading to the result in all.
"""

import json
import os
import socket
import sys
import time
import warnings

import torch
from end_to_end import BATCH, BATCHES, images, models
from interleave import interleave, quartiles

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run

ROUNDS = 5


def passed(model: torch.nn.Module, readers: list, data: torch.Tensor) -> None:
    """One pass."""
    run(prepare([model], data, InputOptions(batch_size=BATCH)), readers)


def together() -> dict[str, list[float]]:
    """Seconds of one pass with both readers, and of a pass for each."""
    vit, data = models()[1], images()
    return interleave(
        {
            "cka": lambda: passed(vit, [CKAReader()], data),
            "attention": lambda: passed(vit, [AttentionReader()], data),
            "both in one pass": lambda: passed(vit, [CKAReader(), AttentionReader()], data),
        },
        ROUNDS,
    )


def early() -> dict[str, list[float]]:
    """Seconds of the CKA of the first stage, and of bare forwards."""
    resnet, data = models()[0], images()
    stem = torch.nn.Sequential(
        *list(resnet.children())[: list(dict(resnet.named_children())).index("layer1") + 1]
    )

    def forward(model: torch.nn.Module) -> None:
        with torch.no_grad():
            for part in data.split(BATCH):
                model(part)

    return interleave(
        {
            "forward of the first stage": lambda: forward(stem),
            "cka of the first stage": lambda: passed(resnet, [CKAReader("layer1.*")], data),
            "whole forward": lambda: forward(resnet),
            "cka of all stages": lambda: passed(resnet, [CKAReader("layer?.*")], data),
        },
        ROUNDS,
    )


def processes() -> dict[str, list[float]]:
    """Seconds of one process and of two, each from the first batch to the results of all."""
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for count in (1, 2):
            seconds.setdefault(f"{count} of one thread", []).append(_in_processes(count))
    return seconds


def _in_processes(count: int) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    members = [
        context.Process(target=_member, args=(rank, count, port, results)) for rank in range(count)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join()
    return max(results.get() for _ in members)


def _member(rank: int, count: int, port: int, results) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if count > 1:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    vit, data = models()[1], images(8 * BATCH)
    passed(vit, [CKAReader()], images(2 * BATCH))  # what is imported counts for no one
    begin = time.perf_counter()
    passed(vit, [CKAReader()], data)
    results.put(time.perf_counter() - begin)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="vitprobe")
    torch.set_num_threads(1)
    sections = {"together": together, "early": early, "processes": processes}
    asked = sys.argv[1:] or list(sections)
    told = {name: sections[name]() for name in asked}
    table = {
        name: {way: quartiles(each) for way, each in found.items()} for name, found in told.items()
    }
    print(json.dumps(table | {"batches": BATCHES, "batch": BATCH}, indent=1))
