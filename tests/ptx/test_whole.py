"""Every kernel of csrc/cuda has been executed, once the other tests of this folder have been."""

from pathlib import Path

import pytest


def test_every_kernel_was_run(request, built, all_kernels):
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    items = request.session.items
    if not files <= {item.path.name for item in items} or items[-1] is not request.node:
        here = [item for item in items if item.path.parent == Path(__file__).parent]
        if not files <= {item.path.name for item in here} or here[-1] is not request.node:
            pytest.skip("only some of these tests were chosen, or in another order")
    modules = zip(built.ptx, all_kernels.modules, strict=True)  # device/: asked of, never launched
    operators = [module for path, module in modules if not path.startswith("cuda/device/")]
    there = {name for module in operators for name in module.entries}
    run = {name for name, _ in all_kernels.device.launches}
    assert len(there) > 50 and sorted(there - run) == []
