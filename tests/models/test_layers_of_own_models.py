"""`vitprobe layers NAME` lists the new names' layers, each with the shape that it should have."""

import sys

import pytest

from vitprobe.cli import main


@pytest.mark.parametrize(
    ("name", "rows", "end"),
    [
        (
            "vit-zhu2023",
            {"transformer.layers.5": ["Layer", "17x64", "0", "block,"]},
            "vit-zhu2023: 124 layers fire, 59 of them distinct activations; 0 left out",
        ),
        (
            "vit-small-data",
            {
                "transformer.layers.0.0.attend": ["Softmax", "4x65x65", "0"],
                "transformer.layers.5": ["ModuleList", "left", "out:"],
            },
            "vit-small-data: 108 layers fire, 56 of them distinct activations; 7 left out",
        ),
        (
            "lambda_resnet26",
            {
                "layer1.0.conv2": ["LambdaLayer", "64x32x32", "0"],
                "layer4.1": ["Bottleneck", "2048x4x4", "0", "block,"],
            },
            "lambda_resnet26: 146 layers fire, 120 of them distinct activations; 0 left out",
        ),
    ],
)
def test_layers(monkeypatch, capsys, name, rows, end):
    monkeypatch.setattr(sys, "argv", ["vitprobe", "layers", name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    for layer, words in rows.items():
        assert table[layer][: len(words)] == words
    assert lines[-1] == end
