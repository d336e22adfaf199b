"""`python -m vitprobe` is the command `vitprobe`."""

from vitprobe.cli import main

main()
