"""The report of `vitprobe paper`: findings, figures, what was left out, as Markdown."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from vitprobe.analyses.paper import Paper
from vitprobe.cli._summary import pixels
from vitprobe.report.words import TITLES
from vitprobe.text import printable

PAGE = "Raghu et al. 2021 ([arXiv 2108.08810](https://arxiv.org/abs/2108.08810))"
READING = (
    "± is one standard error: over batches of CKA, dominant examples and places, over images of "
    "the rest; of a mean over layers the mean of theirs, which is what it is at most. A sentence "
    "is stated where its numbers differ by more than Student's t (95 %) times the root of their "
    "squared errors, with t for as many comparisons as there were where the extremes of several "
    "were chosen; it says otherwise that this cannot be told. It is one run on these images: what "
    "other weights, seeds or data give, errors here do not say."
)


def report(paper: Paper, drawn: Mapping[str, Sequence[str]], overview: str = "") -> str:
    """The page.

    drawn: for each analysis the names of its figures, in the folder of the page. overview: the name
    of the figure of all; "": there is none.
    """
    attrs, table = paper.summary.attrs, paper.findings
    models = _models(attrs)
    lines = [f"# {_and([_plain(name) for name, _ in models])} on {_plain(_data(attrs))}", ""]
    lines += [f"- {text}" for _, text in models]
    lines += [f"- {_images(attrs)}", f"- questions and figures: {PAGE}", ""]
    if overview:
        lines += [f"![all analyses]({overview})", ""]
    lines += ["## Findings", "", *_findings(table), ""]
    for analysis in drawn:
        lines += [f"## {_title(analysis)}", ""]
        own = table[table["analysis"] == analysis]
        for question in dict.fromkeys(own["question"]):
            figure = own["figure"][own["question"] == question].iloc[0]
            lines += [f"*{_plain(question)}* ({figure})", ""]
            rows = own["finding"][own["question"] == question]
            lines += [*(f"- {_plain(each)}" for each in rows), ""]
        for name in drawn[analysis]:
            lines += [f"![{_plain(name.removesuffix('.png'))}]({name})", ""]
    lines += ["## What was left out", "", *_left_out(paper.left_out), ""]
    notes = [note for each in _results(paper) for note in each.attrs.get("notes", "").split("\n")]
    notes = list(dict.fromkeys(filter(None, notes)))
    if notes:
        lines += ["## Notes", "", *(f"- {_plain(note)}" for note in notes), ""]
    lines += ["## How to read it", "", READING, ""]
    return "\n".join(lines)


def _findings(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return ["There are none: see what was left out."]
    rows = [
        f"| {_plain(row.finding)} | {_plain(row.question)} | {row.figure} |"
        for row in table.itertuples()
    ]
    return ["| finding | question | in the paper |", "| --- | --- | --- |", *rows]


def _left_out(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return ["Nothing."]
    rows = [
        f"| {row.analysis} | {_plain(row.model) or 'all'} | {_plain(row.reason)} |"
        for row in table.itertuples()
    ]
    return ["| analysis | model | why |", "| --- | --- | --- |", *rows]


def _models(attrs: Mapping) -> list[tuple[str, str]]:
    """The label of each model, and what there is to say of it."""
    found, number = [], 1
    while (key := f"model_{number}") in attrs:
        label, weights = attrs[key], str(attrs[f"{key}_weights"])
        parts = [f"weights: {weights}", f"{int(attrs[f'{key}_parameters']):,} parameters"]
        parts.append(pixels(attrs[f"{key}_image_size"]))
        found.append((label, _plain(f"{label}: {', '.join(filter(None, parts))}")))
        number += 1
    return found


def _data(attrs: Mapping) -> str:
    return " ".join(filter(None, (attrs["dataset"], attrs["split"])))


def _images(attrs: Mapping) -> str:
    count, batches = int(attrs["examples"]), int(attrs["batches"])
    said = f"{count:,} image{'s'[: count != 1]} in {batches} batch{'es' if batches != 1 else ''}"
    return _plain(f"{_data(attrs)}: {said}, {attrs['order']} order, seed {attrs['seed']}")


def _results(paper: Paper):
    return [paper.summary, *(each for of_one in paper.results.values() for each in of_one)]


def _title(analysis: str) -> str:
    return TITLES.get(analysis, analysis.replace("_", " "))


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _plain(text: object) -> str:
    """As text in Markdown, whatever names hold."""
    shown = printable(text, None)
    return re.sub(r"([\\`*<>|\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", shown)
