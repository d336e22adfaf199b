"""Instructions that the kernels issue, against the committed table (tests/sass.py)."""

import json
import subprocess

import pytest
from sass import COMMITTED, ROWS, Counted, release

from ptx import sass as listing
from ptx.device import Device, Module

SLACK = 1.02  # of the committed count: another patch of one release chooses a little otherwise


@pytest.fixture(scope="module")
def nvdisasm(nvcc) -> str:
    found = listing.find_nvdisasm(nvcc)
    return found or pytest.skip("no nvdisasm: torch's CUDA wheels bring one with triton")


@pytest.fixture(scope="module")
def counted(built, nvcc, nvdisasm) -> Counted:
    return Counted(built, nvcc, nvdisasm)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_kernel_issues_more_than_before(counted, nvcc, row):
    committed = json.loads(COMMITTED.read_text())
    if release(nvcc) != committed["nvcc"]:
        pytest.skip(f"counted with nvcc {committed['nvcc']}, this is {release(nvcc)}")
    counts = row.counts(counted)
    assert sum(counts.values()) <= SLACK * committed["instructions"][row.name], counts.most_common(
        9
    )


def test_every_row_is_committed():
    assert set(json.loads(COMMITTED.read_text())["instructions"]) == {row.name for row in ROWS}


LISTING = """
.text.first:
	//## File ".nv_debug_ptx_txt", line 10
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
	//## File ".nv_debug_ptx_txt", line 12
        /*0010*/               @P0 IADD3.X R2, R2, 0x1, RZ ;
        /*0020*/                   HMMA.16816.F32 R4, R4, R8, R4 ;
	//## File ".nv_debug_ptx_txt", line 10
        /*0030*/                   MOV R3, R3 ;
	//## File ".nv_debug_ptx_txt", line 13
        /*0040*/              @!P0 BRA `(.L_x_1) ;
	//## File ".nv_debug_ptx_txt", line 14
        /*0050*/                   BRA.DIV UR8, `(.L_x_3) ;
        /*0060*/                   CALL.REL.NOINC `($__internal_0_$division) ;
        /*0070*/                   EXIT ;
.L_x_3:
        /*0080*/                   WARPSYNC.COLLECTIVE R44, `(.L_x_4) ;
.L_x_4:
        /*0090*/                   ENDCOLLECTIVE ;
        /*00a0*/                   BRA `(.L_x_1) ;
$__internal_0_$division:
        /*00b0*/                   DFMA R2, R2, R2, R2 ;
        /*00c0*/                   RET.REL.NODEC R6 `(first) ;
        /*00d0*/                   NOP ;
//--------------------- .nv.shared
        /*00e0*/                   NOT.CODE ;
"""


def test_a_block_is_issued_as_often_as_most_of_its_lines():
    """Those of no line as often as they are called; what never runs not at all."""
    own = listing.blocks(LISTING)
    assert [[opcode for opcode, _ in block.code] for block in own["first"][:2]] == [
        ["LDC"],
        ["IADD3.X", "HMMA.16816.F32", "MOV", "BRA"],
    ]
    assert list(own) == ["first"]
    counts = listing.issued(own["first"], {10: 2, 12: 7, 13: 7, 14: 3})
    assert {opcode: count for opcode, count in counts.items() if count} == {
        "LDC": 2, "IADD3": 7, "HMMA": 7, "MOV": 7, "BRA": 7 + 3, "CALL": 3, "EXIT": 3,
        "DFMA": 3, "RET": 3,
    }  # fmt: skip


def test_counts_of_a_kernel_written_by_hand(nvcc, nvdisasm, tmp_path):
    """A loop of known length, in the interpreter and in SASS: one store each time around."""
    source = tmp_path / "loop.cu"
    source.write_text("""
extern "C" __global__ void loop(volatile float* out, int count) {
#pragma unroll 1
  for (int i = 0; i < count; ++i) out[threadIdx.x] = 1.0f;
}
""")
    ptx = tmp_path / "loop.ptx"
    subprocess.run(
        [nvcc, "-ptx", "-arch=compute_80", "-lineinfo", source, "-o", ptx], check=True, timeout=300
    )
    device, module = Device(), Module(ptx.read_text())
    out = device.empty(4 * 64)
    parameters = out.to_bytes(8, "little") + (5).to_bytes(4, "little")
    device.launch(module, "loop", (1, 1, 1), (64, 1, 1), 0, parameters)
    [(name, own)] = listing.assemble(nvcc, nvdisasm, ptx, "80").items()
    counts = listing.issued(own, listing.warps_at(device, module, name))
    assert counts["STG"] == 2 * 5 and counts["EXIT"] >= 2  # two warps, five times
