"""What is recorded, and which epoch is the best."""

import sys
from types import SimpleNamespace

from vitprobe.training.files import RunFiles
from vitprobe.training.history import COLUMNS, Board, History


def recorded(*rows) -> History:
    history = History()
    for i, (val_accuracy, val_loss, accuracy) in enumerate(rows):
        values = dict.fromkeys(COLUMNS, 0.0) | {"epoch": i + 1, "accuracy": accuracy}
        history.add(**values | {"val_accuracy": val_accuracy, "val_loss": val_loss})
    return history


def test_validation_chooses_and_the_test_does_not():
    history = recorded((0.5, 1.0, 0.9), (0.7, 0.9, 0.2), (0.6, 0.1, 0.95))
    assert history.best == 1
    assert history.row(history.best)["accuracy"] == 0.2


def test_ties_go_to_the_lower_loss_then_to_the_first():
    assert recorded((0.5, 1.0, 0), (0.5, 0.8, 0), (0.5, 0.8, 0)).best == 1
    assert recorded((0.5, float("nan"), 0)).best == 0


def test_one_number_an_epoch():
    history = recorded((0.5, 1.0, 0.9), (0.7, 0.9, 0.2))
    assert len(history) == 2
    assert history.columns["epoch"] == [1, 2]
    assert all(len(values) == 2 for values in history.columns.values())


class Writer:
    """What stands in for TensorBoard's."""

    def __init__(self, folder, purge_step):
        self.made, self.scalars = (folder, purge_step), []
        Writer.last = self

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass

    close = flush


def test_tensorboard_gets_every_epoch_where_it_is_installed(tmp_path, monkeypatch):
    stand_in = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    board = Board(RunFiles(tmp_path, "run"), epochs_done=2)
    assert Writer.last.made == (str(tmp_path / "run.tensorboard"), 3)  # a resumed run's next epoch
    board.add(recorded((0.5, 1.0, 0.9)).row())
    assert ("accuracy", 0.9, 1) in Writer.last.scalars
    assert {name for name, _, _ in Writer.last.scalars} == set(COLUMNS) - {"epoch"}
    board.close()


def test_nothing_is_written_where_tensorboard_is_not(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # the import fails
    board = Board(RunFiles(tmp_path, "run"), epochs_done=0)
    board.add(recorded((0.5, 1.0, 0.9)).row())
    board.close()
    assert list(tmp_path.iterdir()) == []
