"""How the CPU's products are cut: every slab of every tile once, enough tasks for many cores."""

import pytest

PANELS = {"AVX-512": 48, "AVX2": 24, "SSE2": 8, "double of AVX2": 12}
SIZES = [(4, 4, 1), (64, 64, 4_096), (256, 256, 4_096), (256, 256, 75_000), (1000, 1000, 300)]


def planned(host, rows, columns, k, symmetric=True, panel=48, threads=16):
    return host.plan_panels(rows, columns, k, symmetric=symmetric, panel=panel, threads=threads)


def tiles_of(rows, columns, symmetric, panel):
    down, across = -(-rows // panel), -(-columns // panel)
    return down * (down + 1) // 2 if symmetric else down * across


def joined(ranges):
    """One range, of ranges that follow each other and are not empty."""
    assert all(begin < end for begin, end in ranges)
    assert [begin for begin, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
    return ranges[0][0], ranges[-1][1]


@pytest.mark.parametrize("threads", [1, 2, 16, 64])
@pytest.mark.parametrize("panel", PANELS.values(), ids=list(PANELS))
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [*SIZES, (1, 330, 32_640), (67, 263, 2_016), (2000, 2000, 70_000)])
def test_every_slab_of_every_tile_is_one_tasks(host, size, symmetric, panel, threads):
    rows, columns, k = size
    columns = rows if symmetric else columns
    plan = planned(host, rows, columns, k, symmetric, panel, threads)
    tiles, splits = tiles_of(rows, columns, symmetric, panel), plan["splits"]
    groups = len(plan["tiles"]) // splits
    assert len(plan["tiles"]) == len(plan["slabs"]) == splits * groups
    assert joined(plan["slabs"][::groups]) == (0, -(-k // host.SLAB))
    for first in range(0, splits * groups, groups):
        assert set(plan["slabs"][first : first + groups]) == {plan["slabs"][first]}
        assert joined(plan["tiles"][first : first + groups]) == (0, tiles)
    assert plan["workspace"] == splits * tiles * panel**2
    assert plan["workspace"] <= max(host.WORKSPACE, tiles * panel**2)


@pytest.mark.parametrize("size", [*SIZES, (256, 256, 200_704), (64, 64, 65_536)])
def test_the_cut_of_k_knows_no_threads(host, size):
    cuts = [set(planned(host, *size, threads=threads)["slabs"]) for threads in (1, 2, 3, 16, 64)]
    assert all(cut == cuts[0] for cut in cuts)


@pytest.mark.parametrize("panel", [48, 24])
@pytest.mark.parametrize("threads", [16, 64])
@pytest.mark.parametrize(
    ("n", "p"), [(256, 4_096), (256, 75_000), (256, 200_704), (512, 2_048), (1_024, 512)]
)
def test_all_threads_have_work_of_even_size(host, n, p, threads, panel):
    plan = planned(host, n, n, p, panel=panel, threads=threads)
    assert len(plan["tiles"]) >= threads
    work = [
        (last - first) * (last_tile - tile)
        for (first, last), (tile, last_tile) in zip(plan["slabs"], plan["tiles"], strict=True)
    ]
    assert max(work) <= 1.6 * sum(work) / len(work)


def test_one_or_two_threads_pack_once(host):
    for threads in (1, 2):
        plan = planned(host, 256, 256, 4_096, threads=threads)
        assert len(plan["tiles"]) == plan["splits"] == 4


def test_small_products_stay_on_few_threads(host):
    assert len(planned(host, 32, 32, 768)["tiles"]) == 1
    assert len(planned(host, 64, 64, 4_096)["tiles"]) == 4
