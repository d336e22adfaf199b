"""Files that belong together: all or none, whatever happens between."""

import errno
import os
import signal

import pytest
from children import dead_process, ended
from hypothesis import given
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.file_names import distinct, joined, shortened
from vitprobe.owner import Owner
from vitprobe.writing import check_folder, sweep, write_file, write_together

FILES = {"a.nc": b"1", "b.png": b"2", "c.csv": b"3"}
OLD = {"a.nc": b"old", "c.csv": b"old"}
# Ends itself before the call number argv[2] of those that change the folder.
KILLED = """
import os, signal, sys
from pathlib import Path
from vitprobe import writing
left = int(sys.argv[2])
def counted(function):
    def call(*args, **how):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), int(sys.argv[3]))
        return function(*args, **how)
    return call
for name in ("replace", "rename", "fsync", "rmdir", "mkdir", "link"):
    setattr(os, name, counted(getattr(os, name)))
files = {"a.nc": b"1", "b.png": b"2", "c.csv": b"3"}
if sys.argv[3] == "2":
    signal.signal(2, signal.default_int_handler)
    def once(*_):
        global left
        left = 1000
        raise KeyboardInterrupt
    signal.signal(2, once)
writing.write_together(Path(sys.argv[1]), files)
"""


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def fill(folder):
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)


def test_killed_at_every_step(tmp_path):
    ends = []
    for step in range(40):
        folder = tmp_path / str(step)
        fill(folder)
        code = ended(KILLED, folder, step, int(signal.SIGKILL))[0]
        decided = any(path.suffix == ".ready" for path in folder.iterdir())
        found = {name: data for name, data in held(folder).items() if name in FILES}
        if not decided:  # a reader that looks now sees the old files, or the new ones
            assert found in (OLD, FILES)
        assert all(data in (b"old", FILES[name]) for name, data in found.items())
        sweep(folder)
        ends.append(held(folder) == FILES)
        assert held(folder) in (OLD, FILES) and not list(folder.glob(".*")), step
        if code == 0:
            break
    assert code == 0 and ends == sorted(ends) and 5 < ends.index(True) < len(ends) - 3


def test_interrupted_at_every_step(tmp_path):
    for step in range(40):
        folder = tmp_path / str(step)
        fill(folder)
        code, _, _ = ended(KILLED, folder, step, int(signal.SIGINT))
        assert held(folder) in (OLD, FILES) and not list(folder.glob(".*")), step
        if code == 0:
            break
    assert code == 0 and step > 10


def test_the_next_run_finishes_what_was_decided(tmp_path):
    """Before it writes its own files, so that the newer ones stay."""
    for step in range(8, 30):
        folder = tmp_path / str(step)
        fill(folder)
        ended(KILLED, folder, step, int(signal.SIGKILL))
        if any(path.suffix == ".ready" for path in folder.iterdir()):
            break
    write_together(folder, {"a.nc": b"newer"})
    assert held(folder) == FILES | {"a.nc": b"newer"}
    assert not list(folder.glob(".*"))


def test_what_living_processes_or_others_left_stays(tmp_path):
    own = Owner.own()
    gone = Owner(dead_process(), "1", own.space, own.host)
    names = {
        f".vitprobe-ab.{own.word}.part": True,
        f".vitprobe-ab.{gone.word}.part": False,
        f".vitprobe-ab.{Owner(gone.pid, '1', own.space, 'elsewhere').word}.part": True,
        ".vitprobe-notes": True,
        ".other.part": True,
    }
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / f".vitprobe-cd.{gone.word}.part").mkdir()
    (tmp_path / f".vitprobe-cd.{gone.word}.part" / "a.nc").write_text("")
    check_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {k for k, stays in names.items() if stays}


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_target_that_is_no_file(tmp_path, kind):
    fill(tmp_path / "results")
    target = tmp_path / "results" / "b.png"
    target.mkdir() if kind == "folder" else os.mkfifo(target)
    why = "Is a directory" if kind == "folder" else "it is a pipe"
    for attempt in (
        lambda: check_folder(tmp_path / "results", FILES),
        lambda: write_together(tmp_path / "results", FILES),
    ):
        with pytest.raises(InputError, match=f"cannot write .*b.png: {why}; move it away"):
            attempt()
    assert held(tmp_path / "results") == OLD
    assert not list((tmp_path / "results").glob(".*"))


def test_a_link_is_replaced_and_what_it_points_at_stays(tmp_path):
    (tmp_path / "else").write_bytes(b"kept")
    (tmp_path / "a.nc").symlink_to(tmp_path / "else")
    write_together(tmp_path, FILES)
    assert not (tmp_path / "a.nc").is_symlink()
    assert held(tmp_path) == FILES | {"else": b"kept"}


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, number):
    fill(tmp_path / "results")
    sync, calls = os.fsync, []

    def full(file):
        calls.append(file)
        if len(calls) > number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    if number < 3:
        with pytest.raises(OSError, match="No space"):
            write_together(tmp_path / "results", FILES)
        assert held(tmp_path / "results") == OLD
    else:  # of a folder: many file systems cannot
        write_together(tmp_path / "results", FILES)
        assert held(tmp_path / "results") == FILES
    assert not list((tmp_path / "results").glob(".*"))


def test_a_limit_on_the_size_of_files(tmp_path):
    code = """
import resource, signal, sys
from pathlib import Path
from vitprobe.writing import write_together
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
write_together(Path(sys.argv[1]), {"a": b"1" * 10, "b": b"2" * 2000})
"""
    fill(tmp_path / "results")
    code, _, err = ended(code, tmp_path / "results")
    assert code == 1 and "File too large" in err
    assert held(tmp_path / "results") == OLD and not list((tmp_path / "results").glob(".*"))


def test_a_folder_that_went_is_made_again(tmp_path):
    folder = check_folder(tmp_path / "a" / "b", FILES)
    assert not list(tmp_path.iterdir())
    write_together(folder, FILES)
    assert held(folder) == FILES


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    usual = (tmp_path / "plain").stat().st_mode
    write_file(tmp_path / "one", lambda file: file.write(b"1"))
    for path in [tmp_path / "one", *write_together(tmp_path, FILES)]:
        assert path.stat().st_mode == usual


@pytest.mark.parametrize(
    "folder, why",
    [
        ("", "output is empty"),
        (" ", "output is empty"),
        ("file", "cannot write to output .*Not a directory; name another folder"),
        ("file/x", "cannot write to output .*Not a directory"),
        ("/proc/x", "cannot write to output /proc/x: "),
        ("dangling", "cannot write to output dangling: "),
        ("a" * 300, "File name too long; give a shorter name"),
        ("x/" * 2500, "File name too long; give a shorter name"),
        ("new/" + "図" * 90, "File name too long"),
        ("~nosuchuser/x", "no such user"),
        ("a\0b", "is no path"),
        ("e\x1b[31m\n/../file/y", r"cannot write to output e\\x1b\[31m\\n/../file/y"),
    ],
)
def test_folders_that_cannot_be(tmp_path, monkeypatch, folder, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InputError, match=why) as raised:
        check_folder(folder, FILES)
    assert "\n" not in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_folder("~/new") == tmp_path / "new"


@pytest.mark.parametrize("name, fits", [("é" * 127, True), ("é" * 128, False), ("a" * 255, True)])
def test_the_final_names_are_tried(tmp_path, name, fits):
    for folder in (tmp_path, tmp_path / "new"):
        if fits:
            assert check_folder(folder, ["a", name]) == folder
        else:
            with pytest.raises(InputError, match="File name too long; give a shorter name"):
                check_folder(folder, ["a", name])
    if fits:
        write_together(tmp_path, {name: b""})
        write_file(tmp_path / name, lambda file: file.write(b"1"))
        assert held(tmp_path) == {name: b"1"}


@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=12))
def test_shortened_names(parts):
    name = joined(parts)
    assert len(name.encode(errors="backslashreplace")) <= 160
    whole = "-".join(parts)
    if len(whole.encode(errors="backslashreplace")) <= 160:
        assert name == whole
    assert shortened(whole) == shortened(whole) != shortened(f"{whole}{'x' * 200}")


@given(st.lists(st.sampled_from(["a", "A", "a-1", "a-2", "b"]), max_size=8))
def test_distinct_names(names):
    found = distinct(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert all(new.startswith(old) for new, old in zip(found, names, strict=True))
    if len({name.casefold() for name in names}) == len(names):
        assert found == names
