"""Where numbers leave a model: activations read inside the forward, under the right names."""

from vitprobe.taps.attention import attention_sites, capture_attention
from vitprobe.taps.attention_site import Attention, AttentionSite
from vitprobe.taps.capture import capture
from vitprobe.taps.restore import as_found
from vitprobe.taps.selection import Selection, select
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.survey import survey
from vitprobe.taps.writes import WriteWatch

__all__ = [
    "Attention",
    "AttentionSite",
    "Selection",
    "Site",
    "Survey",
    "WriteWatch",
    "as_found",
    "attention_sites",
    "capture",
    "capture_attention",
    "select",
    "survey",
]
