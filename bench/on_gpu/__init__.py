"""The parts of `bench/gpu.py`: one file per section, and what they share."""
