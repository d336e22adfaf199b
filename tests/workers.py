"""The whole suite in several processes, one a core: what is built once is built in one of them."""

import os
from collections import Counter
from pathlib import Path

# What uses the same builds, or the GPU, runs in the same process; the longest first, so that all
# end together.
TOGETHER = {
    "tests/csrc/test_device.py": "kernels without torch",
    "tests/csrc/test_ptxas.py": "kernels without torch",
    "tests/ptx/test_attention.py": "kernels in the interpreter",
    "tests/ptx/test_gram.py": "kernels in the interpreter",
    "tests/ptx/test_hsic.py": "kernels in the interpreter",
    "tests/ptx/test_whole.py": "kernels in the interpreter",
    "tests/csrc/": "kernels on the host",
    "tests/figures/": "figures",
    "tests/ops/test_cuda": "one GPU",
    "tests/analyses/test_schedule.py": "one GPU",
}
# Of few tests and long: at the end one process would wait for another's.
LONG = ("training/test_processes", "test_gpu_bench", "cli/test_resume", "fuzz/test_fuzz_data",
        "metrics/test_cka_intervals", "training/test_learning")  # fmt: skip
FIRST = [*dict.fromkeys(TOGETHER.values()), *(f"tests/{name}.py" for name in LONG)]
MOST = 8  # a process takes about 1 GB


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(workers: int) -> int:
    """Cores of each of so many processes, at least one."""
    return max(1, cores() // workers)


def jobs() -> int:
    """Compilers that a test may run at once."""
    return share(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def choose(config) -> None:
    """Folders are run in a process a core, files that are named in pytest's own, unless `-n` or
    `--dist` say otherwise. In pytest's own are run: all, where pytest-xdist is missing; benchmarks,
    which are to have the machine for themselves."""
    option = config.option
    if "PYTEST_XDIST_WORKER" in os.environ:  # one of these processes, or a test's own pytest in it
        os.environ.pop("COLUMNS", None)  # xdist's: what is no terminal has no width
        return
    alone = option.usepdb or option.collectonly or getattr(option, "benchmark", False)
    if not config.pluginmanager.hasplugin("xdist") or alone:
        return
    given = option.numprocesses is not None or option.tx or option.dist != "no"
    if not given and all(Path(word).is_dir() for word in config.args):
        option.numprocesses = min(cores(), MOST) if cores() > 1 else 0
    if option.numprocesses and option.dist == "no":
        option.dist = "loadgroup"


def group(nodeid: str) -> str:
    """Tests of one group run in one process, in their order: a file's, or of several files."""
    file = nodeid.partition("::")[0]
    return next((name for start, name in TOGETHER.items() if file.startswith(start)), file)


def order(items) -> None:
    """Group after group: first FIRST, then those of the most tests."""
    counts = Counter(group(item.nodeid) for item in items)
    rank = {name: number for number, name in enumerate(FIRST)}

    def key(item):
        name = group(item.nodeid)
        return rank.get(name, len(rank)), -counts[name], name

    items.sort(key=key)


def scheduler(config, log):
    """Hands out groups in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)
