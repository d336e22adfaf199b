"""The command that runs, to be typed again."""

import shlex
import sys

from vitprobe.text import printable


def typed() -> str:
    """`vitprobe cka --models vit@digits,resnet20@digits`, however this process was started."""
    return printable(shlex.join(["vitprobe", *sys.argv[1:]]), None)
