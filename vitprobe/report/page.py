"""Results as one HTML page that opens from disk, in a notebook, or on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import xarray as xr

import vitprobe
from vitprobe.analyses.paper import Paper
from vitprobe.analyses.paper_result import findings_table, left_out_table
from vitprobe.errors import InputError
from vitprobe.files import expanded
from vitprobe.report.document import html
from vitprobe.report.drawn import text
from vitprobe.report.provenance import labels, run_of
from vitprobe.report.section import Entry, sections
from vitprobe.report.words import citation
from vitprobe.text import printable
from vitprobe.writing import check_target, write_file

HEIGHT = 720  # pixels of a page in a notebook


@dataclass(frozen=True)
class Page:
    """A page. html: the whole file. As the last value of a notebook cell it shows itself."""

    title: str
    html: str = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file.

        Raises:
            InputError: the file cannot be written.
        """
        target = expanded(path, "path")
        check_target(target)
        data = self.html.encode()
        try:
            write_file(target, lambda file: file.write(data))
        except OSError as error:
            raise InputError(f"cannot write {printable(target)}: {error.strerror}") from error
        return target

    def _repr_html_(self) -> str:
        """The whole page within the notebook's, which survives its export."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="{escape(self.title)}" width="100%" '
            f'height="{HEIGHT}" sandbox="allow-scripts allow-downloads allow-popups" '
            'style="border: 1px solid #8884; border-radius: 6px"></iframe>'
        )


def page(*results: xr.Dataset | Paper, title: str | None = None) -> Page:
    """One HTML page of results, with nothing outside it: maps to point at, lines, images, numbers.

    >>> vitprobe.page(vitprobe.cka("vit", "resnet18", examples=64)).save("report.html")

    Args:
        results: of any analyses, and what `vitprobe.paper` gives, in the order of the page.
        title: instead of the models' names.

    Returns:
        `Page`: `html`, `save(path)`; in a notebook it shows itself. Maps are kept to 1/65,534 of
        their range, their errors to 1/4,094; small arrays to six digits.

    Raises:
        InputError: something is no result, or not as vitprobe writes one.
    """
    return page_of([Entry(each) for each in _datasets(results)], title)


def page_of(entries: Sequence[Entry], title: str | None = None, command: str = "") -> Page:
    """The page of results and their files. command: what made it, to be typed again."""
    if not entries:
        raise InputError("there is nothing to show: give at least one result")
    papers = [entry for entry in entries if entry.analysis == "paper"]
    others = [entry for entry in entries if entry.analysis != "paper"]
    names = list(dict.fromkeys(name for each in entries for name in labels(each.result.attrs)))
    title = text(title or ", ".join(names) or "results")
    made = {str(each.result.attrs.get("command", "")) for each in entries}
    document = {
        "title": title,
        "version": vitprobe.__version__,
        "command": text(command or (made.pop() if len(made) == 1 else "")),
        "citation": citation({each.analysis for each in others}, vitprobe.__version__),
        "sections": sections(others),
        "papers": [_paper(entry) for entry in papers],
    }
    which = sorted({run_of(entry.result) for entry in entries})
    return Page(title, html(document, vitprobe.__version__, which))


def _paper(entry: Entry) -> dict:
    """What was left out, and where the folder's own files are."""
    left_out = left_out_table(entry.result)
    rows = [[text(cell) for cell in row] for row in left_out.itertuples(index=False)]
    findings = len(findings_table(entry.result))
    return {
        "left_out": rows,
        "findings": findings,
        "files": [[text(name), address] for name, address in entry.files],
    }


def _datasets(results: Iterable[xr.Dataset | Paper]) -> list[xr.Dataset]:
    found: list[xr.Dataset] = []
    for each in results:
        if isinstance(each, Paper):
            found += [each.summary, *(of for group in each.results.values() for of in group)]
        elif isinstance(each, xr.Dataset) and "analysis" in each.attrs:
            found.append(each)
        else:
            raise InputError(
                f"cannot show this {type(each).__name__}: it is not a result of vitprobe (an "
                "xarray.Dataset with the attribute 'analysis'); pass what the analysis returned"
            )
    return found
