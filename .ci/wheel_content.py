"""`python wheel_content.py WHEEL`: has a wheel of the CPU kernels all that it should have?"""

import sys
from fnmatch import filter as matching
from pathlib import Path
from zipfile import ZipFile

WANTED = (
    *("vitprobe/_C.abi3.so", "vitprobe/_build.json", "vitprobe/py.typed", "vitprobe/__init__.pyi"),
    *("vitprobe/models/weights/*.safetensors", "vitprobe/training/recipes/*.toml"),
    *("vitprobe/training/studies/*.toml", "vitprobe/report/assets/*.js", "*.dist-info/*/LICENSE"),
)

path = Path(sys.argv[1])
names = ZipFile(path).namelist()
wrong = [f"{pattern} is missing" for pattern in WANTED if not matching(names, pattern)]
tops = {name.partition("/")[0] for name in names}
wrong += [f"{top} should not be there" for top in tops if not top.startswith("vitprobe")]
wrong += [f"{name} is no CPU kernel" for name in matching(names, "*_C_cuda*")]
if "-cp310-abi3-" not in path.name:
    wrong.append("its tag is not cp310-abi3")
print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1e6:.1f} MB")
sys.exit("\n".join(wrong) or None)
