"""Several processes as torchrun starts them, forked from one that has imported everything."""

import os
import pickle
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import forked


def gang(count, work, *args, timeout=180, patience=10):
    """What `work(*args)` gives in each of `count` processes: (exit code, value or None) by rank.

    When one has failed or was killed, the others have `patience` seconds to end by themselves.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(rank) for rank in range(count)]
        members = [
            forked.start(_member, rank, count, port, place, work, args)
            for rank, place in enumerate(places)
        ]
        for member in members:
            member.join(timeout)
            if member.exitcode != 0:
                timeout = min(timeout, patience)
        for member in members:
            if member.is_alive():
                member.kill()
                member.join()
        return [
            (member.exitcode, pickle.loads(place.read_bytes()) if place.exists() else None)
            for member, place in zip(members, places, strict=True)
        ]


def _member(rank, count, port, place, work, args):
    import torch

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    value = work(*args)
    with suppress(Exception):
        torch.distributed.destroy_process_group()
    place.write_bytes(pickle.dumps(value))
