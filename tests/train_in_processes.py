"""A few runs in each process of torchrun; the first process writes what came of them.

    torchrun --nproc-per-node 2 train_in_processes.py FOLDER RUNS.json

RUNS: a list of [name, options, die_at]; the results of each are in FOLDER/NAME. die_at: the step of
the run at which the first process kills itself; null: none.
"""

import json
import os
import signal
import sys
from pathlib import Path

from vitprobe.training import loop, train


def main() -> None:
    folder, runs = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    loop.SAVING_SHARE = 1.0  # saves as often as save_every says
    step = loop.Loop.train_step
    for name, options, die_at in runs:

        def killed(self, batch, die_at=die_at):
            if self.processes.first and self.epoch * self.feed.steps + self.step == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch)

        loop.Loop.train_step = killed
        train(output=str(folder / name), model_name="run", device="cpu", **options)


if __name__ == "__main__":
    main()
