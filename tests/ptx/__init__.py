"""Runs the PTX that nvcc emits, without a GPU: docs/executed-without-a-gpu.md."""
