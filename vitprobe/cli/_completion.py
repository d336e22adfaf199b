"""What a shell offers at <TAB>: words of options by their names, without loading torch.

Every command's options are completed by what they are called: see WORDS. An option whose definition
has an `autocompletion` of its own keeps it.
"""

import contextlib
import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Annotated, get_args, get_origin

VARIABLE = "_VITPROBE_COMPLETE"  # set by the shell's function; `complete_bash`, ...
WEIGHTS = (".pt", ".pth", ".th", ".t7", ".ckpt", ".safetensors", ".bin")
MODES = ("pretrain", "finetune", "resnet", "scratch", "probe")
FEATURES = (".npz", ".npy", ".safetensors")
STUDIES = Path(__file__).parents[1] / "training" / "studies"
RECIPES = Path(__file__).parents[1] / "training" / "recipes"
DATASETS = ("digits", "cifar10", "cifar100", "svhn", "mnist", "fashionmnist")
DATASETS_AT = {  # which files may follow; a folder always
    "imagefolder:": (),
    "zip:": (".zip",),
    "npz:": (".npz",),
    "wds:": (".tar",),
    "hfds:": (".parquet",),
}
MODELS = (
    *("vit", "vit-zhu2023", "vit-small-data", "resnet18", "resnet34", "resnet50", "resnet101"),
    *("resnet20", "resnet32", "resnet44", "resnet56"),
    *("lambda_resnet26", "lambda_resnet38", "lambda_resnet50"),
    *("mini-vit", "base-vit", "vit-l32"),
)
MODELS_AT = ("torchvision:", "hf:", "hf-hub:", "local-dir:")
MARKS = re.compile("[=:@]+")  # at which bash breaks words
SHIPPED = ("vit", "resnet20")  # with trained weights, `@digits`
# How libraries mark the models that they list; to import them would take seconds.
REGISTERED = {
    "timm": r"^@register_model\n(?:@.*\n)*def (\w+)\(",
    "torchvision": r"^@register_model\(.*\)\n(?:@.*\n(?:[ )].*\n)*)*def (\w+)\(",
}


def models(incomplete: str) -> list[str]:
    """Specs, with commas between them: names, and what may follow an @."""
    before, comma, spec = incomplete.rpartition(",")
    head = before + comma
    name, at, weights = spec.partition("@")
    label, equals, name = name.rpartition("=") if "(" not in name else ("", "", name)
    head += label + equals
    if at:
        words = ["random", "pretrained", *(["digits"] if name in SHIPPED else [])]
        return [f"{head}{name}@{word}" for word in [*words, *_files(weights, WEIGHTS)]]
    if name.startswith("torchvision:"):
        return [f"{head}torchvision:{found}" for found in registered("torchvision")]
    others = registered("timm") if name else []
    return [head + word for word in dict.fromkeys([*MODELS, *MODELS_AT, *others])]


def datasets(incomplete: str) -> list[str]:
    """Names, and for those with a colon the files."""
    kind, colon, path = incomplete.partition(":")
    if colon:
        return [f"{kind}:{found}" for found in _files(path, DATASETS_AT.get(f"{kind}:", ()))]
    return [*DATASETS, *DATASETS_AT]


def features(incomplete: str) -> list[str]:
    """Files of activations, with commas between them and a label before each."""
    head, path = re.fullmatch(r"((?:.*,)?(?:[^=,/]*=)?)(.*)", incomplete).groups()
    return [head + found for found in _files(path, FEATURES)]


def recipes(incomplete: str) -> list[str]:
    """Those that ship, and files."""
    return [*sorted(path.stem for path in RECIPES.glob("*.toml")), *_files(incomplete, (".toml",))]


def studies(incomplete: str) -> list[str]:
    """Those that ship, and files."""
    return [*sorted(path.stem for path in STUDIES.glob("*.toml")), *_files(incomplete, (".toml",))]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """The same words, whatever was typed."""

    def offered(incomplete: str) -> list[str]:
        return list(words)

    return offered


WORDS = {
    "model": models,
    "models": models,
    "features": features,
    "more": features,
    "dataset": datasets,
    "test_dataset": datasets,
    "recipe": recipes,
    "mode": one_of(*MODES),
    "mode_option": one_of(*MODES),
    "device": one_of("auto", "cpu", "cuda", "cuda:0", "mps"),
    "precision": one_of("fp32", "bf16"),
    "split": one_of("train", "test", "val"),
    "order": one_of("seeded", "file"),
    "tokens": one_of("all", "cls", "patches", "mean"),
    "layers": one_of("all", "modules", "blocks"),
    "estimator": one_of("unbiased", "biased"),
    "kernel": one_of("linear", "rbf"),
    "normalize": one_of("pixels", "uniform", "diagonal"),
    "scheduler": one_of("cosine", "tanh", "poly", "step", "none"),
    "optimizer": one_of("adamw", "adam", "sgd", "nesterov"),
    "pool": one_of("cls", "mean"),
}


def completed(command: Callable) -> Callable:
    """The same command; its parameters are completed as WORDS says."""
    for name, parameter in signature(command, eval_str=True).parameters.items():
        if name in WORDS and get_origin(parameter.annotation) is Annotated:
            definition = get_args(parameter.annotation)[1]
            definition.autocompletion = definition.autocompletion or WORDS[name]
    return command


def registered(library: str) -> list[str]:
    """The library's model names, read in its source."""
    spec = find_spec(library)
    folders = spec.submodule_search_locations if spec else None
    names = []
    for path in sorted(Path(folders[0], "models").glob("*.py")) if folders else ():
        with contextlib.suppress(OSError, UnicodeError):
            names += re.findall(REGISTERED[library], path.read_text("utf-8"), re.MULTILINE)
    return sorted(set(names))


def _files(text: str, endings: tuple[str, ...]) -> list[str]:
    """Folders, and files of these endings, that begin with the text.

    None for bash, which completes them itself.
    """
    if os.environ.get(VARIABLE) == "complete_bash":
        return []
    folder, name = os.path.split(text)
    found = []
    with contextlib.suppress(OSError, ValueError):
        for entry in os.scandir(os.path.expanduser(folder) or "."):
            hidden = entry.name[0] == "." and not name
            if hidden or not entry.name.startswith(name):
                continue
            if entry.is_dir() or entry.name.endswith(endings):
                end = os.sep if entry.is_dir() else ""
                found.append(os.path.join(folder, entry.name) + end)
    return sorted(found)


@contextlib.contextmanager
def whole_words() -> Iterator[None]:
    """In here a completion for bash sees `early=vit@digits` as one word.

    bash breaks words at = : and @, and replaces what follows the last = or :, or the last @ and
    what follows it. So the words are put together, and the answers lose what stands before.
    """
    if os.environ.get(VARIABLE) != "complete_bash":
        yield
        return
    place = int(os.environ["COMP_CWORD"])
    words = [*_split(os.environ["COMP_WORDS"])[: place + 1], ""][: place + 1]
    joined = words[:1]
    for before, word in pairwise(words):
        if word == "=" and before.startswith("-"):
            joined.append("")  # --option=
        elif MARKS.fullmatch(word) or MARKS.fullmatch(before):
            joined[-1] += word
        else:
            joined.append(word)
    replaced = re.search("@?[^=:@]*$", joined[-1])[0] if words[-1] != joined[-1] else joined[-1]
    os.environ["COMP_WORDS"] = shlex.join(joined)
    os.environ["COMP_CWORD"] = str(len(joined) - 1)
    answers = io.StringIO()
    try:
        with contextlib.redirect_stdout(answers):
            yield
    finally:
        lines = answers.getvalue().splitlines()
        print("\n".join(line[len(joined[-1]) - len(replaced) :] for line in lines))


def _split(text: str) -> list[str]:
    """The words as the shell means them; one whose quote is still open ends where the text does."""
    for end in ("", "'", '"'):
        with contextlib.suppress(ValueError):
            return shlex.split(text + end)
    return text.split()
