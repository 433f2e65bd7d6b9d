"""Run all benchmarks, or those named, each in a process of its own; then write the pages.

python -m benchmarks [NAME...] [--short]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.harness import page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=page.BENCHMARKS, metavar="NAME", help=", ".join(page.BENCHMARKS))
    parser.add_argument("--short", action="store_true", help="only see that they run; the pages stay as they are")
    options = parser.parse_args()
    if unknown := set(options.names) - set(page.BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: use {', '.join(page.BENCHMARKS)}")
    failed = []
    for name in options.names:
        print(f"--- {name}", flush=True)
        short = ["--short", "--out", "reports/bench/short"] if options.short else []
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *short]).returncode:
            failed.append(name)
    if not options.short:
        page.main()
    if failed:
        sys.exit(f"did not run to the end: {', '.join(failed)}")


if __name__ == "__main__":
    main()
