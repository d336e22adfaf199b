"""The bar in a notebook: what is displayed, how often, and that it goes away."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from vitprobe.passes import notebook as module
from vitprobe.passes.bar import Bar
from vitprobe.passes.notebook import in_notebook
from vitprobe.passes.progress import Ahead


@pytest.fixture
def displayed(monkeypatch):
    """A notebook's kernel: the HTML that stands in the cell's output, after each change."""
    found = []

    def shown(value, display_id=False):
        found.append(value._repr_html_())
        return SimpleNamespace(update=lambda new: found.append(new._repr_html_()))

    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display.display = shown
    display.HTML = lambda text: SimpleNamespace(_repr_html_=lambda: text)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_where_it_is_no_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    terminal = ModuleType("IPython")
    terminal.get_ipython = lambda: SimpleNamespace()  # IPython at a terminal has no kernel
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert not in_notebook()


def test_a_run(displayed, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bar = Bar(lambda: now[0])
    with bar:
        bar.start(Ahead(1000))
        bar.show()
        for step in range(1, 11):
            now[0] += 0.0501
            bar.advance(100 * step)
    assert 'max="1000" value="0"' in displayed[0]
    assert "400 of 1,000 examples" in displayed[1] and 'value="400"' in displayed[1]
    assert len(displayed) == 4, "in half a second once at first, twice then, and it goes away"
    assert displayed[-1] == ""
    assert capsys.readouterr() == ("", "")


def test_a_stream_of_which_nobody_knows_the_end(displayed, monkeypatch):
    monkeypatch.setattr(module, "DRAW_EVERY", 0.0)
    bar = Bar()
    with bar:
        bar.start(Ahead(None))
        bar.show()
        bar.advance(64)
    assert displayed[2].startswith("<progress style") and "64 examples" in displayed[2]
