"""Shared by the benchmarks: figures and their spread, measurements in separate processes, test material, the pages."""
