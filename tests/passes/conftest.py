"""A small ViT, images, and passes over them that save as they go."""

from pathlib import Path

import pytest
from pass_work import images, vit

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run


@pytest.fixture
def path(tmp_path) -> Path:
    """Of a partial."""
    return tmp_path / "x.partial"


@pytest.fixture
def go(path):
    """go(...) -> the Datasets of a pass of CKA over 40 images in 10 batches, saved after each.

    model, data: others than these. reader: another than CKA of all sites. keeper: another that
    saves. told, tolerance: as of `run`. The rest: as of InputOptions.
    """

    def one(model=None, data=None, reader=None, keeper=None, told=None, tolerance=None, **how):
        data = images(40) if data is None else data
        inputs = prepare([model or vit()], data, InputOptions(**{"batch_size": 4} | how))
        keeper = keeper or Keeper(path, every=1e-9, resume=True)
        return sum(run(inputs, [reader or CKAReader()], told, keeper, tolerance), [])

    return one


@pytest.fixture
def stop_after():
    """stop_after(n, end) -> what a pass tells of itself; calls `end()` after the n-th batch."""
    from vitprobe.passes.progress import Progress

    class After(Progress):
        def __init__(self, n, end):
            self.left, self.end = n, end

        def advance(self, done, error=None):
            self.left -= 1
            if self.left == 0:
                self.end()

    return After
