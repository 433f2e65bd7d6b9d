"""Stage ablate: the paper's ablations, sections 5.1 to 5.4, within a budget of training time.

    dvc exp run -S ablate.minutes=240 ablate                  # rows until 240 minutes of training are spent
    python -m pipelines.ablate T3 no_rrm                      # these rows, whatever the budget; `all`: all of them
    nice -n 19 python -m pipelines.ablate --threads 1 all     # for hours beside other work: no Ray, one thread
    python -m pipelines.ablate --test all                     # measure what was trained on the test pairs, in the end
    dvc repro ablate                                          # the table of what has been measured

Rows are compared on training pairs that are held back. Writes reports/ablate: table.csv, table.md, loss.png (with and
without RRM), steps.png (F and MAE over T), and measured.json, what was measured of each row with its data, parameters
and commit: a row is done once. A row that was stopped resumes from its last state; with --threads several processes
share the rows out among them. Rows of the profile paper need a GPU.
"""

from __future__ import annotations

import argparse

from pipelines.cluster.supervised import in_a_fork
from pipelines.evaluation import ablation_table, looks
from pipelines.evaluation.ablation_rows import Row, rows
from pipelines.evaluation.held_out import name_of
from pipelines.evaluation.measured_rows import keep, key_of, measured, training_images
from pipelines.project.folders import REPORTS, with_tuned_steps
from pipelines.project.stage import run
from r2mrf.config import Config
from r2mrf.errors import UserError

FOLDER = REPORTS / "ablate"
ALL = "all"  # instead of names


def ablate(config: Config, named: list[str] | None = None, threads: int = 0, test: bool = False) -> None:
    """Train and measure rows within the budget of `ablate.minutes`, or those that are named; write the table of all.

    Args:
        threads: train in this process with so many threads; 0: with Ray.
        test: train nothing, and measure the rows that were trained on the test pairs.

    Raises:
        UserError: no such row; or a named one cannot be run.
    """
    config = with_tuned_steps(config)
    every = rows(config)
    chosen = _chosen(every, named or [])
    data = name_of(training_images())
    keys = {row.name: key_of(row, config, data, measured()) for row in every}
    if test:
        _test(config, chosen or every, keys)
    reasons = {} if test else _train(config, chosen, every, keys, threads)
    keep({})  # also where nothing was measured: DVC keeps the file
    found = measured()
    by_name = {row.name: found[keys[row.name]] for row in every if keys[row.name] in found}
    table = ablation_table.tabulate(every, by_name, reasons)
    ablation_table.write(table, FOLDER)
    ablation_table.draw(every, by_name, FOLDER)
    missing = sum(line["status"] != "measured" for line in table)
    print(f"{FOLDER}/table.md: {len(table) - missing} rows measured, {missing} not run")
    if missing and not named:
        given = f"ablate.minutes is {config.ablate.minutes:g}"
        print(f"{given}: `dvc exp run -S ablate.minutes=240 ablate` runs more of them")


def _chosen(every: list[Row], named: list[str]) -> list[Row]:
    """Rows of these names, in the order in which rows are run; `all`: those that this machine can run."""
    if unknown := set(named) - {ALL} - {row.name for row in every}:
        known = ", ".join(row.name for row in every)
        raise UserError(f"no row {', '.join(sorted(unknown))}: the rows are {known}, and {ALL}")
    return [row for row in every if row.name in named or (ALL in named and _can_run(row))]


def _train(config: Config, chosen: list[Row], every: list[Row], keys: dict[str, str], threads: int) -> dict[str, str]:
    """Train and measure the chosen rows, or all within the budget; returns why those were not run that failed."""
    reasons = {}
    for row in chosen or every:
        key, found = keys[row.name], measured()
        spent = sum(found[done]["seconds"] for done in set(keys.values()) & found.keys())
        if key in found or not (chosen or (spent < 60 * config.ablate.minutes and _can_run(row))):
            continue
        try:
            from pipelines.evaluation.ablation_runs import train_and_measure

            keep({key: train_and_measure(row, config, key, threads)})
        except UserError as error:
            if len(chosen) == 1:
                raise
            reasons[row.name] = str(error)
            print(f"{row.name}: {error}")
    return reasons


def _test(config: Config, chosen: list[Row], keys: dict[str, str]) -> None:
    """Measure rows on the test pairs that were trained, and were not measured on them before."""
    from pipelines.evaluation.ablation_runs import measure_on_test_pairs

    for row in chosen:
        key, found = keys[row.name], measured()
        if key not in found or found[key]["test"]:
            continue
        test_set, figures = measure_on_test_pairs(key, found[key]["row"])
        number = looks.note(config, f"row {found[key]['row']}, {key[:8]}", test_set, "ablate --test")
        keep({key: found[key] | {"test": figures, "test_set": test_set}})
        print(
            f"{row.name}: F {figures['fused']['f_05']:.4f}, MAE {figures['fused']['mae']:.4f}; {number} models so far"
        )


def _can_run(row: Row) -> bool:
    if row.needs_gpu:
        import torch

        return torch.cuda.is_available()
    return True


def main() -> None:
    """Run the stage from the command line: rows that the budget allows, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure these, whatever the budget")
    parser.add_argument("--threads", type=int, default=0, help="train in this process, without Ray")
    parser.add_argument("--test", action="store_true", help="measure trained rows on the test pairs")
    given = parser.parse_args()
    if given.threads < 0:
        parser.error("--threads must be 1 or more")

    def work() -> None:
        run(lambda config: ablate(config, given.rows, given.threads, given.test))

    work() if given.threads else in_a_fork(work)


if __name__ == "__main__":
    main()
