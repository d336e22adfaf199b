"""Streaming statistics of activations and attention, as `torchmetrics.Metric`s; no models here."""

from vitprobe.metrics.attention import AttentionMeans, AttentionResult
from vitprobe.metrics.cka import CKA, CKAResult

__all__ = ["CKA", "AttentionMeans", "AttentionResult", "CKAResult"]
