"""What the sums need is compared with the memory there is, before the first batch."""

import re
import weakref

import pytest
import torch
from pass_readers import Norms
from pass_work import images, vit
from torch.utils._python_dispatch import TorchDispatchMode

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.metrics import CKA
from vitprobe.metrics.subset_cka import SubsetCKA
from vitprobe.passes import free, room
from vitprobe.passes.free import free_on
from vitprobe.passes.inputs import prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run

CPU = torch.device("cpu")


@pytest.fixture
def there(monkeypatch):
    """there(bytes): so many are free."""
    return lambda count: monkeypatch.setattr(room, "free_on", lambda device: count)


def passed(*readers, batch=8, models=None):
    inputs = prepare(models or [vit()], images(16), InputOptions(batch_size=batch))
    return run(inputs, list(readers))


def needed(readers, n=8, processes=1):
    return sum(room._bytes(reader, n, processes) for reader in readers)


@pytest.mark.parametrize("make", [CKAReader, AttentionReader, lambda: Norms("blocks")])
def test_refused_in_one_line_with_the_bytes(there, make):
    reader = make()
    passed(reader)
    need = needed([reader])
    there(need)
    passed(make())
    there(need - 1)
    with pytest.raises(InputError) as error:
        passed(make())
    line = str(error.value)
    assert "\n" not in line and line.startswith(
        f"the sums of {reader.analysis} need {need:,} bytes"
    )
    assert f"cpu has {need - 1:,} bytes" in line


def test_says_what_to_change(there):
    reader = CKAReader()
    passed(reader)
    there(needed([reader], 5))
    with pytest.raises(InputError, match=r"use fewer layers .* or a smaller batch \(") as error:
        passed(CKAReader())
    n = int(re.search(r"batch_size=(\d+)", str(error.value))[1])
    assert n == 5
    passed(CKAReader(), batch=n)
    there(needed([reader], 3))  # of batches that count
    with pytest.raises(InputError) as error:
        passed(CKAReader())
    assert str(error.value).endswith("use fewer layers (layers='blocks')")
    there(0)
    with pytest.raises(InputError, match=r"use fewer layers \(layers\)$"):
        passed(CKAReader("blocks"))
    with pytest.raises(InputError, match="use a machine with more memory$"):
        passed(Norms("blocks"))


def test_all_readers_together(there):
    readers = [CKAReader("blocks"), AttentionReader()]
    passed(*readers)
    there(needed(readers) - 1)
    passed(CKAReader("blocks"))
    with pytest.raises(InputError, match="the sums of cka and attention need"):
        passed(CKAReader("blocks"), AttentionReader())


def test_nothing_is_allocated_or_told_before(there, monkeypatch):
    class Loud(Progress):
        def begin(self, *_):
            raise AssertionError

    made = []
    kept = CKAReader.metrics_of.__func__

    def watched(cls, about):
        metrics = kept(cls, about)
        made.extend(metric.device.type for metric in metrics.values())
        return metrics

    monkeypatch.setattr(CKAReader, "metrics_of", classmethod(watched))
    there(0)
    with pytest.raises(InputError):
        run(prepare([vit()], images(16), InputOptions(batch_size=8)), [CKAReader()], Loud())
    assert set(made) == {"meta"}


def test_where_it_cannot_be_told_nothing_is_refused(there):
    there(None)
    passed(CKAReader("blocks"))


def test_the_command_says_its_options(vitprobe_line):
    assert "(--layers blocks) or a smaller batch (--batch-size " in vitprobe_line


@pytest.fixture
def vitprobe_line(monkeypatch, tmp_path, capsys):
    import sys

    from vitprobe.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(room, "free_on", lambda device: 4_000_000)
    words = ["vitprobe", "cka", "--models", "vit", "--batch-size", "200", "--examples", "360"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert end.value.code == 2 and "model" not in out and not list(tmp_path.iterdir())
    return err


def test_several_processes_need_more():
    reader = CKAReader("blocks")
    passed(reader)
    sums = room.bytes_of_sums(reader.metrics)
    assert needed([reader], processes=2) - needed([reader]) == 2 * sums


class Peak(TorchDispatchMode):
    """The most bytes of tensors made inside that were there at once."""

    now = most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for x in found if isinstance(found, (tuple, list)) else [found]:
            self._see(x, args)
        return found

    def _see(self, x, args):
        if not isinstance(x, torch.Tensor):
            return
        storage = x.untyped_storage()
        old = (y.untyped_storage()._cdata for y in args if isinstance(y, torch.Tensor))
        if storage._cdata in self.seen or storage._cdata in old:
            return
        self.seen.add(storage._cdata)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())

    def _gone(self, key, nbytes):
        self.seen.discard(key)
        self.now -= nbytes

    def __enter__(self):
        self.seen = set()
        return super().__enter__()


def peak(work):
    with Peak() as mode:
        kept = work()
    del kept
    return mode.most


def test_cka_needs_what_it_says():
    metric, n = CKA(200), 16
    vectors = torch.randn(200, n * (n - 1) // 2)
    noise = torch.zeros(200, dtype=torch.float64)
    said = metric.bytes_beside(n)
    assert peak(lambda: metric.update_vectors(vectors.clone(), noise, n)) < 1.05 * said
    metric.update_vectors(vectors * 2, noise, n)
    assert 0.8 * said < peak(metric.compute) < 1.05 * said


def test_the_gaussian_kernel_needs_what_it_says():
    metric, n = CKA(1, kernel="rbf"), 300
    assert peak(lambda: metric.vectors([torch.randn(n, 8)])) < 1.05 * metric.bytes_beside(n)


@pytest.mark.parametrize("parts, layers", [(16, 40), (32, 4)])
def test_subsets_need_what_they_say(parts, layers):
    metric, n = SubsetCKA(parts, layers), 8
    subsets = [[*range(k, k + size)] for size in (1, 2, 4) for k in range(parts - size + 1)]
    rows = torch.randn(parts + layers, n * (n - 1) // 2)
    given = torch.ones(parts).double(), torch.zeros(layers).double(), n
    vectors = rows.nbytes
    said = metric.bytes_beside(len(subsets))
    assert peak(lambda: metric.update(rows.clone(), *given)) < 1.05 * said + vectors
    metric.update(rows * 2, *given)
    assert 0.7 * said < peak(lambda: metric.of(subsets)) < 1.05 * said


def test_head_subsets_are_counted(there):
    reader = HeadSubsetsReader()
    models = [vit(), vit()]
    passed(reader, models=models)
    there(needed([reader]) - 1)
    with pytest.raises(InputError, match="the sums of head_subsets need"):
        passed(HeadSubsetsReader(), models=models)


def test_free_on_cuda_is_what_the_driver_and_torch_have(monkeypatch):
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert free_on(device) == 1200


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A made /proc and /sys/fs/cgroup: machine({path: text})."""
    monkeypatch.setattr(free, "PROC", tmp_path / "proc")
    monkeypatch.setattr(free, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)

    def made(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return made


MACHINE = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:    4000 kB\n"}


def group(folder, limit, used, forgotten, v1=False):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    most, now, files = names if v1 else ("memory.max", "memory.current", "inactive_file")
    return {
        f"cgroup/{folder}/{most}": f"{limit}\n",
        f"cgroup/{folder}/{now}": f"{used}\n",
        f"cgroup/{folder}/memory.stat": f"anon 1\n{files} {forgotten}\n",
    }


def test_free_memory_of_the_machine(machine):
    assert free_on(CPU) is None
    machine(MACHINE)
    assert free_on(CPU) == 4_096_000
    assert free_on(torch.device("meta")) is None


def test_a_container_s_limit_counts(machine):
    machine(MACHINE | {"proc/self/cgroup": "0::/a/b\n"} | group("a/b", "max", 10, 0))
    assert free_on(CPU) == 4_096_000
    machine(group("a", 1000, 900, 300))  # of a group above
    assert free_on(CPU) == 400
    machine(group("", 1000, 900, 100))  # where the container sees its own as the root
    assert free_on(CPU) == 200


def test_older_groups_count_too(machine):
    machine(MACHINE | {"proc/self/cgroup": "8:blkio:/\n4:memory:/x\n0::/\n"})
    machine(group("memory/x", 1000, 300, 50, v1=True))
    assert free_on(CPU) == 750
    machine(group("memory", 2**63 - 4096, 300, 50, v1=True))  # no limit
    assert free_on(CPU) == 750


def test_processes_of_a_machine_share_it(machine, monkeypatch):
    machine(MACHINE)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_on(CPU) == 1_024_000
