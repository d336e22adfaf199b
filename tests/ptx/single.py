"""Single instructions on one warp, for the tests of the interpreter itself."""

import numpy as np

from ptx.device import Device, Module

_TEXT = """
.version 9.0
.target sm_80
.address_size 64
.visible .entry test(.param .u64 in, .param .u64 out)
{{
  .reg .pred %p<10>;
  .reg .b16 %h<40>;
  .reg .b32 %r<40>;
  .reg .b64 %rd<40>;
  .reg .f32 %f<40>;
  .reg .f64 %fd<40>;
  .shared .align 16 .b8 room[{shared}];
  mov.u32 %r0, %tid.x;
  ld.param.u64 %rd0, [in];
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r0, 64;
  add.s64 %rd0, %rd0, %rd2;
  add.s64 %rd1, %rd1, %rd2;
  {body}
  ret;
}}
"""


def execute(body: str, inputs=(), outputs=(), threads: int = 32, shared: int = 4096, blocks=1):
    """Runs `body` and returns the arrays (blocks * threads,) of the types in `outputs`.

    `<0>`, `<1>`, .. of the body are registers that hold the inputs, arrays (blocks * threads,) of
    one number for each lane; `<a>`, `<b>`, .. those whose values come back, of the types (numpy's)
    in `outputs`. %r0 is the thread.
    """
    device, lanes = Device(1 << 20), threads * blocks
    cells = np.zeros((lanes, 64), np.uint8)
    names, lines, after = {}, [], []
    for i, array in enumerate(inputs):
        array = np.ascontiguousarray(np.broadcast_to(array, lanes))
        cells[:, 8 * i : 8 * i + array.itemsize] = array.view(np.uint8).reshape(lanes, -1)
        register, type_ = _register(array.dtype, i)
        names[str(i)] = register
        lines.append(f"ld.global.{type_} {register}, [%rd0+{8 * i}];")
    for i, kind in enumerate(outputs):
        register, type_ = _register(np.dtype(kind), i + len(inputs))
        names["abcdefgh"[i]] = register
        after.append(f"st.global.{type_} [%rd1+{8 * i}], {register};")
    whole = body
    for name, register in names.items():
        whole = whole.replace(f"<{name}>", register)
    start = "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mul.lo.u32 %r1, %r1, %r2; "
    start += "mul.wide.u32 %rd3, %r1, 64; add.s64 %rd0, %rd0, %rd3; add.s64 %rd1, %rd1, %rd3; "
    text = _TEXT.format(body="\n  ".join([start, *lines, whole, *after]), shared=shared)
    source, result = device.input(cells), device.filled(np.zeros_like(cells))
    parameters = np.array([source, result], np.uint64).tobytes()
    device.launch(Module(text), "test", (blocks, 1, 1), (threads, 1, 1), 0, parameters)
    found = device.array(result, (lanes, 64), np.uint8)
    return [
        np.ascontiguousarray(found[:, 8 * i : 8 * i + np.dtype(kind).itemsize]).view(kind)[:, 0]
        for i, kind in enumerate(outputs)
    ]


def _register(kind: np.dtype, i: int) -> tuple[str, str]:
    number = 10 + i
    if kind.kind == "f" and kind.itemsize > 2:
        return (f"%f{number}", "f32") if kind.itemsize == 4 else (f"%fd{number}", "f64")
    letter = {2: "h", 4: "r", 8: "rd"}[kind.itemsize]
    return f"%{letter}{number}", f"b{8 * kind.itemsize}"
