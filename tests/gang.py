"""Several processes as torchrun starts them, forked from one that has imported everything."""

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["vitprobe.passes.run", "pass_work"])


def gang(count, work, *args, timeout=180):
    """What `work(*args)` gives in each of `count` processes: (exit code, value or None) by rank.

    When one was killed, the others have ten seconds to end by themselves.
    """
    _serve()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(rank) for rank in range(count)]
        members = [
            _CONTEXT.Process(target=_member, args=(rank, count, port, place, work, args))
            for rank, place in enumerate(places)
        ]
        for member in members:
            member.start()
        for member in members:
            member.join(timeout)
            if member.exitcode != 0:
                timeout = min(timeout, 10)
        for member in members:
            if member.is_alive():
                member.kill()
                member.join()
        return [
            (member.exitcode, pickle.loads(place.read_bytes()) if place.exists() else None)
            for member, place in zip(members, places, strict=True)
        ]


def _serve():
    """Start the process that is forked, once, with what this one imports: in a checkout it would
    take the vitprobe that lies there, perhaps without its kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.chdir(Path(__file__).parent)
        forkserver.ensure_running()


def _member(rank, count, port, place, work, args):
    import torch

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    value = work(*args)
    with suppress(Exception):
        torch.distributed.destroy_process_group()
    place.write_bytes(pickle.dumps(value))
