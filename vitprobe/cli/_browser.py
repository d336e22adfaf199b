"""Showing a page in the reader's browser."""

import os
import sys
import webbrowser
from pathlib import Path

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def shown(path: Path) -> bool:
    """Whether a browser was started on the file: never one within the terminal, which is all that
    there is where Linux has no screen."""
    if sys.platform == "linux" and not any(map(os.environ.get, SCREENS)):
        return False
    try:
        return webbrowser.open(path.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False
