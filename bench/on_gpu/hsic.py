"""`hsic_accumulate_` by each kernel, against products in float32 and float64."""

import torch

from on_gpu import rivals
from on_gpu.clock import input_sets, measure
from on_gpu.kernels import need_kernels, products
from on_gpu.section import Section

MATMUL = "a @ b.T"
# One model against another (a, b apart), and all sites of two models (one matrix).
CASES = [(la, lb, n) for la, lb in ((330, 330), (67, 263), (1000, 1000)) for n in (256, 128, 64)]
DRY_CASES = [(5, 5, 8), (3, 7, 8)]


def work(section: Section) -> None:
    """A row for each case: bytes, flop, ways, errors."""
    need_kernels(section.device)
    rivals.full_precision()
    cases = DRY_CASES if section.dry_run else CASES
    for k, (la, lb, n) in enumerate(cases):
        if section.time_left() < 1:
            section.note(left_out=f"no time left for {la} x {lb}, n = {n} and what follows")
            return
        seconds = min(1.5, section.time_left() / (len(cases) - k) / 2)
        _case(section, la, lb, n, 0.02 if section.dry_run else seconds)


def _case(section: Section, la: int, lb: int, n: int, seconds: float) -> None:
    same, device = la == lb, section.device
    m = n * (n - 1) // 2
    bytes_each = (lb if same else la + lb) * m * 4
    sets = input_sets(bytes_each, device)
    b = [torch.randn(lb, m, device=device) for _ in range(sets)]
    a = b if same else [torch.randn(la, m, device=device) for _ in range(sets)]
    acc = torch.zeros(la, lb, dtype=torch.float64, device=device)

    def in_float64(i):
        return acc.addmm_(a[i].double(), b[i].double().T)

    ways = {name: (lambda i, f=f: f(acc, a[i], b[i])) for name, f in products().items()}
    ways[MATMUL] = lambda i: a[i] @ b[i].T  # one sum in float32: less than what is asked
    ways["acc += a @ b.T"] = lambda i: acc.add_(a[i] @ b[i].T)
    ways["float64"] = in_float64

    expected = a[0].double() @ b[0].double().T
    errors = {MATMUL: rivals.relative_error(a[0] @ b[0].T, expected)}
    for name, function in products().items():
        result = function(torch.zeros_like(acc), a[0], b[0])
        errors[name] = rivals.relative_error(result, expected)
    section.add(
        la=la,
        lb=lb,
        n=n,
        m=m,
        same=same,
        input_sets=sets,
        bytes=bytes_each + la * lb * 16,  # acc read and written
        flop=la * (la + 1) * m if same else 2 * la * lb * m,
        ways=measure(ways, sets, seconds, device),
        errors=errors,
    )
