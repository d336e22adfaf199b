"""Where a run's choices come from: option, `--config`, recipe, mode and data set, in this order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitprobe.data.downloads import SETS
from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.files import expanded
from vitprobe.models import find_checkpoint, read_checkpoint, stored
from vitprobe.models.architecture import MODELS as WITH_ARCHITECTURE
from vitprobe.models.names import find_source
from vitprobe.models.outline import weight_shapes
from vitprobe.models.spec import RANDOM, WORDS, Spec, parse_spec, split_key
from vitprobe.text import printable, shown
from vitprobe.training.naming import default_name
from vitprobe.training.recipe import Recipe, find_recipe
from vitprobe.training.settings import (
    ARCHITECTURE,
    MODES,
    NAMES,
    TRAINED,
    USUAL,
    Settings,
    one_of,
    typed,
)
from vitprobe.training.toml import read_toml

SAYS_WHAT = ("model", "dataset", "data_dir", "checkpoint")  # what is trained, not how
OF_ANY = ("image_size", "num_classes", "remove_skip")  # arguments of every model's spec
NO_RECIPES = ("mode", "model", "dataset", "recipe", "checkpoint")  # what a recipe is for
# The ViT of studies that pre-train on small images; of the data set that ships, see its recipe.
PRETRAIN_VIT = {
    "patch_size": 16,
    "dim": 128,
    "heads": 4,
    "depth": 12,
    "mlp_dim": 512,
    "dropout": 0.1,
}


def resolve(mode: str | None, options: Mapping[str, Any], config: str | None = None) -> Settings:
    """All choices of a run from those that were made.

    mode: a key of MODES, or None where `config` says it. options: long option name -> value;
    None: not given. config: a TOML file of such names, and of the table `augment`.

    Raises InputError for a name that no option has, a value that makes no sense, and choices that
    contradict each other.
    """
    given = _of_config(config) | {k: v for k, v in options.items() if v is not None}
    unknown = next((key for key in given if key not in NAMES), None)
    if unknown:
        where = f" in {config}" if config and unknown not in options else ""
        near = did_you_mean(unknown, NAMES) or f": the options are {', '.join(NAMES)}"
        raise InputError(f"unknown option {unknown!r}{where}{near}")
    given = {key: typed(key, value) for key, value in given.items()}
    mode = _agreed_mode(mode, given.pop("mode", None))
    given |= _data(given)
    given |= _model(mode, given)
    usual_recipe = _default_recipe(mode, given["dataset"], given["model"])
    recipe_name = given.get("recipe", usual_recipe)
    recipe = _checked_recipe(recipe_name)
    values = _choices(mode, recipe_name, recipe, given)
    missing = [key for key in ("batch_size", "epochs", "optimizer", "lr") if key not in values]
    if missing:
        raise InputError(f"recipe {recipe_name} says nothing of {', '.join(missing)}")
    if "model_name" not in values:
        plain = {key: value for key, value in given.items() if key in SAYS_WHAT}
        usual = USUAL | _choices(mode, recipe_name, recipe, plain)
        checked = Settings(**values, model_name="not yet named").as_dict()
        values["model_name"] = default_name(checked, usual, usual_recipe)
    name = printable(values["model_name"], None)
    if not re.fullmatch(r"[^/]+", name) or name != values["model_name"]:
        raise InputError(
            f"{option('model_name')} {printable(name)!r} is no file name; see {option('output')}"
        )
    return Settings(**values)


def _checked_recipe(name: str) -> Recipe:
    recipe = find_recipe(name)
    unknown = next((key for key in recipe.values if key not in NAMES or key in NO_RECIPES), None)
    if unknown:
        raise InputError(f"recipe {name}: {unknown!r} is no key of a recipe")
    for key, value in (recipe.values | {"augment": recipe.augment}).items():
        typed(key, value, f"recipe {name}: ")
    return recipe


def _choices(
    mode: str, recipe_name: str, recipe: Recipe, given: Mapping[str, Any]
) -> dict[str, Any]:
    """What was given, and what recipe, mode and data set make of the rest."""
    values = {"mode": mode, "recipe": recipe_name, "augment": recipe.augment}
    values |= recipe.values | given
    if given["dataset"] != "digits" and given["model"] == "vit":
        usual = {"pretrain": PRETRAIN_VIT, "finetune": {"dropout": PRETRAIN_VIT["dropout"]}}
        values = usual.get(mode, {}) | values
    if (given["model"], given["dataset"]) == ("vit-zhu2023", "svhn") and mode not in TRAINED:
        values = {"patch_size": 4} | values  # as its authors do
    if given["model"] not in WITH_ARCHITECTURE or mode in TRAINED:
        # a recipe's `pool` is for new networks that have one; what the user asks for is checked
        # later. Dropout is no part of a checkpoint.
        values = {
            k: v
            for k, v in values.items()
            if k not in ARCHITECTURE
            or k in given
            or (k == "dropout" and given["model"] in WITH_ARCHITECTURE)
        }
    return values


def _of_config(config: str | None) -> dict[str, Any]:
    if config is None:
        return {}
    values: dict[str, Any] = {}
    for written, value in read_toml(config).items():
        key = written.replace("-", "_")
        if key in values:
            raise InputError(f"{config} says {key} twice: once with - and once with _")
        values[key] = typed(key, value, f"{config}: ") if key in NAMES else value
    return values


def _agreed_mode(positional: str | None, option: str | None) -> str:
    """The mode, said once or twice."""
    mode = positional or option
    if mode is None:
        raise InputError(f"which mode? vitprobe train {' | '.join(MODES)}")
    one_of("mode", mode, MODES)
    if positional and option and positional != option:
        raise InputError(f"two modes, {positional!r} and {option!r}: give one")
    return mode


def _data(given: Mapping[str, Any]) -> dict[str, Any]:
    """`dataset` and `data_dir`; a folder alone says what it holds by its last part."""
    dataset, folder = given.get("dataset"), given.get("data_dir")
    if dataset or not folder:
        return {"dataset": dataset or "digits"}
    path = expanded(folder, option("data_dir"))
    name = re.sub(r"[-_ ]", "", path.name.lower())
    if path.suffix in (".zip", ".npz"):
        return {"dataset": f"{path.suffix[1:]}:{folder}", "data_dir": None}
    if name == "digits" or (name in SETS and not (path / "train").is_dir()):
        return {"dataset": name, "data_dir": None if name == "digits" else folder}
    if not path.is_dir():
        raise InputError(
            f"{option('data_dir')} {folder} is no folder, and {path.name!r} is none of digits, "
            f"{', '.join(SETS)}: check the path or name the {option('dataset')}"
        )
    return {"dataset": f"imagefolder:{folder}", "data_dir": None}


def _model(mode: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`model` and `checkpoint`: `--model NAME@WEIGHTS` and `--checkpoint` say the same thing."""
    spec, told = _options_of(parse_spec(given["model"]), given) if "model" in given else (None, {})
    named = None if spec is None or spec.weights == RANDOM else spec.weights_and_key
    checkpoint = given.get("checkpoint")
    if named and checkpoint and named != checkpoint:
        raise InputError(
            f"two checkpoints, {option('model')} {given['model']} and {option('checkpoint')} "
            f"{checkpoint}: give one"
        )
    checkpoint = checkpoint or named
    if mode in TRAINED and not checkpoint:
        raise InputError(
            f"{mode} starts from trained weights: name them with {option('checkpoint', 'FILE')} or "
            f"{option('model', 'NAME@FILE')} (or NAME@pretrained)"
        )
    if mode not in TRAINED and checkpoint:
        raise InputError(
            f"{mode} starts from random weights, but {checkpoint} was given: use finetune or probe"
        )
    if checkpoint not in (None, *WORDS):
        path, key = split_key(checkpoint)
        checkpoint = f"{find_checkpoint(path)}{f'#{key}' if key else ''}"
    name = spec.model if spec else None
    if name is None and checkpoint not in (None, *WORDS):
        name = _name_in(checkpoint)
    if mode == "resnet" and name is not None and not _has_batch_norm(name):
        raise InputError(f"resnet trains a ResNet, and {name} is none: use scratch")
    name = name or ("resnet18" if mode == "resnet" else "vit")
    return {"model": name, "checkpoint": checkpoint, **told}


def _name_in(checkpoint: str) -> str | None:
    """The model that a file says to be of. Raises InputError where it is none that is known."""
    path, key = split_key(checkpoint)
    name = stored.model_name(read_checkpoint(path, key).metadata, Path(path))
    if name is not None:
        try:
            find_source(parse_spec(name).name)
        except InputError as error:
            raise InputError(
                f"checkpoint {path} says that its model is {shown(name)} ({error}): give "
                f"{option('model')}"
            ) from error
    return name


def _options_of(spec: Spec, given: Mapping[str, Any]) -> tuple[Spec, dict[str, Any]]:
    """A spec without those arguments that are options of a run, and these."""
    own = ARCHITECTURE if spec.name in WITH_ARCHITECTURE else ()
    told = {k: v for k, v in spec.arguments.items() if k in (*own, *OF_ANY)}
    for key, value in told.items():
        if given.get(key, value) != value:
            raise InputError(
                f"two values of {key}, {value!r} in {option('model')} and {given[key]!r}: give one"
            )
    rest = {k: v for k, v in spec.arguments.items() if k not in told}
    return replace(spec, arguments=rest), told


def _default_recipe(mode: str, dataset: str, model: str) -> str:
    if mode == "probe":
        return "linear-probe"
    if dataset != "digits":
        return "adamw-augmented"
    return "digits-resnet" if _has_batch_norm(model) else "digits"


def _has_batch_norm(model: str) -> bool:
    spec = parse_spec(model)
    arguments = dict(spec.arguments)
    source = find_source(spec.name, arguments.pop("revision", None)).configured(arguments, None)
    weights = weight_shapes(source, 10, source.default_size(None))
    return any(key.endswith("running_mean") for key in weights)
