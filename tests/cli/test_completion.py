"""What a shell is offered at <TAB>, asked as shells ask: through the environment."""

import os
import shutil
import subprocess
import sys

import pytest
import timm

from vitprobe.cli import _completion as completion
from vitprobe.data.downloads import SETS
from vitprobe.data.named import FROM_PATH, NAMES
from vitprobe.data.order import ORDERS
from vitprobe.models.from_torchvision import torchvision_names
from vitprobe.models.zoo import ALIASES, OWN
from vitprobe.taps.tokens import TOKENS
from vitprobe.training.settings import MODES, SCHEDULERS

COMMAND = "import sys; sys.argv = ['vitprobe']; from vitprobe.cli import main; main()"


def asked(cwd=None, **variables) -> list[str]:
    """The lines that the command answers."""
    env = os.environ | variables
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], env=env, cwd=cwd, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def bash(*words, cwd=None):
    """As bash asks, whose words are broken already; the last is being typed."""
    return asked(
        cwd,
        _VITPROBE_COMPLETE="complete_bash",
        COMP_WORDS="\n".join(["vitprobe", *words]),
        COMP_CWORD=str(len(words)),
    )


def fish(line, cwd=None):
    return asked(
        cwd,
        _VITPROBE_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS=f"vitprobe {line}",
    )


@pytest.mark.parametrize(
    "words, offered",
    [
        (["ck"], ["cka"]),
        (["cka", "--prec"], ["--precision"]),
        (["train", "scr"], ["scratch"]),
        (["train", "-m", "pro"], ["probe"]),
        (["cka", "--dataset", "cif"], ["cifar10", "cifar100"]),
        (["cka", "--device", ""], ["auto", "cpu", "cuda", "cuda:0", "mps"]),
        (["cka", "--device", "=", "c"], ["cpu", "cuda", "cuda:0"]),
        (["cka", "--precision", "b"], ["bf16"]),
        (["recipes", "digits"], ["digits", "digits-resnet"]),
        (["train", "scratch", "--recipe", "de"], ["deit"]),
        (["compare-training", "small"], ["small-data"]),
        (["layers", "vit-z"], ["vit-zhu2023"]),
        (["cka", "--models", "vit,resnet2"], None),
        (["cka", "--models", "vit", "@", "di"], ["@digits"]),
        (["cka", "--models", "a", "=", "vit", "@", "d"], ["@digits"]),
        (["cka", "--models", "vit", "@", "digits,vit-l"], ["@digits,vit-l32"]),
        (["cka", "--models", "resnet18", "@"], ["@random", "@pretrained"]),
        (["maps", "--model", "vit,torchvision", ":", "vit_b"], ["vit_b_16", "vit_b_32"]),
        (["compare-training", "data-size", "--models", ""], []),
        (["cka", "--dataset", "npz", ":", "x"], []),  # bash completes files itself
    ],
)
def test_bash(words, offered):
    found = [line for line in bash(*words) if line]
    if offered is None:
        assert {"vit,resnet20", "vit,resnet200"} <= {*found}
    else:
        assert found == offered


def test_files_follow_a_colon_or_an_at_sign(tmp_path):
    for name in ("a.npz", "a.pt", "a.txt", ".a.pt", "mine.toml"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert fish("cka --dataset npz:", tmp_path) == ["npz:a.npz", "npz:folder/"]
    found = fish("cka --models vit,early=vit@", tmp_path)
    assert found == [
        f"vit,early=vit@{word}" for word in ("random", "pretrained", "digits", "a.pt", "folder/")
    ]
    assert fish("train scratch --recipe m", tmp_path) == ["mine.toml"]


def test_zsh_is_told_what_options_do():
    variables = {"_VITPROBE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "vitprobe cka --dev"}
    (line,) = asked(**variables)
    assert line.startswith("_arguments '*: :((") and '"--device":"auto, cpu, cuda' in line


def test_nothing_heavy_is_loaded():
    """timm's names are read, not imported: a completion takes a moment."""
    code = (
        "import sys\nfrom vitprobe.cli import main\nsys.argv = ['vitprobe']\n"
        "try:\n    main()\nexcept SystemExit:\n"
        "    sys.exit(' '.join({'torch', 'timm', 'numpy', 'matplotlib'} & {*sys.modules}))"
    )
    env = {"_VITPROBE_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    env |= os.environ | {"COMP_WORDS": "vitprobe\ncka\n--models\nvit_tiny"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stderr.strip() == "" and "vit_tiny_patch16_224" in done.stdout.splitlines()


def test_the_words_are_those_that_the_options_take():
    assert list(completion.MODELS) == [*OWN, *ALIASES]
    assert completion.registered("timm") == sorted(timm.list_models())
    assert completion.registered("torchvision") == sorted(torchvision_names())
    assert list(completion.DATASETS) == list(NAMES) == ["digits", *SETS]
    assert [*completion.DATASETS_AT] == [f"{kind}:" for kind in FROM_PATH]
    assert tuple(MODES) == completion.MODES
    for name, words in (("order", ORDERS), ("tokens", TOKENS), ("scheduler", SCHEDULERS)):
        assert sorted(completion.WORDS[name]("")) == sorted(words)


def test_a_library_that_is_not_there_has_no_names():
    completion.REGISTERED["no_such_library"] = "x"
    try:
        assert completion.registered("no_such_library") == []
    finally:
        del completion.REGISTERED["no_such_library"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_in_a_real_bash(tmp_path):
    """The script that bash is given calls the command, and its answers become the choices."""
    command = tmp_path / "vitprobe"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{COMMAND}"\n')
    command.chmod(0o755)
    script = (
        'eval "$(_VITPROBE_COMPLETE=source_bash vitprobe)"\n'
        "COMP_WORDS=(vitprobe cka --models vit @ dig); COMP_CWORD=5\n"
        '$(complete -p vitprobe | sed "s/.*-F \\([^ ]*\\).*/\\1/") vitprobe\n'
        'echo "${COMPREPLY[@]}"\n'
    )
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("@digits\n", "")


def test_it_installs_itself(tmp_path):
    env = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-c", COMMAND.replace("['vitprobe']", "['vitprobe', *sys.argv[1:]]")]
    done = subprocess.run(
        [*command, "--install-completion", "bash"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0 and "bash completion installed" in done.stdout, done.stderr
    (written,) = (tmp_path / ".bash_completions").iterdir()
    assert "_VITPROBE_COMPLETE=complete_bash" in written.read_text()
    assert str(written) in (tmp_path / ".bashrc").read_text()


def test_files_of_features(tmp_path):
    for name in ("a.npz", "b.npz", "c.npy", "d.txt"):
        (tmp_path / name).touch()
    found = fish("cka --features late=", cwd=tmp_path)
    assert found == ["late=a.npz", "late=b.npz", "late=c.npy"]
    assert fish("cka --features a.npz,b", cwd=tmp_path) == ["a.npz,b.npz"]
    assert fish("cka --features a.npz c", cwd=tmp_path) == ["c.npy"]


def test_the_functions_of_bash_are_shown_and_define_a_completion():
    words = COMMAND.replace("['vitprobe']", "['vitprobe', '--show-completion', 'bash']")
    env = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run([sys.executable, "-c", words], env=env, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    script = f"{shown.stdout}\ncomplete -p vitprobe"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "vitprobe"
