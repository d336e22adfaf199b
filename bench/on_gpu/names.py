"""What sections and their readers both name; without torch, so that the caller stays light."""

import runpy

from on_gpu.machine import ROOT

MATMUL, WHOLE = "x @ x.T", "torch, the whole"
FLASH, MATERIALISED = "torch, flash attention", "torch, statistics of the weights"


def kernel_sets() -> dict[str, dict[str, str]]:
    """Name -> {environment variable: kernel}: all simple, and all fast where there are any.

    From the file that names the kernels, read by its path: importing the package would load the
    library that is about to be built.
    """
    variants = runpy.run_path(str(ROOT / "vitprobe" / "ops" / "variants.py"))["KERNELS"]
    simple = {v.environment: "simple" for v in variants.values()}
    fast = simple | {v.environment: "fast" for v in variants.values() if "fast" in v.names}
    return {"simple": simple} if fast == simple else {"simple": simple, "fast": fast}
