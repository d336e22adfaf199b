"""Run docs/notebook.ipynb and store what its cells give; what they say on stderr is left out.

python tools/run_notebook.py
"""

from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def run(folder: str | Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its cells, run in this folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            kept = [each for each in cell.outputs if each.get("name") != "stderr"]
            cell.outputs = [each for each in kept if each.get("data", {}).get("text/html") != ""]
    return notebook


if __name__ == "__main__":
    nbformat.write(run(NOTEBOOK.parent), NOTEBOOK)
