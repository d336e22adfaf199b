"""What is recorded, and which epoch is the best."""

from vitprobe.training.history import COLUMNS, History


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
