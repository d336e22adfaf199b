"""How the CPU's products are cut: every slab of every tile once, enough tasks for many cores."""

import pytest

PANELS = {"AVX-512": 48, "AVX2": 24, "SSE2": 8, "double of AVX2": 12}
SIZES = [(4, 4, 1), (64, 64, 4_096), (256, 256, 4_096), (256, 256, 75_000), (1000, 1000, 300)]


def planned(host, rows, columns, k, symmetric=True, panel=48):
    return host.plan_panels(rows, columns, k, symmetric=symmetric, panel=panel)


def tiles_of(rows, columns, symmetric, panel):
    down, across = -(-rows // panel), -(-columns // panel)
    return down * (down + 1) // 2 if symmetric else down * across


@pytest.mark.parametrize("panel", PANELS.values(), ids=list(PANELS))
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [*SIZES, (1, 330, 32_640), (67, 263, 2_016), (2000, 2000, 70_000)])
def test_every_slab_of_every_tile_is_one_tasks(host, size, symmetric, panel):
    rows, columns, k = size
    columns = rows if symmetric else columns
    plan = planned(host, rows, columns, k, symmetric, panel)
    tiles, slabs = tiles_of(rows, columns, symmetric, panel), -(-k // host.SLAB)
    done = set()
    for (slab, last_slab), (tile, last_tile) in zip(plan["slabs"], plan["tiles"], strict=True):
        assert slab < last_slab and tile < last_tile
        cells = {(s, t) for s in range(slab, last_slab) for t in (tile, last_tile - 1)}
        assert not done & cells
        done |= cells
    for split in range(plan["splits"]):
        groups = len(plan["tiles"]) // plan["splits"]
        own = plan["tiles"][split * groups : (split + 1) * groups]
        assert [first for first, _ in own] == [0, *(last for _, last in own[:-1])]
        assert own[-1][1] == tiles
    assert {s for s, _ in done} == set(range(slabs))
    assert plan["workspace"] <= max(host.WORKSPACE, tiles * panel**2)


@pytest.mark.parametrize("panel", [48, 24])
@pytest.mark.parametrize(
    ("n", "p", "least"),
    [
        (256, 4_096, 16),
        (128, 20_000, 16),
        (64, 65_536, 32),
        (256, 65_536, 32),
        (256, 75_000, 36),
        (256, 200_704, 64),
        (1_024, 2_048, 32),
        (512, 1_024, 8),
    ],
)
def test_enough_tasks_of_even_size(host, n, p, least, panel):
    plan = planned(host, n, n, p, panel=panel)
    assert least <= len(plan["tiles"]) <= 64
    work = [
        (last - first) * (last_tile - tile)
        for (first, last), (tile, last_tile) in zip(plan["slabs"], plan["tiles"], strict=True)
    ]
    assert max(work) <= 1.5 * sum(work) / len(work)


def test_small_products_stay_on_few_threads(host):
    assert len(planned(host, 32, 32, 768)["tiles"]) == 1
    assert len(planned(host, 64, 64, 4_096)["tiles"]) == 4
