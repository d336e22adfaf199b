"""A bar in a notebook's output, without any extension of it."""

from __future__ import annotations

import sys
import time
from html import escape

from vitprobe.passes.progress import Going


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


DRAW_EVERY = 0.2  # seconds: each drawing is a message to the notebook


class NotebookBar:
    """How a run goes, drawn anew in its place; it goes away at the end."""

    def __init__(self, going: Going):
        self._going, self._shown = going, None

    def start(self) -> None:
        """Show it."""
        from IPython.display import display

        self._shown = display(self, display_id=True)
        self._next = time.monotonic() + DRAW_EVERY

    def draw(self) -> None:
        """Show how far it is, unless that was done just now."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + DRAW_EVERY
            self._shown.update(self)

    def stop(self) -> None:
        """Take it away."""
        from IPython.display import HTML

        self._shown.update(HTML(""))

    def __repr__(self) -> str:
        return self._going.words()

    def _repr_html_(self) -> str:
        going = self._going
        parts = "" if going.total is None else f' max="{going.total}" value="{going.done}"'
        return (
            f'<progress{parts} style="width: 240px; vertical-align: middle"></progress> '
            f"<small>{escape(going.words())}</small>"
        )
