"""What benchmarks share: figures and their files, what is measured and against what, the pages written from it."""
