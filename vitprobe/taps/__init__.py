"""Where numbers leave a model: activations read inside the forward, under the right names."""

from vitprobe.models.restore import as_found
from vitprobe.taps.attention import attention_sites, capture_attention
from vitprobe.taps.attention_site import Attention, AttentionSite
from vitprobe.taps.calls import Call, capture_calls
from vitprobe.taps.capture import Request, capture, capture_all
from vitprobe.taps.residuals import ResidualSite, capture_residuals, residual_sites
from vitprobe.taps.selection import Selection, select
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.stored_features import StoredFeatures
from vitprobe.taps.survey import survey
from vitprobe.taps.writes import WriteWatch

__all__ = [
    "Attention",
    "AttentionSite",
    "Call",
    "Request",
    "ResidualSite",
    "Selection",
    "Site",
    "StoredFeatures",
    "Survey",
    "WriteWatch",
    "as_found",
    "attention_sites",
    "capture",
    "capture_all",
    "capture_attention",
    "capture_calls",
    "capture_residuals",
    "residual_sites",
    "select",
    "survey",
]
