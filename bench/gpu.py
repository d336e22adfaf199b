"""Everything that needs a GPU: build, tests, sanitizer, times, targets. Three calls, each below ten
minutes; docs/new-gpu.md says what to run before them, and what to look at.

    python bench/gpu.py --only build,checks
    python bench/gpu.py --only copy,gram,hsic,sites,attention
    python bench/gpu.py --only end_to_end,attention_end_to_end,training

    python bench/gpu.py [--commit ID] [--minutes 9.5] [--only ...]    whatever fits the minutes
    python bench/gpu.py --dry-run          every section's code on the CPU, tiny sizes

Writes bench/results/<gpu>.json (and a copy and a log in $OUT, if that is set) after every section;
what the file holds of the same sources, from an earlier call, stays. Each section is a process with
a budget of its own: what fails, hangs or is missing is recorded in the file and stops nothing else.
Times are medians in microseconds; see on_gpu/clock.py for how they are taken. A dry run writes
dry-run.json to $OUT or the folder of temporary files, and holds no number that means anything.
"""

import argparse
import importlib
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from on_gpu import checks
from on_gpu.machine import ROOT, provenance
from on_gpu.names import gram_label, kernel_sets
from on_gpu.processes import python, run
from on_gpu.section import Section
from on_gpu.targets import add_rates, targets

MODULES = {  # section -> the file in on_gpu/ that does it, and its seconds
    "machine": ("machine", 40),
    "copy": ("copy", 25),
    "gram": ("gram", 200),
    "hsic": ("hsic", 40),
    "sites": ("sites", 50),
    "attention": ("attention", 60),
    "end_to_end": ("whole", 170),
    "attention_end_to_end": ("attention_whole", 60),
    "training": ("training", 120),
}
BUILD_SECONDS, CHECK_SECONDS = 180, 285
MINUTES = 9.5  # of one call, unless it says otherwise
GRACE = 15  # more than its budget before a section is stopped: it minds the budget itself
CALLS = (
    "build,checks",
    "copy,gram,hsic,sites,attention",
    "end_to_end,attention_end_to_end,training",
)


def longest(steps: list[str]) -> float:
    """Seconds that a call with these steps takes at most."""
    ends = {"build": BUILD_SECONDS, "checks": CHECK_SECONDS}
    ends |= {name: seconds + GRACE for name, (_, seconds) in MODULES.items()}
    return sum(ends[step] for step in ["machine", *steps])


class Report:
    """The results file, and the log of all programs."""

    def __init__(self, arguments):
        self.dry_run = arguments.dry_run
        self.out = Path(os.environ.get("OUT") or tempfile.mkdtemp(prefix="vitprobe-gpu-"))
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = self.out / "gpu.log"
        self.log.write_text("")
        self.values = {"dry_run": self.dry_run, **provenance(arguments.commit)}
        self.values |= {"machine": {}, "checks": {}, "sections": {}, "targets": []}
        self.path = None

    def resume(self) -> None:
        """Keep what an earlier call measured on this GPU, with the same sources."""
        try:
            held = json.loads(self._paths()[0].read_text())
        except (OSError, ValueError):
            return
        if held.get("sources_sha256") == self.values["sources_sha256"]:
            for part in ("checks", "sections"):
                self.values[part] = held[part]

    def _paths(self) -> list[Path]:
        """In $OUT, and before it beside the benchmarks unless nothing is measured."""
        name = "dry-run" if self.dry_run else slug(self.values["machine"].get("device"))
        folders = [self.out] if self.dry_run else [ROOT / "bench" / "results", self.out]
        return [folder / f"{name}.json" for folder in folders]

    def write(self) -> None:
        """The file, and its copy."""
        add_rates(self.values["sections"])
        self.values["targets"] = targets(self.values["sections"], self.dry_run)
        for path in self._paths():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.values, indent=1) + "\n")
            self.path = path


def slug(device: str | None) -> str:
    """The GPU's name as a file name: 'NVIDIA H200' -> 'nvidia-h200'."""
    return re.sub(r"[^a-z0-9]+", "-", (device or "unknown gpu").lower()).strip("-")


def section(name: str, seconds: float, report: Report) -> dict:
    """Run one section in its own process; what it found, however it ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.json")
        options = ["--section", name, "--seconds", f"{seconds:.1f}", "--rows", str(path)]
        options += ["--dry-run"] if report.dry_run else []
        limit = seconds + GRACE
        done = run(python(__file__, *options), limit, report.log)
        found = json.loads(path.read_text()) if path.is_file() else {"ok": False, "rows": []}
    if why := done.why(limit):
        found |= {"ok": False, "why": found.get("why", why)}
    return found


def everything(report: Report, deadline: float, only: list[str]) -> None:
    """All sections in order, each within its budget and what is left of the whole."""

    def budget(seconds: float) -> float:
        return max(1.0, min(seconds, deadline - GRACE - time.monotonic()))

    report.values["machine"] = section("machine", budget(MODULES["machine"][1]), report)
    report.resume()
    report.write()
    architecture = report.values["machine"].get("architecture")
    found = report.values["checks"]
    if "build" in only:
        seconds = budget(BUILD_SECONDS)
        found["build"] = checks.build(architecture, seconds, report.log, report.dry_run)
        say("build", found["build"])
        report.write()
    if "checks" in only:
        seconds = budget(CHECK_SECONDS)
        steps = checks.checks(kernel_sets(), seconds, report.log, report.dry_run)
        found |= steps
        for name, step in steps.items():
            say(name, step)
        report.write()
    for name in (name for name in MODULES if name in only):
        if deadline - GRACE - time.monotonic() < 5:
            step = {"ok": False, "why": "no time left", "rows": []}
        else:
            step = section(name, budget(MODULES[name][1]), report)
        report.values["sections"][name] = step
        say(name, step)
        report.write()


def say(name: str, step: dict) -> None:
    """One line on what happened."""
    state = {True: "ok", False: "FAILED", None: "not done"}[step.get("ok")]
    told = ("passed", "failed", "skipped", "unfinished")
    counts = ", ".join(f"{step[k]} {k}" for k in told if step.get(k))
    running = f"in {step['running']}" if "running" in step else ""
    parts = [f"{step.get('seconds', 0)} s", counts, step.get("why", ""), running]
    print(f"{name:38} {state:9} {'; '.join(part for part in parts if part)}", flush=True)


def summary(values: dict) -> None:
    """The short table that comes last."""
    for row in values["sections"].get("gram", {}).get("rows", []):
        print(f"gram {gram_label(row)}")
        for name, way in row["ways"].items():
            print(f"  {name:26} " + line_of(way, row["errors"].get(name)))
    for row in values["sections"].get("hsic", {}).get("rows", []):
        print(f"hsic {row['la']} x {row['lb']}, n = {row['n']}")
        for name, way in row["ways"].items():
            print(f"  {name:26} " + line_of(way, row["errors"].get(name)))
    for row in values["sections"].get("attention", {}).get("rows", []):
        print(
            f"attention {row['images']} x {row['heads']}, T = {row['tokens']}, D = {row['depth']}"
        )
        for name, way in row["ways"].items():
            print(f"  {name:26} " + line_of(way, row["errors"].get(name)))
    for target in values["targets"]:
        met = {True: "met", False: "MISSED", None: "-"}[target["met"]]
        measured = f"{target['measured']} ({target['target']})"
        print(f"{met:7} {target['kernel']:10} {target['what']}: {measured} {target.get('why', '')}")


def line_of(way: dict, error: float | None) -> str:
    """One way's numbers."""
    if "us" not in way:
        return way.get("failed", "")
    spread = f"{way['us']:10.1f} us [{way['us_low']:.1f}, {way['us_high']:.1f}]"
    rates = f"{way.get('percent_of_copy', '-')} % of copy, {way.get('tflop_per_s', '-')} TFLOP/s"
    return f"{spread} {rates}" + ("" if error is None else f", error {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    steps = ["build", "checks", *MODULES]
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, tiny sizes")
    parser.add_argument("--commit", default="", help="where the checkout has no git")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of everything together")
    parser.add_argument("--only", default=",".join(steps), help=f"steps of: {'; '.join(CALLS)}")
    for hidden in ("--section", "--seconds", "--rows"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.section:
        rows = Section(Path(arguments.rows), float(arguments.seconds), arguments.dry_run)
        module = importlib.import_module(f"on_gpu.{MODULES[arguments.section][0]}")
        rows.run(module.work)
        sys.exit(0 if rows.results["ok"] else 1)
    only = arguments.only.split(",")
    if unknown := set(only) - set(steps):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    report = Report(arguments)
    everything(
        report, time.monotonic() + 60 * arguments.minutes, [s for s in only if s != "machine"]
    )
    summary(report.values)
    print(f"written: {report.path}")


if __name__ == "__main__":
    main()
