"""What the processes of a gang do: a pass of two readers over made images."""

import os
import signal
import warnings
from pathlib import Path

import timm
import torch

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.errors import InputError, Stopped
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run

BATCH = 4


def vit():
    torch.manual_seed(0)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.models.VisionTransformer(**sizes, num_classes=5).eval()


def images(count):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Killer(AttentionReader):
    """Sends the signal to this process in the middle of one of its batches (1: the first)."""

    def __init__(self, at, number):
        super().__init__()
        self.at, self.number = at, number

    def finish(self):
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), self.number)
        super().finish()


def results(count, path=None, at=(), number=signal.SIGKILL, tolerance=None, every=1e-6):
    """The Datasets of both readers; or the words of what stopped it.

    path: of the partial, gone on from where it is there. at: by rank, the batch of its own in which
    the signal comes; 0: none.
    """
    warnings.simplefilter("ignore")
    rank = int(os.environ.get("RANK", "0"))
    keeper = Keeper(path and Path(path), every=every, resume=True)
    inputs = prepare([vit()], images(count), InputOptions(batch_size=BATCH))
    try:
        readers = [CKAReader("all"), Killer(at[rank] if rank < len(at) else 0, number)]
        found = run(inputs, readers, keeper=keeper, tolerance=tolerance)
        return [each[0] for each in found]
    except Stopped as stop:
        return f"{stop.word}; {stop.left}"
    except KeyboardInterrupt:
        return "interrupted"
    except InputError as error:
        return str(error)


class Recorded(Progress):
    """What it is told: ahead; done, a list of counts; errors, where the sums of all are at hand."""

    def __init__(self):
        self.ahead, self.done, self.errors = None, [], []

    def begin(self, inputs, readers, ahead):
        self.ahead = ahead

    def advance(self, done, error=None):
        self.done.append(done)
        if error is not None:
            self.errors.append(error())


def recorded(count, path=None, share=None, passes=1):
    """What a run tells of itself, as (ahead, done, errors); what of it is there is gone on with."""
    warnings.simplefilter("ignore")
    told = Recorded()
    keeper = Keeper(path and Path(path), share, every=1e-6, resume=True)
    inputs = prepare([vit()], images(count), InputOptions(batch_size=BATCH), passes=passes)
    run(inputs, [CKAReader("blocks")], told, keeper)
    return told.ahead, told.done, told.errors


def command(folder, *words):
    """(exit code, stdout, stderr) of `vitprobe WORDS` in a folder."""
    import contextlib
    import io

    from vitprobe import cli

    os.chdir(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli._run([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()
