"""Where numbers leave a model: activations read inside the forward, under the right names."""

from vitprobe.taps.capture import capture
from vitprobe.taps.restore import as_found
from vitprobe.taps.selection import Selection, select
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.survey import survey
from vitprobe.taps.writes import WriteWatch

__all__ = ["Selection", "Site", "Survey", "WriteWatch", "as_found", "capture", "select", "survey"]
