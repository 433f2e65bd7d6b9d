"""What the benchmarks share: figures and their spread, processes measured apart, material, the pages."""
