"""The console command `r2mrf`. Each command imports its modules only when it runs, so `r2mrf --help` is instant."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
import warnings

from pipelines.command.export_model import export_model
from pipelines.command.failures import COULD_NOT_RUN, DONE, list_failures
from pipelines.command.grammar.parser import parser
from pipelines.command.map_photos import map_photos
from pipelines.command.open_app import open_app
from pipelines.command.overwriting import refuse_overwriting
from pipelines.command.report_folder import report, write_report
from pipelines.command.terminal import say


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = parser().parse_args(arguments)
    from r2mrf.errors import UserError
    from r2mrf.system import missing

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # prints names that are not UTF-8 unchanged
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damage, and of sizes from half of our own limit on
    try:
        status = COMMANDS[options.command](options)
        sys.stdout.flush()
        return status
    except UserError as error:
        say(f"r2mrf: {error}", sys.stderr)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        goes_on = ": run the same command again to resume" if options.command == "score" else ""
        print(f"r2mrf: stopped{goes_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the program that reads our output has ended: `r2mrf map … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (said := missing.explain(error, f"`r2mrf {options.command}`")):
            say(f"r2mrf: {said}", sys.stderr)
            return COULD_NOT_RUN
        if isinstance(error, OSError) and error.filename:  # a file or folder that cannot be created, opened or listed
            say(f"r2mrf: {error.filename}: {error.strerror}: fix that, or choose another place", sys.stderr)
            return COULD_NOT_RUN
        say(traceback.format_exc(), sys.stderr)  # our bug; not status 1, which means that some inputs failed
        print("r2mrf: this is a bug; please report it with the lines above", file=sys.stderr)
        return COULD_NOT_RUN


def score(options: argparse.Namespace) -> int:
    """Run `r2mrf score`: write the table of scores of a library."""
    from pipelines.scoring import supervised_run
    from r2mrf.config import Score, score_options

    chosen = score_options(
        maps=options.maps,
        detail=options.detail,
        soft_above=options.soft_above,
        engine=options.engine,
        precision=options.precision,
        by_content=options.by_content,
        retry=options.retry,
        prune=options.prune,
        watch=options.watch,
        allow=tuple(options.allow),
        include=tuple(options.include),
        exclude=tuple(options.exclude),
        max_pixels=options.max_pixels or Score.model_fields["max_pixels"].default,
    )
    if options.dry_run:
        from pipelines.scoring.estimate import estimate

        say(estimate(options.sources, options.out, options.model, chosen))
        return DONE
    summary = supervised_run.score_library(options.sources, options.out, options.model, chosen)
    rate = f", {summary['images_per_second']:.3g} photos/s" if summary["images_per_second"] else ""
    say(f"{options.out}: {summary['ok']} of {summary['total']} photos scored, {summary['failed']} failed{rate}")
    say(f"table: {options.out / 'scores'}/shard-*-{summary['fingerprint']}.parquet")
    if left_out := summary["left_out"]:
        say("left out: " + ", ".join(f"{number} {reason}" for reason, number in left_out.items()))
    if options.report:
        from pipelines.report.scored_folder import read

        write_report(read(options.out), options.out / "report.html")
    return list_failures(supervised_run.failures(options.out, summary["fingerprint"]), summary["failed"])


def evaluate(options: argparse.Namespace) -> int:
    """Run `r2mrf evaluate`: compare saved maps of any origin with masks."""
    from pipelines.evaluation.saved_maps import compare_maps
    from pipelines.project.tables import write_json

    if options.json:
        pictures = (file for folder in (options.maps, options.masks) if folder.is_dir() for file in folder.iterdir())
        refuse_overwriting(pictures, [options.json])
    result = compare_maps(
        options.maps,
        options.masks,
        options.mask_white,
        options.map_white,
        options.mask_values,
        options.protocol,
        options.positive,
    )
    summary = result.counts.summary()
    if options.json:
        write_json(options.json, summary)
    for name, value in summary.items():
        print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")
    for line in result.warnings():
        print(f"warning: {line}", file=sys.stderr)
    for line in result.remark_lines():
        print(f"note: {line}", file=sys.stderr)
    return list_failures(result.failures, len(result.failures))


COMMANDS = {
    "map": map_photos,
    "app": open_app,
    "score": score,
    "report": report,
    "evaluate": evaluate,
    "export": export_model,
}

if __name__ == "__main__":
    sys.exit(main())
