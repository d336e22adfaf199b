"""Results to one self-contained HTML page: `vitprobe.page`.

`sections/NAME.py` says what the page draws of the analysis NAME, in the kinds of `kinds.py`;
`assets/` draws these kinds in a browser.
"""

from vitprobe.report.document import results_on
from vitprobe.report.page import Page, page, page_of

__all__ = ["Page", "page", "page_of", "results_on"]
