"""Readers of a pass, one for each kind of thing that may be wanted of a model."""

from collections.abc import Mapping
from typing import Any

import torch
import xarray as xr
from torchmetrics import MeanMetric, Metric

from vitprobe.passes.provenance import data_facts, model_facts, run_attributes
from vitprobe.passes.reader import Reader
from vitprobe.passes.wants import Activations, AttentionOf, Calls, OwnForward
from vitprobe.taps import select


class Means(Reader):
    """The mean of one number for each example and place, of the first model."""

    def __init__(self, layers="all"):
        self.layers = layers

    def facts(self, inputs) -> list[dict[str, Any]]:
        facts = {"analysis": self.analysis, **model_facts("model", inputs.subjects[0])}
        return [facts | data_facts(inputs) | {"layers": str(self.layers)}]

    def begin(self, models, inputs, notes):
        wants, names = self.wanted(models[0])
        self.about = {"names": names}
        return wants

    def wanted(self, model):
        sites = select(model.sites, self.layers).sites
        return [self.kind(0, sites, self.take)], [site.name for site in sites]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        return {name: MeanMetric().set_dtype(torch.float64) for name in about["names"]}

    @classmethod
    def results(cls, about, metrics, ran) -> list[xr.Dataset]:
        values = [metrics[name].compute().item() for name in about["names"]]
        attributes = run_attributes(about["facts"][0]) | ran.attributes
        attributes["notes"] = "\n".join(ran.notes)
        return [xr.Dataset({"mean": ("place", values)}, {"place": about["names"]}, attributes)]


class Norms(Means):
    """|x| of every activation."""

    analysis, kind = "norms", Activations

    def take(self, site, x, twin):
        self.metrics[site.name].update(x.double().flatten(1).norm(dim=1))


class QueryNorms(Means):
    """|q| of every attention."""

    analysis, distinct = "query_norms", 1

    def wanted(self, model):
        sites = [site for site in model.attention if not site.reason]
        return [AttentionOf(0, sites, self.take)], [site.name for site in sites]

    def take(self, site, attention):
        self.metrics[site.name].update(attention.q.double().flatten(1).norm(dim=1))


class Gains(Means):
    """|f(x)| / |x| of every module that is given one tensor and gives one of this shape."""

    analysis, kind = "gains", Calls

    def take(self, site, call):
        x, y = call.args[0].double().flatten(1), call.output.double().flatten(1)
        self.metrics[site.name].update(y.norm(dim=1) / x.norm(dim=1))


class Sensitivities(Means):
    """The gradient's norm of each output's sum with respect to the image."""

    analysis, distinct = "sensitivities", 1

    def wanted(self, model):
        self.model = model.subject.model
        return [OwnForward(0, self.take)], ["image"]

    def take(self, images):
        with torch.enable_grad():
            x = images.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.model(x).sum(), x)
        self.metrics["image"].update(gradient.double().flatten(1).norm(dim=1))
