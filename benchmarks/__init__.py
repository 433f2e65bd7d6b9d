"""Measurements side by side: `make bench` runs them all and writes docs/performance.md and docs/scale.md.

Each module is one benchmark, a generator of `Figure`s, and runs alone as `python -m benchmarks.NAME`. The ways
to be compared take turns within one run, so that other load on the machine affects all of them alike. `--short` runs
the same code on tiny inputs, for CI: its figures mean nothing and are kept apart. `harness` holds the shared code.
"""
