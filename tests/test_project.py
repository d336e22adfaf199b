"""What people who carry on rely on: one version, one list of floors, tools of one version each."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from test_house import FLOORS

import vitprobe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHANGES = (ROOT / "CHANGELOG.md").read_text()
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_there_is_one_version():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "vitprobe.__version__"}
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == vitprobe.__version__
    assert re.search(r"^## \[(.*?)\]", CHANGES, re.MULTILINE)[1] == vitprobe.__version__


def test_the_changelog_is_kept():
    """Versions have a date, but for the first while it is unreleased; known kinds, once each."""
    versions = re.split(r"^## ", CHANGES, flags=re.MULTILINE)[1:]
    for place, text in enumerate(versions):
        date = r"(unreleased|\d{4}-\d\d-\d\d)" if place == 0 else r"\d{4}-\d\d-\d\d"
        assert re.match(rf"\[\d+\.\d+\.\d+\] - {date}\n", text), text[:40]
        kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
        assert kinds == sorted(set(kinds), key=KINDS.index)


def test_every_floor_is_told():
    """In the order of the house, where that is one."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = re.findall(r"^\| `vitprobe/(\w+)/` \| .{20,} \|$", text, re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "vitprobe").glob("*/__init__.py")}
    assert told == [floor for floor in FLOORS if floor in folders]
    assert folders == set(told)


def test_tools_are_of_one_version():
    """What the tests install of the tools that reformat is what pre-commit runs."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    pinned = {pin for hook in hooks for pin in hook["additional_dependencies"] if "==" in pin}
    names = {pin.partition("==")[0] for pin in pinned}
    assert len(pinned) == len(names) and {"ruff", "clang-format", "codespell"} <= names
    extra = PROJECT["project"]["optional-dependencies"]["test"]
    assert {each for each in extra if re.fullmatch(r"[\w-]+==[\w.]+", each)} <= pinned


def test_workflows_build_the_wheels_that_are_configured():
    wheels = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text())["jobs"]
    machines = [each["name"] for each in wheels["wheel"]["strategy"]["matrix"]["include"]]
    built = PROJECT["tool"]["cibuildwheel"]["build"].split()
    assert [name.removeprefix("cp310-").replace("_", "-", 1) for name in built] == [
        name.replace("linux", "manylinux").replace("macos", "macosx")
        for name in machines
        if "cuda" not in name
    ]
    got = [
        step["with"]["name"]
        for step in wheels["publish"]["steps"]
        if "name" in step.get("with", {})
    ]
    made = {"sdist", *(f"wheel-{name}" for name in machines)}
    assert made - set(got) == {"wheel-linux-x86_64"}, "that of PyPI has the CUDA kernels too"


@pytest.mark.parametrize("script", ["run", "wheel"])
def test_ci_stops_at_the_first_error(script):
    path = ROOT / ".ci" / script
    assert "set -euo pipefail" in path.read_text() and path.stat().st_mode & 0o111
