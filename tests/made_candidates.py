"""Stand-ins for kernels, on the CPU: right, wrong, slow, and such as end their process."""

import os
import time

import torch

from vitprobe.ops.proof.question import Case
from vitprobe.ops.tolerance import limit, relative_error


def cases(kind, device):
    """Doubling: two small inputs, and one of each of two size classes."""
    for numbers, size in ((1, ""), (5, ""), (8, "small"), (1000, "large")):
        x = torch.arange(1.0, numbers + 1, device=device)

        def error(value, x=x):
            return relative_error(value, 2 * x.double())

        yield Case(f"{numbers} numbers", lambda x=x: (x,), error, limit(kind), size)


def counted_cases(kind, device):
    """Also notes the process that asks for them, in the file that the kind names."""
    with open(kind, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.3)
    return cases("f32", device)


def no_cases(kind, device):
    raise OSError("no inputs")


def right(x):
    return 2 * x


def fast(x):
    return x + x


def slow(x):
    time.sleep(0.01)
    return 2 * x


def fast_for_few(x):
    return 2 * x if len(x) < 100 else slow(x)


def nearly(x):
    return 2 * x * (1 + 1e-6)


def wrong(x):
    return 2.001 * x


def wrong_at_the_end(x):
    y = 2 * x
    y[-1] += 1 if len(x) == 5 else 0
    return y


def not_written(x):
    return torch.full_like(x, torch.nan)


def raises(x):
    raise RuntimeError("no kernel image\nwhatever")


def out_of_memory(x):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def aborts(x):
    print("about to abort", flush=True)
    os.abort()


def segfaults(x):
    import ctypes

    ctypes.string_at(0)


def exits(x):
    os._exit(3)


def hangs(x):
    time.sleep(60)


_calls = 0


def dies_when_timed(x):
    global _calls
    _calls += 1
    return 2 * x if _calls <= 5 else os.abort()


def said(x):
    """Prints between the results, as libraries do, also what looks like one."""
    print('{"oh": no', end="", flush=True)
    os.write(2, b'[1, 2]\n7\n{"checked"}')
    return 2 * x


def in_a_good_fork(x):
    assert not torch.cuda._is_in_bad_fork()
    return 2 * x
