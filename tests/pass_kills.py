"""A run of one reader, in a process of its own, that is killed at one of the things it does."""

import importlib
import os
import signal
import warnings
from pathlib import Path

from pass_work import BATCH, images, vit

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

READERS = {"cka": CKAReader, "attention": AttentionReader}
DONE = (  # before each of these it may be killed
    *("torch.nn.functional.gelu", "vitprobe.passes.partial.write_file"),
    *("safetensors.torch.save", "os.fsync", "os.replace", "os.unlink"),
)


def results(analysis, count, path, kill_at=0):
    """The Datasets of the reader over `count` images, gone on with from `path` where it is there.

    kill_at: the number of the thing done, from 1 on, before which the process ends; its name is
    then in the file `where` beside `path`. 0: it does not end.
    """
    warnings.simplefilter("ignore")
    left = kill_at

    def told(name, function):
        def called(*args, **how):
            nonlocal left
            left -= 1
            if left == 0:
                Path(path).with_name("where").write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **how)

        return called

    reader = READERS[analysis]()
    for name in DONE:
        module, _, function = name.rpartition(".")
        module = importlib.import_module(module)
        setattr(module, function, told(name, getattr(module, function)))
    reader.start, reader.finish = told("start", reader.start), told("finish", reader.finish)
    inputs = prepare([vit()], images(count), InputOptions(batch_size=BATCH))
    return run(inputs, [reader], keeper=Keeper(Path(path), every=1e-6, resume=True))[0]
