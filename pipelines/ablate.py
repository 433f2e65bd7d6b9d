"""Stage ablate: the paper's ablations, sections 5.1 to 5.4, within a budget of training time.

    dvc exp run -S ablate.minutes=240 ablate                  # rows until 240 minutes of training are spent
    python -m pipelines.ablate T3 no_rrm                      # these rows, whatever the budget; `all` = every row
    nice -n 19 python -m pipelines.ablate --threads 1 all     # in the background for hours: no Ray, one thread
    python -m pipelines.ablate --test all                     # finally, measure the trained rows on the test pairs
    dvc repro ablate                                          # only write the table of the measured rows

Rows are compared on training pairs that are held back. The stage writes reports/ablate: table.csv, table.md, loss.png
(with and without RRM), steps.png (F and MAE over T), and measured.json with the figures, data, parameters and commit of
each measured row. A row is measured once; a stopped row resumes from its last state. With --threads, several processes
can run at once and divide the rows among them. Rows of the profile paper need a GPU.
"""

from __future__ import annotations

import argparse

from pipelines.cluster.supervised import in_a_fork
from pipelines.evaluation import ablation_table, looks
from pipelines.evaluation.ablation_rows import AblationRow, rows
from pipelines.evaluation.held_out import name_of
from pipelines.evaluation.measured_rows import keep, key_of, measured, training_images
from pipelines.project.folders import REPORTS, with_tuned_steps
from pipelines.project.stage import run
from r2mrf.config import Config
from r2mrf.errors import UserError

FOLDER = REPORTS / "ablate"
ALL = "all"  # may be given instead of row names


def ablate(config: Config, named: list[str] | None = None, threads: int = 0, test: bool = False) -> None:
    """Train and measure the named rows, or rows within the budget of `ablate.minutes`; write the table of all rows.

    Args:
        threads: number of threads to train with in this process; 0: train with Ray.
        test: train nothing; measure trained rows on the test pairs.

    Raises:
        UserError: there is no such row, or a named row cannot be run.
    """
    config = with_tuned_steps(config)
    every = rows(config)
    chosen = _chosen(every, named or [])
    data = name_of(training_images())
    keys = {row.name: key_of(row, config, data, measured()) for row in every}
    if test:
        _test(config, chosen or every, keys)
    reasons = {} if test else _train(config, chosen, every, keys, threads)
    keep({})  # DVC expects the file even if nothing was measured
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


def _chosen(every: list[AblationRow], named: list[str]) -> list[AblationRow]:
    """Return the named rows, in the order in which rows are run; `all` stands for those that this machine can run."""
    if unknown := set(named) - {ALL} - {row.name for row in every}:
        known = ", ".join(row.name for row in every)
        raise UserError(f"no row {', '.join(sorted(unknown))}: the rows are {known}; or give {ALL}")
    return [row for row in every if row.name in named or (ALL in named and _can_run(row))]


def _train(
    config: Config, chosen: list[AblationRow], every: list[AblationRow], keys: dict[str, str], threads: int
) -> dict[str, str]:
    """Train and measure the chosen rows, or rows within the budget; return the reason for each row that failed."""
    reasons = {}
    for row in chosen or every:
        key, found = keys[row.name], measured()
        spent = sum(found[done]["seconds"] for done in set(keys.values()) & found.keys())
        if key in found or not (chosen or (spent < 60 * config.ablate.minutes and _can_run(row))):
            continue
        try:
            from pipelines.evaluation.ablation_runs import train_and_measure

            train_and_measure(row, config, key, threads)
        except UserError as error:
            if len(chosen) == 1:
                raise
            reasons[row.name] = str(error)
            print(f"{row.name}: {error}")
    return reasons


def _test(config: Config, chosen: list[AblationRow], keys: dict[str, str]) -> None:
    """Measure, on the test pairs, trained rows that have not been measured on them yet."""
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


def _can_run(row: AblationRow) -> bool:
    if row.needs_gpu:
        import torch

        return torch.cuda.is_available()
    return True


def main() -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="train and measure these rows, whatever the budget")
    parser.add_argument("--threads", type=int, default=0, help="train in this process, without Ray")
    parser.add_argument("--test", action="store_true", help="train nothing; measure trained rows on the test pairs")
    given = parser.parse_args()
    if given.threads < 0:
        parser.error("--threads must be 1 or more")

    def work() -> None:
        run(lambda config: ablate(config, given.rows, given.threads, given.test))

    work() if given.threads else in_a_fork(work)


if __name__ == "__main__":
    main()
