"""Measurements side by side: `make bench` runs them all and writes docs/performance.md and docs/scale.md.

Each module is one benchmark, a generator of `Figure`s, and runs alone as `python -m benchmarks.NAME`. What is compared
is measured by turns in one run, so that what else the machine does falls on all alike. `--short` runs the same
code on next to nothing, for CI: its figures mean nothing and are kept apart. What they share lies in `harness`.
"""
