"""What it costs that nothing is lost: seconds of one save of a run's sums, beside a run of 60 s.

    python bench/saving.py [ROUNDS]

CKA of every layer of vit x resnet18 with every other, as `vitprobe cka --models vit,resnet18` has
them. What is saved does not grow with the examples, so one save says it all.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

from interleave import quartiles
from machine import machine, machine_line

from vitprobe import CKAReader
from vitprobe.input_options import SAVE_EVERY, InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

MODELS, EXAMPLES = ("vit", "resnet18"), 64
MOST = 0.005  # of a run's time


class Timed(Keeper):
    """Takes the time of every save."""

    def __init__(self, path: Path, every: float):
        super().__init__(path, every=every)
        self.seconds: list[float] = []

    def save(self, sums) -> None:
        begin = time.perf_counter()
        super().save(sums)
        self.seconds.append(time.perf_counter() - begin)


def saves(rounds: int) -> tuple[list[float], int, int]:
    """Seconds of saves that bring all to the disk; bytes of the file; layers."""
    warnings.filterwarnings("ignore", module="vitprobe")
    with tempfile.TemporaryDirectory(dir=".") as folder:  # not in memory, as /tmp may be
        keeper = Timed(Path(folder) / "run.partial", every=1e-9)
        images = prepare(MODELS, "digits", InputOptions(examples=EXAMPLES, batch_size=8))
        reader = CKAReader()
        while len(keeper.seconds) < rounds:
            run(images, [reader], keeper=keeper)
        layers = sum(map(len, reader.about["rows"]))
        return keeper.seconds, keeper.path.stat().st_size, layers


def main() -> int:
    seconds, size, layers = saves(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
    low, middle, high = quartiles(seconds)
    share = [value / SAVE_EVERY for value in (low, middle, high)]
    print(machine_line(machine()))
    print(f"{' x '.join(MODELS)}: {layers} layers, {size / 1e6:.2f} MB, {len(seconds)} saves")
    print(f"one save: {middle * 1e3:.1f} ms ({low * 1e3:.1f}-{high * 1e3:.1f})")
    low, middle, high = (f"{each:.3%}" for each in share)
    print(f"every {SAVE_EVERY:g} s: {middle} ({low}-{high}), at most {MOST:.1%}")
    return int(share[1] > MOST)


if __name__ == "__main__":
    sys.exit(main())
