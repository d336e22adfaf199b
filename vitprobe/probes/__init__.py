"""Linear probes and nearest neighbours: functions of arrays, no models here."""

from vitprobe.probes.features import probe_features
from vitprobe.probes.few_shot import big_vision, big_vision_weights, shots_of
from vitprobe.probes.knn import knn_scores
from vitprobe.probes.logistic import logistic
from vitprobe.probes.predictions import accuracy, predictions
from vitprobe.probes.result import ProbeResult
from vitprobe.probes.ridge import plus_minus_one, ridge, ridge_from_sums
from vitprobe.probes.standardise import standard

__all__ = [
    "ProbeResult",
    "accuracy",
    "big_vision",
    "big_vision_weights",
    "knn_scores",
    "logistic",
    "plus_minus_one",
    "predictions",
    "probe_features",
    "ridge",
    "ridge_from_sums",
    "shots_of",
    "standard",
]
