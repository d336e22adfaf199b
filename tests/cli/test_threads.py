"""Threads of the command spin for a moment only, unless the environment says otherwise."""

import os
import re
import subprocess
import sys

import pytest

from vitprobe.cli import SPINS, WAITING

COMMAND = """
import os, sys
sys.argv = ["vitprobe", "--version"]
from vitprobe.cli import main
try:
    main()
except SystemExit:
    print({name: os.environ.get(name) for name in %r})
    import torch
"""


def started(**variables):
    """(what stands in the environment then, what OpenMP says of itself when torch is loaded)."""
    env = {name: value for name, value in os.environ.items() if name not in WAITING}
    env |= variables | {"OMP_DISPLAY_ENV": "verbose"}
    command = [sys.executable, "-c", COMMAND % (WAITING,)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_they_spin_for_a_moment():
    said, openmp = started()
    assert f"'GOMP_SPINCOUNT': '{SPINS}', 'OMP_WAIT_POLICY': None" in said
    spins = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", openmp)
    if not spins:
        pytest.skip("torch's OpenMP here is not GNU's")
    assert spins == [SPINS]


@pytest.mark.parametrize(
    "name, value", [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7"), ("KMP_BLOCKTIME", "1")]
)
def test_the_environment_has_the_say(name, value):
    said, _ = started(**{name: value})
    expected = {each: value if each == name else None for each in WAITING}
    assert str(expected) in said
