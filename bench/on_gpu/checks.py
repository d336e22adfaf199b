"""Build, tests and the sanitizer: what must hold before a time means anything."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from on_gpu import streamed
from on_gpu.machine import ROOT
from on_gpu.processes import Done, python, run

# One process, as the GPU is one and other checks run beside.
QUIETLY = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")


def build(architecture: str | None, seconds: float, log: Path, dry_run: bool) -> dict:
    """Compile in place for this GPU; the metadata too, which tells the package its version."""
    steps = ["--version"] if dry_run else ["egg_info", "build_ext", "--inplace", "--force"]
    wanted = {} if dry_run else {"VITPROBE_CUDA": "1"}
    if architecture:
        wanted["TORCH_CUDA_ARCH_LIST"] = architecture
    done = run(python("setup.py", *steps), seconds, log, **wanted)
    said = [line for line in done.output.splitlines() if line.startswith("vitprobe: ")]
    return _step(done, seconds) | {"said": said[-1:]}


def checks(kernel_sets: dict[str, dict[str, str]], seconds: float, log: Path, dry_run: bool):
    """All at once: tests of the GPU's kernels; the operators' other tests; the sanitizer's two
    tools. Nothing is timed meanwhile.

    Args:
        kernel_sets: name -> environment variables that choose the kernels. The last set runs all
            tests that need a GPU, the others those that do not run each kernel themselves.

    Returns:
        {check: {"ok", "seconds", ...}}
    """
    last = [*kernel_sets][-1]
    jobs = {
        f"pytest -m cuda, {name} kernels": (_pytest, _cuda_tests(name == last, dry_run), kernels)
        for name, kernels in kernel_sets.items()
    }
    on_cpu = ["tests/ops/test_library.py"] if dry_run else ["tests/ops"]
    jobs["pytest, operators on the CPU"] = (
        _pytest,
        ["-m", "not cuda", *on_cpu],
        {"OMP_NUM_THREADS": "4"},  # the others need processors too
    )
    for tool in ("memcheck",) if dry_run else ("memcheck", "racecheck"):
        jobs[f"compute-sanitizer {tool}"] = (_sanitize, tool, {})
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = {
            name: pool.submit(function, argument, environment, seconds, log, dry_run)
            for name, (function, argument, environment) in jobs.items()
        }
        return {name: future.result() for name, future in futures.items()}


def _cuda_tests(every: bool, dry_run: bool) -> list[str]:
    """What pytest is told."""
    words = ["-m", "cuda" if every else "cuda and not each_kernel"]
    words += ["--continue-on-collection-errors"]
    few = "tests/ops/test_cuda.py" if every else "tests/analyses/test_schedule.py"
    return [*words, few] if dry_run else words


def _pytest(words: list[str], environment: dict, seconds: float, log: Path, dry_run: bool) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.jsonl")
        command = python(*streamed.arguments(results, *QUIETLY, *words))
        done = run(command, seconds, log, **environment)
        counts = streamed.counts(results)
    step = _step(done, seconds) | counts
    if step["ok"] and not dry_run and not counts.get("passed"):
        step |= {"ok": False, "why": "no test ran"}
    return step


def _sanitize(tool: str, environment: dict, seconds: float, log: Path, dry_run: bool) -> dict:
    command = python(str(ROOT / "bench" / "sanitize_small.py"))
    if dry_run:
        return _step(run([*command, "--dry-run"], seconds, log), seconds)
    sanitizer = _sanitizer()
    if sanitizer is None:
        return {"ok": None, "why": "compute-sanitizer is not here"}
    options = ["--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
    done = run([sanitizer, *options, *command], seconds, log, **environment)
    summaries = [line for line in done.output.splitlines() if "SUMMARY" in line]
    finished = "sanitize_small: done" in done.output
    step = _step(done, seconds) | {"summary": summaries[-1:]}
    if "not supported" in done.output and not finished:
        step |= {"ok": None, "why": "compute-sanitizer does not support this machine's driver"}
    elif step["ok"] and not any(" 0 errors" in s or " 0 hazards" in s for s in summaries):
        step |= {"ok": False, "why": "it does not say that there were none"}
    elif step["ok"] and not finished:
        step |= {"ok": False, "why": "the program did not come to its end"}
    return step


def _sanitizer() -> str | None:
    places = ["/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer"]
    return shutil.which("compute-sanitizer") or next(
        (str(path) for place in places if (path := Path(place, "compute-sanitizer")).is_file()),
        None,
    )


def _step(done: Done, seconds: float) -> dict:
    step = {"ok": done.code == 0, "seconds": round(done.seconds, 2)}
    if why := done.why(seconds):
        step["why"] = why
    return step
