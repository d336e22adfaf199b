"""Accuracy of probes of every layer, as a reader of a pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses.probe_options import ProbeOptions
from vitprobe.analyses.probe_result import model_dataset
from vitprobe.analyses.probe_roles import roles_of
from vitprobe.analyses.probe_sites import ProbeSite, Sketch, probe_sites
from vitprobe.errors import InputError, option, say
from vitprobe.metrics.probe_sums import ProbeSums, Told
from vitprobe.metrics.silence import Silence
from vitprobe.ops.wide import wide_home
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader
from vitprobe.passes.schedule import queued
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations, Want
from vitprobe.taps import Site


class ProbeReader(Reader):
    """Probes of every layer, as `vitprobe.probe` gives them, in any pass.

    Images that are not joined of training and test images (`vitprobe.probe`, `vitprobe probe`) are
    divided here: a fifth of every class is for the test. Results: one for each distinct model.

    Args:
        layers, options: as for `vitprobe.probe`, of all models.

    Raises:
        InputError: options that there are none of, or that do not go together.
    """

    analysis = "probe"

    def __init__(self, layers: Any = None, **options: Any):
        self.options = ProbeOptions(**options)
        each = self.options.tokens == "each"
        self.layers = ("blocks" if each else "all") if layers is None else layers

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        train = getattr(inputs.loader.data, "train_name", "")
        asked = {"layers": as_attribute(self.layers), "train": train, **self.options.asked}
        return facts_of_each(self.analysis, inputs, asked)

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        self.models, options = list(models), self.options
        self.roles = roles = roles_of(
            inputs.loader,
            hold=options.chooses,
            shots=options.shots,
            draws=options.count_of_draws,
            seed=inputs.options.seed,
        )
        if options.k and options.k > roles.trained:
            raise InputError(
                f"{option('k', options.k)}: neighbours are 1 to {roles.trained:,} training images"
            )
        for note in roles.notes:
            say(notes, note)
        if not roles.own:
            fit, held, test = (f"{len(each):,}" for each in (roles.fit, roles.held, roles.test))
            say(
                notes,
                f"training and test images are drawn from {inputs.loader.name}: {fit} to fit on, "
                f"{held} to choose a penalty by, {test} to test on",
            )
        self.read = [probe_sites(each, self.layers, options, roles, notes) for each in models]
        self._device = wide_home(inputs.device)
        self._row = torch.full((int(roles.order.max()) + 1,), -1)
        self._row[roles.order] = torch.arange(len(roles.order))
        self._sketches: dict[tuple[int, int], Sketch] = {}
        owns = [_classifier(model, roles.classes) for model in models]
        self.about = {
            "models": [
                {
                    "label": model.subject.label,
                    "image_size": list(model.image_size),
                    "weights": str(model.subject.provenance.get("weights", "")),
                    "sites": [each.described for each in read],
                    "block_outputs": _block_outputs(model, read),
                    "own": own is not None,
                }
                for model, read, own in zip(models, self.read, owns, strict=True)
            ],
            "roles": roles.described,
            "data": inputs.loader.name,
            "seed": inputs.options.seed,
            "options": _as_json(options),
        }
        wants: list[Want] = []
        for k, (model, read, own) in enumerate(zip(models, self.read, owns, strict=True)):
            sites = [each.site for each in read]
            wants.append(Activations(model.number, sites, self._taker(k, read, inputs)))
            if own is not None:
                wants.append(Activations(model.number, [own], self._taker_of_own(k)))
        return wants

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        roles, metrics = about["roles"], {}
        all_rows = roles["fit"] + roles["held"] + roles["test"]
        for k, model in enumerate(about["models"]):
            metrics[f"told{k}"] = Told(all_rows)
            metrics[f"silence{k}"] = Silence(len(model["sites"]))
            for s, site in enumerate(model["sites"]):
                metrics[f"site{k}.{s}"] = ProbeSums(
                    all_rows - roles["fit"] * site["summed"],
                    site["tokens"],
                    site["width"],
                    roles["classes"] * site["summed"],
                    getattr(torch, site["dtype"]),
                )
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch, roles = batch, self.roles
        labels = batch.labels if roles.labels is None else roles.labels[batch.index]
        if labels is None:
            raise InputError("these images have no labels: probes need the class of every image")
        known = batch.index < len(self._row)
        rows = torch.where(known, self._row[batch.index.clamp(max=len(self._row) - 1)], -1)
        places = (rows >= 0).nonzero()[:, 0]
        fitted = ((rows >= 0) & (rows < len(roles.fit))).nonzero()[:, 0]
        others = (rows >= len(roles.fit)).nonzero()[:, 0]
        self._all = self._there(places), self._there(rows[places])
        self._others = self._there(others), self._there(rows[others] - len(roles.fit))
        self._fitted, self._onehot = self._there(fitted), None
        if roles.classes:
            onehot = torch.nn.functional.one_hot(labels[fitted], roles.classes)
            self._onehot = self._there(onehot.double())
        self._labels = self._there(labels[places])
        self._came: list[set[int]] = [set() for _ in self.read]
        for k in range(len(self.read)):
            self.metrics[f"told{k}"].update(self._all[1], self._labels)

    def finish(self) -> None:
        for k, (read, came) in enumerate(zip(self.read, self._came, strict=True)):
            silent = [s for s in range(len(read)) if s not in came]
            self.metrics[f"silence{k}"].update(silent, self._batch.number)

    def bytes_of_batch(self, n: int) -> int:
        sites = [each for read in self.read for each in read]
        most = max(each.tokens * each.features for each in sites)
        copied = max(each.site.features for each in sites)
        return n * (most * 3 * 8 + copied * 4)

    def less(self) -> str:
        few = self.layers in ("blocks", ["blocks"])
        layers = option("layers", None if few else "blocks")
        return f"fewer layers ({layers}), fewer images ({option('examples', 'N')})"

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        return [
            model_dataset(
                about,
                model,
                [metrics[f"site{k}.{s}"] for s in range(len(model["sites"]))],
                metrics[f"told{k}"],
                metrics[f"silence{k}"].reasons(),
                facts,
                ran,
            )
            for k, (model, facts) in enumerate(zip(about["models"], about["facts"], strict=True))
        ]

    def _there(self, x: Tensor) -> Tensor:
        return queued(x, self._device)

    def _taker(self, k: int, read: Sequence[ProbeSite], inputs: Inputs) -> Callable:
        places = {each.site.name: (s, each) for s, each in enumerate(read)}
        seed = inputs.options.seed

        def take(site: Site, x: Tensor, twin: Site | None) -> None:
            s, each = places[site.name]
            features = each.features_of(x, self.options)
            if each.width < each.features:
                key = each.features, each.width
                sketch = self._sketches.setdefault(key, Sketch(*key, seed))
                features = sketch(features)
            keep = self._others if each.summed else self._all
            metric = self.metrics[f"site{k}.{s}"]
            metric.update(features, keep, self._fitted, self._onehot, self._batch.number)
            self._came[k].add(s)

        return take

    def _taker_of_own(self, k: int) -> Callable:
        def take(site: Site, x: Tensor, twin: Site | None) -> None:
            classes = x.argmax(1).to(self._device)
            self.metrics[f"told{k}"].update_own(self._all[1], classes[self._all[0]])

        return take


def _classifier(model: Surveyed, classes: int) -> Site | None:
    """The model's own output, where it is a score for each class of the data."""
    site = model.sites.by_name.get("output")
    if site is None or site.reason or len(site.shape) != 1:
        return None
    return site if not classes or site.shape[0] == classes else None


def _block_outputs(model: Surveyed, read: Sequence[ProbeSite]) -> list[str]:
    """Of each layer the block whose output it is, "" where it is none's."""
    survey, found = model.sites, {}
    for site in survey:
        if site.block and site.block == site.module and site.keys is None and not site.reason:
            found[site.name] = found[site.twin or site.name] = site.block
    return [found.get(each.site.name, "") for each in read]


def _as_json(options: ProbeOptions) -> dict[str, Any]:
    found = {name: getattr(options, name) for name in ProbeOptions.__dataclass_fields__}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in found.items()
    }
