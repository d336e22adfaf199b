"""The two ceilings of this GPU: copy bandwidth, and what its matrix unit does on random data."""

import torch

from on_gpu import rivals
from on_gpu.clock import Way, measure
from on_gpu.section import Section


def work(section: Section) -> None:
    """Rows {"what": "copy", "bytes"} and {"what": "matmul ...", "flop"}, with times."""
    rivals.full_precision()
    dry, device = section.dry_run, section.device
    seconds = 0.02 if dry else 1.0
    size = 2**20 if dry else min(2**32, torch.cuda.mem_get_info()[0] // 8 // 16 * 16)  # bytes
    section.add(what="copy", bytes=2 * size, **_time(_copy(size, device), seconds, device))
    side = 64 if dry else 8192
    for name in ("bf16", "f32", "tf32"):
        product = _product(name, side, device)
        section.add(what=f"matmul {name}", flop=2 * side**3, **_time(product, seconds, device))


def _time(way: Way, seconds: float, device: str) -> dict:
    return measure({"": way}, 2, seconds, device)[""]


def _copy(size: int, device: str) -> Way:
    source = torch.randn(2, size // 4, device=device)
    target = torch.empty_like(source[0])
    return lambda i: target.copy_(source[i])


def _product(name: str, side: int, device: str) -> Way:
    kind = torch.bfloat16 if name == "bf16" else torch.float32
    pair = torch.randn(2, side, side, device=device).to(kind)

    def in_tf32(i):
        with rivals.tf32():
            return pair[i] @ pair[1 - i]

    return in_tf32 if name == "tf32" else lambda i: pair[i] @ pair[1 - i]
