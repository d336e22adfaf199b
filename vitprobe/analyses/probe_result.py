"""What was kept -> the labelled Dataset of one model's probes."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitprobe.analyses.probe_fit import Examples, Fitted, Sums, fit_examples, fit_sums
from vitprobe.analyses.probe_options import ProbeOptions
from vitprobe.analyses.probe_roles import check_classes, draw
from vitprobe.errors import InputError, say
from vitprobe.metrics.probe_sums import ProbeSums, Told
from vitprobe.metrics.silence import NEVER
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran


class Rows:
    """Which rows are whose, and their labels.

    labels: int64 of every row, -1 where the image was not seen.
    """

    def __init__(self, about: Mapping[str, Any], labels: Tensor, options: ProbeOptions):
        roles, self.options, self.seed = about["roles"], options, about["seed"]
        self.labels = labels.cpu()
        self.first = roles["fit"], roles["fit"] + roles["held"]
        seen = self.labels >= 0
        if not seen.any():
            raise InputError("there are no images")
        self.fit, self.held, self.test = (
            part.nonzero()[:, 0] + start
            for part, start in zip(
                torch.tensor_split(seen, self.first), (0, *self.first), strict=True
            )
        )
        train = torch.cat([self.fit, self.held])
        check_classes(about["data"], self.labels[train].numpy(), self.labels[self.test].numpy())
        self.classes = roles["classes"] or int(self.labels.max()) + 1
        drawn = roles["draws"]
        if options.shots and drawn is None:
            found = draw(about["data"], self.labels[self.fit], options.shots,
                         options.count_of_draws, self.seed)  # fmt: skip
            self.draws = [self.fit[torch.from_numpy(one)] for one in found]
        elif drawn:
            self.draws = [torch.tensor([row for row in one if seen[row]]) for one in drawn]
        else:
            self.draws = [self.fit]

    @property
    def trained(self) -> int:
        """Training images of one probe."""
        refit = 0 if self.options.shots else len(self.held)
        return len(self.draws[0]) + refit

    @property
    def chance(self) -> float:
        """Accuracy of always naming the most frequent training class."""
        named = self.labels[torch.cat([self.fit, self.held])].bincount().argmax()
        return (self.labels[self.test] == named).double().mean().item()

    def fitted(self, metric: ProbeSums, token: int) -> Fitted:
        """The probe of one token of a layer."""
        start = self.first[0] if metric.streams else 0
        kept = metric.kept[:, token]

        def examples(rows: Tensor) -> Examples:
            return Examples(kept[(rows - start).to(kept.device)], self.labels[rows])

        held, test = examples(self.held), examples(self.test)
        if metric.streams:
            counts = self.labels[self.fit].bincount(minlength=self.classes).to(metric.gram)
            sums = Sums(metric.gram[token], metric.of_classes[token], counts)
            return fit_sums(sums, held, test, self.classes, self.options)
        draws = [examples(one) for one in self.draws]
        return fit_examples(draws, held, test, self.classes, self.options)


def model_dataset(
    about: Mapping[str, Any],
    model: Mapping[str, Any],
    sums: Sequence[ProbeSums],
    told: Told,
    silent: Sequence[str],
    facts: Mapping[str, Any],
    ran: Ran,
) -> xr.Dataset:
    """One model's probes, with names, reasons and provenance.

    model: of the reader's `about`. silent: for each layer why it has no value after all, or "".

    Raises:
        InputError: the images have too few labels or classes, where only they tell.
    """
    began = time.monotonic()
    options = ProbeOptions(**_options(about["options"]))
    labels, own = told.compute()
    rows, notes, sites = Rows(about, labels, options), list(ran.notes), model["sites"]
    tokens = max(site["tokens"] for site in sites)
    draws = len(rows.draws)
    accuracies = np.full((len(sites), tokens, draws), np.nan)
    l2s = np.full((len(sites), tokens), np.nan)
    hows, blanks = [], []
    for layer, (site, metric) in enumerate(zip(sites, sums, strict=True)):
        blank, how = _blank(metric, silent[layer]), ""
        for token in range(0 if blank else site["tokens"]):
            found = rows.fitted(metric, token)
            if not found.blank:
                accuracies[layer, token], l2s[layer, token] = found.accuracies, found.l2
            how = how or found.how
            blank = blank or found.blank
        if site["tokens"] > 1 and np.isfinite(accuracies[layer]).any():
            blank = ""  # of some tokens alone
        hows.append(f"{how}, projected" if how and site["width"] < site["features"] else how)
        blanks.append(blank)
    mean = accuracies.mean(-1)
    tested = len(rows.test)
    if draws > 1:
        error = accuracies.std(-1, ddof=1) / math.sqrt(draws)
    else:
        error = np.sqrt(mean * (1 - mean) / max(tested - 1, 1))
    dims = ("layer", "token") if options.tokens == "each" else ("layer",)
    shape = mean.shape if len(dims) == 2 else mean.shape[:1]
    variables = {
        "accuracy": (dims, mean.reshape(shape), "share of test images whose class it names"),
        "accuracy_se": (dims, error.reshape(shape), "standard error of accuracy"),
        "l2": (dims, l2s.reshape(shape), "penalty"),
    }
    if options.shots:
        of_draws = accuracies.reshape(*shape, draws)
        variables["accuracy_of_draw"] = ((*dims, "draw"), of_draws, "accuracy of each draw")
    if options.tokens == "each":
        variables["accuracy_map"] = (("layer", "row", "col"), _maps(mean, sites),
                                     "accuracy of each patch")  # fmt: skip
    dataset = xr.Dataset(
        {
            name: (own_dims, values, {"long_name": words, "units": "1"})
            for name, (own_dims, values, words) in variables.items()
        },
        coords=_coordinates(sites, model["block_outputs"], hows, blanks),
    )
    attributes = {
        "examples_train": rows.trained,
        "examples_held_out": len(rows.held),
        "examples_test": tested,
        "classes": rows.classes,
        "chance": rows.chance,
        "accuracy_se_of": "draws" if draws > 1 else "test images",
    }
    if model["own"] and (accuracy := _own(own.cpu(), rows)) is not None:
        attributes["own_accuracy"] = accuracy
    wide = [site for site in sites if site["width"] < site["features"]]
    if wide:
        say(notes, f"{model['label']}: {len(wide)} layers with up to "
            f"{max(site['features'] for site in wide):,} features are projected at random to "
            f"{wide[0]['width']:,}")  # fmt: skip
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "seconds_solving": round(time.monotonic() - began, 4),
        **attributes,
        "model_image_size": ", ".join(map(str, model["image_size"])),
        "notes": "\n".join(notes),
        **versions(),
    }
    return dataset


def _options(held: Mapping[str, Any]) -> dict[str, Any]:
    pool = held["pool"]
    return {**held, "pool": None if pool is None else tuple(pool)}


def _blank(metric: ProbeSums, silent: str) -> str:
    if silent:
        return silent
    first = int(metric.first_bad)
    return "" if first == NEVER else f"non-finite values (first in batch {first})"


def _own(answers: Tensor, rows: Rows) -> float | None:
    """Of the model's own classifier on the test images; None where it has other classes."""
    found = answers[rows.test]
    return (found == rows.labels[rows.test]).double().mean().item()


def _maps(mean: np.ndarray, sites: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(layers, rows, columns); NaN where a layer has fewer, or its grid is not known."""
    rows, columns = (max(1, *(site[key] for site in sites)) for key in ("rows", "columns"))
    found = np.full((len(sites), rows, columns), np.nan)
    for layer, site in enumerate(sites):
        if site["rows"]:
            patches = mean[layer, site["prefix"] : site["tokens"]]
            found[layer, : site["rows"], : site["columns"]] = patches.reshape(
                site["rows"], site["columns"]
            )
    return found


def _coordinates(
    sites: Sequence[Mapping[str, Any]],
    block_outputs: Sequence[str],
    hows: Sequence[str],
    blanks: Sequence[str],
) -> dict[str, Any]:
    columns = {
        "type": [site["type"] for site in sites],
        "block": [site["block"] for site in sites],
        "block_output": block_outputs,
        "solved_by": hows,
        "blank": blanks,
    }
    found = {name: ("layer", strings(column)) for name, column in columns.items()}
    for name in ("features", "width", "tokens", "prefix", "rows", "columns"):
        found[name] = ("layer", np.array([site[name] for site in sites]))
    names = strings([site["name"] for site in sites])
    return {**found, "layer": names, "depth": ("layer", np.arange(len(sites)))}
