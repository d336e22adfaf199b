"""Every kernel of csrc/cuda has been executed, once the operators' tests have been."""

from pathlib import Path

import pytest

OPERATORS = ("test_attention.py", "test_gram.py", "test_hsic.py")


def test_every_kernel_was_run(request, built, all_kernels):
    folder = Path(__file__).parent
    files = {folder / name for name in OPERATORS}
    before = request.session.items[: request.session.items.index(request.node)]
    if not files <= {item.path for item in before}:
        pytest.skip("only some of these tests were chosen, or in another order")
    modules = zip(built.ptx, all_kernels.modules, strict=True)  # device/: asked of, never launched
    operators = [module for path, module in modules if not path.startswith("cuda/device/")]
    there = {name for module in operators for name in module.entries}
    run = {name for name, _ in all_kernels.device.launches}
    assert len(there) > 50 and sorted(there - run) == []
