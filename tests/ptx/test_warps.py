"""What lanes do together - shuffles, votes, matrices, copies, branches - against plain Python."""

import numpy as np
import pytest

from ptx import floats
from ptx.fault import Fault
from ptx.single import execute

U4, F4 = np.uint32, np.float32
RNG = np.random.default_rng(2)
LANES = np.arange(32, dtype=U4)


@pytest.mark.parametrize("width", [32, 8])
@pytest.mark.parametrize(("mode", "by"), [("up", 3), ("down", 5), ("bfly", 6), ("idx", 9)])
def test_shuffles(mode, by, width):
    """As __shfl_*_sync: segments of `width` lanes."""
    c = (32 - width) << 8 | (0 if mode == "up" else 31)
    values = RNG.integers(0, 2**32, 32, dtype=U4)
    found, inside = execute(
        f"shfl.sync.{mode}.b32 <a>|%p1, <0>, {by}, {c}, -1; selp.u32 <b>, 1, 0, %p1;",
        [values], [U4, U4],
    )  # fmt: skip
    for lane in range(32):
        first = lane // width * width
        source = {
            "up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": first + by % width,
        }[mode]  # fmt: skip
        own = first <= source < first + width
        assert inside[lane] == own and found[lane] == values[source if own else lane]


def test_votes_and_sums():
    values = RNG.integers(0, 2, 32).astype(U4)
    body = "setp.ne.u32 %p1, <0>, 0; vote.sync.ballot.b32 <a>, %p1, -1;"
    for i, mode in enumerate(("any", "all", "uni")):
        body += f"vote.sync.{mode}.pred %p2, %p1, -1; selp.u32 <{'bcd'[i]}>, 1, 0, %p2;"
    body += "redux.sync.add.u32 <e>, <0>, -1; match.any.sync.b32 <f>, <0>, -1;"
    for own in (values, np.zeros(32, U4), np.ones(32, U4)):
        ballot, some, every, same, total, match = execute(body, [own], [U4] * 6)
        assert set(ballot) == {int(sum(int(v) << i for i, v in enumerate(own)))}
        assert some[0] == own.any() and every[0] == own.all() and same[0] == (own == own[0]).all()
        assert set(total) == {own.sum()}
        assert match[3] == sum(int(v == own[3]) << i for i, v in enumerate(own))


def test_lanes_that_part_meet_again():
    """A loop of as many turns as the lane's number, in one half of the lanes only."""
    [turns, sums] = execute(
        "mov.u32 <a>, 0; mov.u32 <b>, 7; and.b32 %r5, %r0, 1; setp.eq.u32 %p1, %r5, 0;"
        "@%p1 bra ODD_DONE; LOOP: setp.ge.u32 %p2, <a>, %r0; @%p2 bra ODD_DONE;"
        "add.u32 <a>, <a>, 1; bra LOOP; ODD_DONE: vote.sync.any.pred %p3, %p1, -1;"
        "@!%p3 mov.u32 <b>, 0;",
        [], [U4, U4],
    )  # fmt: skip
    assert turns.tolist() == [lane if lane % 2 else 0 for lane in range(32)]
    assert set(sums) == {7}


def test_a_jump_table():
    [found] = execute(
        "TABLE: .branchtargets A, B, C;\n and.b32 %r5, %r0, 3; min.u32 %r5, %r5, 2;"
        "brx.idx %r5, TABLE; A: mov.u32 <a>, 10; bra END; B: mov.u32 <a>, 11; bra END;"
        "C: mov.u32 <a>, 12; END: add.u32 <a>, <a>, 1;",
        [], [U4],
    )  # fmt: skip
    assert found.tolist() == [11 + min(lane % 4, 2) for lane in range(32)]


@pytest.mark.parametrize("kind", ["bf16", "f16", "tf32"])
def test_mma_is_a_matrix_product(kind):
    """By the manual's maps of the fragments, written anew here; numbers with short exact sums."""
    depth = 8 if kind == "tf32" else 16
    a, b = (RNG.integers(-8, 9, shape).astype(F4) for shape in ((16, depth), (8, depth)))
    c = RNG.integers(-100, 101, (16, 8)).astype(F4)
    if kind == "tf32":
        words = [x.view(U4) for x in (a, b)]
    else:
        halves = [floats.to_bf16(x) if kind == "bf16" else floats.to_f16(x) for x in (a, b)]
        words = [np.ascontiguousarray(x).view(U4) for x in halves]  # two neighbours to a word
    row, place = LANES // 4, LANES % 4
    left = [words[0][row + 8 * (r % 2), place + 4 * (r // 2)] for r in range(4)]
    right = [words[1][row, place + 4 * r] for r in range(2)]
    sums = [c[row + 8 * (r // 2), 2 * place + r % 2] for r in range(4)]
    shape = "m16n8k8" if kind == "tf32" else "m16n8k16"
    found = _mma(kind, shape, left, right, sums)
    whole = a @ b.T + c
    for r in range(4):
        assert np.array_equal(found[r], whole[row + 8 * (r // 2), 2 * place + r % 2])


def _mma(kind, shape, left, right, sums):
    body = (
        f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {{<a>,<b>,<c>,<d>}}, "
        "{<0>,<1>,<2>,<3>}, {<4>,<5>}, {%f1,%f2,%f3,%f4};"
    )
    # Eight inputs fit: of the sums two to one number of 64 bits.
    pairs = [np.stack(sums[i : i + 2], 1).reshape(-1).view(np.uint64) for i in (0, 2)]
    take = "mov.b64 {%r5, %r6}, <6>; mov.b64 {%r7, %r8}, <7>;"
    take += "".join(f"mov.b32 %f{i + 1}, %r{i + 5};" for i in range(4))
    return execute(take + body, [*left, *right, *pairs], [F4] * 4)


def test_mma_cuts_as_the_matrix_unit_does():
    """24 bits below the largest addend are all that is kept."""
    one = floats.to_bf16(np.array([1.0, 2.0**-13], F4))
    words = np.full(32, int(one[0]) | int(one[1]) << 16, U4)
    zero = np.zeros(32, U4)
    sums = [np.full(32, value, F4) for value in (2.0, 2.0**24, -(2.0**24), 0.0)]
    found = _mma("bf16", "m16n8k16", [words, words, zero, zero], [words, zero], sums)
    # Four products of 1, each below the last bit that 2^24 leaves, and four of 2^-26.
    assert [float(r[0]) for r in found] == [6.0, 2.0**24, -(2.0**24), 4.0]


@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix(transposed):
    """Four matrices of 8 x 8 halves, each row stored by the lane that will name it."""
    values = RNG.integers(0, 2**16, (4, 8, 8)).astype(np.uint16)
    words = values.reshape(32, 8).view(U4)
    suffix = ".trans" if transposed else ""
    found = execute(
        "mov.u32 %r5, room; shl.b32 %r6, %r0, 4; xor.b32 %r6, %r6, 496; add.u32 %r5, %r5, %r6;"
        "st.shared.v4.b32 [%r5], {<0>, <1>, <2>, <3>}; bar.warp.sync -1;"
        f"ldmatrix.sync.aligned.m8n8.x4{suffix}.shared.b16 {{<a>,<b>,<c>,<d>}}, [%r5];",
        [words[:, i] for i in range(4)], [U4] * 4,
    )  # fmt: skip
    for matrix in range(4):
        own = values[matrix].T if transposed else values[matrix]
        wanted = np.ascontiguousarray(own).view(U4)
        assert np.array_equal(found[matrix], wanted[LANES // 4, LANES % 4])


COPY = (
    "mov.u32 %r5, room; mul.lo.u32 %r6, %r0, 16; add.u32 %r5, %r5, %r6;"
    "cp.async.ca.shared.global [%r5], [%rd0], 4, 4; cp.async.commit_group;"
    "cp.async.ca.shared.global [%r5+4], [%rd0+8], 4, 2; cp.async.commit_group;"
)


def test_copies_come_at_their_wait():
    a, b = (RNG.integers(0, 2**32, 32, dtype=U4) for _ in range(2))
    one, two = execute(
        COPY + "cp.async.wait_group 1; ld.shared.b32 <a>, [%r5];"
        "cp.async.wait_all; ld.shared.b32 <b>, [%r5+4];",
        [a, b], [U4, U4],
    )  # fmt: skip
    assert np.array_equal(one, a) and np.array_equal(two, b & U4(0xFFFF))  # the rest is zeros
    with pytest.raises(Fault, match="no wait has brought.*ld.shared"):
        execute(COPY + "cp.async.wait_group 1; ld.shared.b32 <a>, [%r5+4];", [a, b], [U4])
    with pytest.raises(Fault, match="no wait has brought.*st.shared"):
        execute(COPY + "st.shared.b32 [%r5+4], %r0;", [a, b])


def test_atomics():
    [old] = execute(
        "mov.u32 %r5, room; setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [%r5], 100;"
        "bar.sync 0; atom.shared.add.u32 <a>, [%r5], %r0;",
        [], [U4],
    )  # fmt: skip
    assert old.tolist() == [100 + lane * (lane - 1) // 2 for lane in range(32)]


def test_local_memory_is_each_threads_own():
    [found] = execute(
        ".local .align 8 .b8 own[16];\n mov.u64 %rd5, own; st.local.u32 [%rd5+4], %r0;"
        "cvta.local.u64 %rd6, %rd5; ld.u32 <a>, [%rd6+4];",
        [], [U4],
    )  # fmt: skip
    assert np.array_equal(found, LANES)
    with pytest.raises(Fault, match="local memory: reads what nothing wrote"):
        execute(".local .align 8 .b8 own[16];\n ld.local.u32 <a>, [own+8];", [], [U4])
    with pytest.raises(Fault, match="local memory: out of bounds"):
        execute(".local .align 8 .b8 own[16];\n st.local.u32 [own+16], %r0;")


def test_generic_addresses_find_their_memory():
    """Even lanes in shared memory, odd ones in global memory, by one instruction."""
    [found] = execute(
        "mov.u64 %rd5, room; mul.wide.u32 %rd6, %r0, 8; add.u64 %rd5, %rd5, %rd6;"
        "cvta.shared.u64 %rd5, %rd5; and.b32 %r5, %r0, 1; setp.eq.u32 %p1, %r5, 0;"
        "add.u64 %rd7, %rd1, 32; selp.b64 %rd5, %rd5, %rd7, %p1;"
        "st.u32 [%rd5], %r0; ld.u32 <a>, [%rd5];",
        [], [U4],
    )  # fmt: skip
    assert np.array_equal(found, LANES)


# ---- what must not be


FAULTS = {
    "out of bounds": "st.shared.u32 [%r5+4096], %r0;",
    "out of bounds.*global|global memory: out of bounds": "st.global.u32 [%rd1+4096], %r0;",
    "reads what nothing wrote": "ld.shared.u32 %r6, [%r5];",
    "not aligned to 8": "st.shared.v2.u32 [%r5+4], {%r0, %r0};",
    "writes to an input": "st.global.u32 [%rd0], %r0;",
    "does not reach": "setp.lt.u32 %p1, %r0, 40; @%p1 bra THERE; bar.sync 0;THERE: mov.u32 %r6, 0;",
    "not together": "setp.lt.u32 %p1, %r0, 5; @%p1 vote.sync.any.pred %p2, %p1, -1;",
    "nothing orders this behind thread": "st.shared.u32 [room], %r0;",
    "nothing orders .* global|global memory: nothing orders": "mov.u64 %rd4, %rd1;"
    "cvt.u64.u32 %rd5, %r0; mul.lo.u64 %rd5, %rd5, 64; sub.u64 %rd4, %rd4, %rd5;"
    "st.global.u32 [%rd4], %r0;",
}


@pytest.mark.parametrize("what", FAULTS)
def test_faults(what):
    with pytest.raises(Fault, match=what):
        execute(f"mov.u32 %r5, room; {FAULTS[what]}", threads=64)


# Each thread writes its place and reads that of another.
EXCHANGE = (
    "mov.u32 %r5, room; shl.b32 %r6, %r0, 2; add.u32 %r6, %r5, %r6; st.shared.u32 [%r6], %r0;"
    "{parted} xor.b32 %r7, %r0, {other}; shl.b32 %r7, %r7, 2; add.u32 %r7, %r5, %r7;"
    "ld.shared.u32 <a>, [%r7]; {then}"
)


@pytest.mark.parametrize(
    ("parted", "other", "right"),
    [
        ("bar.sync 0;", 33, True),
        ("bar.sync 0;", 1, True),
        ("bar.warp.sync -1;", 1, True),
        ("bar.warp.sync -1;", 33, False),  # another warp's
        ("vote.sync.any.pred %p1, %p1, -1;", 1, False),  # makes no write seen
        ("", 1, False),
        ("", 0, True),  # its own
    ],
)
def test_what_orders_a_write_and_a_read(parted, other, right):
    body = EXCHANGE.format(parted=parted, other=other, then="")
    if right:
        [found] = execute(body, [], [U4], threads=64)
        assert np.array_equal(found, np.arange(64) ^ other)
    else:
        with pytest.raises(Fault, match="nothing orders"):
            execute(body, [], [U4], threads=64)


@pytest.mark.parametrize(
    ("between", "right"),
    [("", False), ("setp.eq.u32 %p1, <a>, 0; vote.sync.any.pred %p2, %p1, -1;", True)],
)
def test_a_read_comes_before_the_vote_that_needs_it(between, right):
    then = between + "st.shared.u32 [%r6], 5;"
    body = EXCHANGE.format(parted="bar.warp.sync -1;", other=1, then=then)
    if right:
        execute(body, [], [U4])
    else:
        with pytest.raises(Fault, match="nothing orders"):
            execute(body, [], [U4])


def test_blocks_are_never_ordered():
    own = "mov.u32 %r5, %ctaid.x; cvt.u64.u32 %rd4, %r5; mul.lo.u64 %rd4, %rd4, 2048;"
    own += "sub.u64 %rd4, %rd1, %rd4;"  # the place of block 0's same thread
    with pytest.raises(Fault, match="thread 0 of block 1.*thread 0 of block 0"):
        execute(own + "st.global.u32 [%rd4], %r0; bar.sync 0;", blocks=2)
