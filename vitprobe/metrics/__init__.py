"""Streaming statistics of activations, as `torchmetrics.Metric`s; no models here."""

from vitprobe.metrics.cka import CKA, CKAResult

__all__ = ["CKA", "CKAResult"]
