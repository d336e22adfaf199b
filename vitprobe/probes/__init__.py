"""Linear probes and nearest neighbours: functions of arrays, no models here."""

from vitprobe.probes.few_shot import big_vision, shots_of
from vitprobe.probes.knn import knn_scores
from vitprobe.probes.logistic import logistic
from vitprobe.probes.ridge import plus_minus_one, ridge, ridge_from_sums

__all__ = [
    "big_vision",
    "knn_scores",
    "logistic",
    "plus_minus_one",
    "ridge",
    "ridge_from_sums",
    "shots_of",
]
