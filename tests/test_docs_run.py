"""Every block of Python and every command of README.md and docs/ runs, page by page, in order.

Each page has a folder and a namespace of its own, and the files that it speaks of. The digits are
few, trainings are of one epoch, and commands draw blanks (figures have tests of their own).
"""

import re
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import children
import pytest
import typer
from docs_files import FILES
from docs_pages import PAGES, blocks, name_of
from terminal import Once, Terminal

from vitprobe import cli
from vitprobe.data import named, order
from vitprobe.figures import style
from vitprobe.training import resolve
from vitprobe.training.study import read_study

TEST_IMAGES, TRAIN_IMAGES = 48, 160
EPOCHS = 1
OWN_TESTS = {  # what runs them instead
    "extending": "test_docs_extending.py",
    "passes": "test_docs_passes.py",
    "probe-solvers": "test_docs_probe_solvers.py",
    "gallery": "test_docs_pictures.py: commands of the other pages",
}
NOT_RUN = {  # commands with this in them are understood, and not run
    r"cifar10(?!-)|cifar100|--dataset mnist|small-data": "downloads a data set",
    r"@pretrained|facebook/": "downloads weights",
    r"imagenet|dino": "needs the images and weights of others",
    r"^compare-training data-size$": "downloads a data set",
    r"--model_name (?:vit|resnet20)-[\d$]": "six trainings: other pages have them one by one",
    r"--output try$": "six trainings, of two models on parts of the digits: data-size does that",
    r"--tokens each": "a probe for each of 65 tokens of each block: tests/analyses/test_probe.py",
    r"^demo$": "opens a browser: tests/cli/test_report_command.py",
    r"^tune$": "needs a GPU",
    r"~/shards": "reads the user's shards; those that the page makes are read by its Python",
    r"^--install-completion": "writes to the files of the user's shell",
}
NEEDS = {"coming-from": ("torch_cka", "cka", "torchlens", "rsatoolbox")}  # of the extra [docs]
ALONE = ("coming-from",)  # torchlens puts its functions in torch's place, for the whole process
DOWNLOADS = "download=True"  # in a block of Python: it is not run either


def _few_digits():
    @cache
    def few(split):
        data = named_digits(split)
        count = TEST_IMAGES if split == "test" else TRAIN_IMAGES
        data.images, data.labels = data.images[:count], data.labels[:count]
        return data

    named_digits = named.digits
    return few


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """What takes time is small."""
    resolved = resolve.resolve

    def shortened(*args, **options):
        settings = resolved(*args, **options)
        return replace(settings, epochs=min(settings.epochs, EPOCHS))

    def smaller(*asked):
        study = read_study(*asked)
        shares = tuple(share for share in study.fractions if share >= 0.1)
        return replace(study, seeds=study.seeds[:1], fractions=shares)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("train", "study_runs"):
            patch.setattr(import_module(f"vitprobe.training.{module}"), "resolve", shortened)
        studies = import_module("vitprobe.analyses.compare_training")
        patch.setattr(studies, "read_study", smaller)
        patch.setattr(order, "how_many", lambda n, examples: min(n, examples or n))
        patch.setattr(named, "digits", _few_digits())
        patch.setenv("COLUMNS", "200")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(style.NotebookFigure, "savefig", _not_drawn)
        blank = style.new_figure()
        blank.set_size_inches(1, 1)
        for module in iter_modules(cli.__path__, f"{cli.__name__}."):
            for name in ("plot", "compare") if "._" in module.name else ():
                if hasattr(import_module(module.name), name):
                    patch.setattr(f"{module.name}.{name}", lambda *results, **how: blank)
        yield


def _not_drawn(self, file, **how):
    file.write(b"") if hasattr(file, "write") else Path(file).touch()


def _run(once, words):
    line = " ".join(words)
    if not any(re.search(pattern, line) for pattern in NOT_RUN):
        return once(words)
    group = typer.main.get_command(cli.app)
    if words[0] in group.commands:
        assert group.commands[words[0]].make_context(words[0], words[1:]).params is not None
    return "", "", 0


@pytest.fixture(scope="module")
def terminal(tmp_path_factory):
    once = Once(tmp_path_factory.mktemp("once"))
    terminal = Terminal(partial(_run, once))
    yield terminal
    terminal.close()


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if name_of(page) not in OWN_TESTS], ids=name_of
)
def test_its_code_runs(page, terminal, tmp_path, monkeypatch):
    if lacking := [name for name in NEEDS.get(name_of(page), ()) if find_spec(name) is None]:
        pytest.skip(f"the packages of the extra [docs] are not all there: {', '.join(lacking)}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, write in FILES.get(name_of(page), {}).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write(Path(name))
    if name_of(page) in ALONE:
        code = "\n".join(code for language, code in blocks(page) if language == "python")
        out, err = (child := children.start(code)).communicate(timeout=300)
        assert child.returncode == 0, err
        return
    names = {"__name__": "__main__"}
    for language, code in blocks(page):
        if language == "python" and DOWNLOADS not in code:
            exec(compile(code, page.name, "exec"), names)
        elif language == "sh" and re.search(r"^\s*vitprobe ", code, re.MULTILINE):
            terminal(code)


def test_what_is_not_run_is_there():
    """Each exception is one of some page's command."""
    lines = "\n".join(code for page in PAGES for kind, code in blocks(page) if kind == "sh")
    commands = re.findall(r"\bvitprobe ([a-z-].*?)(?:\s+#.*)?$", lines, re.MULTILINE)
    for pattern in NOT_RUN:
        assert any(re.search(pattern, command) for command in commands), pattern
