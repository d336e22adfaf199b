"""Kernels tried on the machine at hand: `run.py` asks, `child.py` answers in a process of its own,
with the inputs of `cases.py`; `remembered.py` keeps the answers."""
