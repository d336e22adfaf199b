"""Effective receptive fields as a reader of a pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses.receptive_field_conventions import CONVENTIONS, check, signed
from vitprobe.analyses.receptive_field_look import Fields, look
from vitprobe.analyses.receptive_field_result import model_dataset
from vitprobe.data.model_input import ModelInput
from vitprobe.errors import say
from vitprobe.metrics.receptive_field import FieldSums
from vitprobe.metrics.silence import Silence
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import OwnForward
from vitprobe.taps.image_gradients import Target, forward, gradients

GRAPH_BYTES = 2**30  # of one forward's graph: of larger batches some images at a time
CHUNK_BYTES = 2**28  # of what several backward passes at once carry
AT_ONCE = 8


class ReceptiveFieldReader(Reader):
    """Which pixels the centre of each layer depends on, as `vitprobe.receptive_field` gives it, in
    any pass.

    Each batch has a forward of its own with gradients, and a backward pass for each layer. Results:
    one for each distinct model.

    Args:
        layers, residual, convention: as for `vitprobe.receptive_field`, of all models.
    """

    analysis = "receptive_field"

    def __init__(self, layers=None, residual: str = "post", convention: str = "raghu"):
        check(convention, residual)
        self.layers, self.residual, self.convention = layers, residual, convention

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        asked = {
            "layers": as_attribute(self.layers),
            "residual": self.residual,
            "convention": self.convention,
        }
        return facts_of_each(self.analysis, inputs, asked)

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[OwnForward]:
        self.fields = [
            look(model, self.layers, self.residual, self.convention, notes) for model in models
        ]
        self.about = {
            "models": [
                {
                    "label": fields.model.subject.label,
                    "image_size": list(fields.model.image_size),
                    "sites": fields.described,
                    "left_out": fields.left_out,
                }
                for fields in self.fields
            ]
        }
        return [
            OwnForward(fields.model.number, self._taker(k, fields))
            for k, fields in enumerate(self.fields)
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics = {}
        for k, model in enumerate(about["models"]):
            points = [site["point"] for site in model["sites"] if not site["twin"]]
            metrics[f"fields{k}"] = FieldSums(points, *model["image_size"])
            metrics[f"silence{k}"] = Silence(len(points))
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch

    def bytes_of_batch(self, n: int) -> int:
        graphs = [min(n * fields.bytes_of_image, GRAPH_BYTES) for fields in self.fields]
        maps = [n * 8 * 3 * _pixels(model) for model in self.about["models"]]
        return max(graphs, default=0) + max(maps, default=0) + CHUNK_BYTES

    def less(self) -> str:
        return "fewer layers"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        found = [metric.compute() for key, metric in metrics.items() if key.startswith("fields")]
        errors = (x for each in found for x in (each.centre_se, each.radii_se))
        return largest_finite(*map(torch.from_numpy, errors))

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        if ran.examples == 1:
            say(ran.notes, "one image only: no error bars (a standard error needs two)")
        return [
            model_dataset(model, metrics[f"fields{k}"], metrics[f"silence{k}"], facts, ran)
            for k, (model, facts) in enumerate(zip(about["models"], about["facts"], strict=True))
        ]

    def _taker(self, k: int, fields: Fields) -> Callable:
        model, way = fields.model.subject.model, CONVENTIONS[self.convention]
        rows = {target.name: row for row, target in enumerate(fields.targets)}
        with_signs = {site["name"] for site in fields.described if site["signed"]}

        def some(images: Tensor | ModelInput) -> set[str]:
            """One forward, and the gradients; what came."""
            values: dict[str, Tensor] = {}

            def take(target: Target, x: Tensor) -> None:
                place = way.place(target.grid.rows, target.grid.columns)
                channels = target.grid.at(x, place).float()
                channels = signed(channels) if target.name in with_signs else channels
                values[target.name] = way.value(channels)

            leaf = forward(model, images, fields.targets, take, fields.copies)
            several = _at_once(leaf, fields.bytes_of_image)
            found = gradients(list(values.values()), leaf, several)
            for name, gradient in zip(values, found, strict=True):
                maps = way.of_gradient(gradient.detach())
                self.metrics[f"fields{k}"].update(rows[name], maps, self._batch.number)
            return set(values)

        def take_batch(images: Tensor | ModelInput) -> None:
            part = max(1, GRAPH_BYTES // max(fields.bytes_of_image, 1))
            came = set(rows)
            for start in range(0, len(images), part):
                came &= some(images[start : start + part])
            silent = [row for name, row in rows.items() if name not in came]
            self.metrics[f"silence{k}"].update(silent, self._batch.number)

        return take_batch


def _pixels(model: Mapping[str, Any]) -> int:
    height, width = model["image_size"]
    return height * width


def _at_once(leaf: Tensor, bytes_of_image: int) -> int:
    """How many backward passes go together: on a CPU, which has to do the same work, one."""
    if leaf.device.type == "cpu":
        return 1
    # what one carries is a part of what the whole graph keeps
    return max(1, min(AT_ONCE, CHUNK_BYTES // max(len(leaf) * bytes_of_image // 8, 1)))
