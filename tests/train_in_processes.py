"""What each process of a gang trains; the first one writes what came of it."""

import os
import signal
import sys

import forked

from vitprobe import cli
from vitprobe.training import loop, train


def trained(folder, runs):
    """Each of `runs`, (name, options, die_at), with its results in FOLDER/NAME. die_at: the step of
    the run at which the first process kills itself; None: none."""
    loop.SAVING_SHARE = 1.0  # saves as often as save_every says
    step = loop.Loop.train_step
    for name, options, die_at in runs:

        def killed(self, batch, die_at=die_at):
            if self.processes.first and self.epoch * self.feed.steps + self.step == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch)

        loop.Loop.train_step = killed
        train(output=str(folder / name), model_name="run", device="cpu", **options)


def command(folder, *words):
    """`vitprobe WORDS`; what it says is in FOLDER/out.RANK and FOLDER/err.RANK."""
    forked.redirect(*(folder / f"{name}.{os.environ['RANK']}" for name in ("out", "err")))
    sys.argv = ["vitprobe", *map(str, words)]
    cli.main()
