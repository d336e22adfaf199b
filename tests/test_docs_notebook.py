"""The notebook of docs/ runs, and shows what it says."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_notebook_runs(tmp_path):
    pytest.importorskip("nbclient")
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "run_notebook.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    code = [cell for cell in tool.run(tmp_path).cells if cell.cell_type == "code"]
    assert len(code) >= 7 and all(cell.outputs for cell in code)
    html = ["".join(each.get("data", {}).get("text/html", "")) for c in code for each in c.outputs]
    (page,) = [text for text in html if "<iframe" in text]
    assert page.startswith('<iframe srcdoc="') and "blocks.3" in page
    pictures = [
        each for cell in code for each in cell.outputs if "image/png" in each.get("data", {})
    ]
    assert len(pictures) == 2
    text = "".join(each.get("text", "") for cell in code for each in cell.outputs)
    assert "\\begin{tabular}" in text and "stderr" not in text
    stored = (ROOT / "docs" / "notebook.ipynb").read_text()
    assert "site-packages" not in stored and '"output_type": "error"' not in stored
