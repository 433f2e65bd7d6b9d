"""The parser of the whole command line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pipelines.command.grammar import app, evaluate, export, map, report, score
from pipelines.command.grammar.options import Options
from r2mrf import __version__
from r2mrf.system.address import redacted

COMMANDS = {"map": map, "app": app, "score": score, "report": report, "evaluate": evaluate, "export": export}
EXAMPLES = """examples:
  r2mrf map photo.jpg -o map.png              white where the photo is out of focus
  r2mrf app                                   a page to look at photos one by one
  r2mrf score ~/Pictures --out scores --maps  a table of all photos below a folder; run it again to continue
  r2mrf report scores --sharp-below 0.1       a page to browse the table; new thresholds need no new run
  r2mrf evaluate --maps maps --masks gt --json figures.json
  r2mrf export --format onnx -o exported      the model for other programs
  r2mrf map --help                            the details of a command

exit status: 0 = done; 1 = done, but some inputs failed (each one is listed); 2 = could not run

shell completion, here for bash (also available for zsh and tcsh):
  mkdir -p ~/.local/share/bash-completion/completions
  r2mrf --print-completion bash > ~/.local/share/bash-completion/completions/r2mrf
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors show no password of an address."""

    def error(self, message: str) -> NoReturn:
        super().error(redacted(message))


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line; `command` holds the name of the chosen command."""
    paths: list[argparse.Action] = []  # arguments for which the shell completes file names
    top = _described(_Parser(prog="r2mrf"), "Where is a photograph out of focus?", EXAMPLES)
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument(
        "--print-completion", choices=("bash", "zsh", "tcsh"), action=_Completion, paths=paths,
        help="print the completion script for this shell, and exit (needs the package shtab)",
    )  # fmt: skip
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        sentence = command.HELP[0].upper() + command.HELP[1:] + "."
        described = _described(commands.add_parser(name, help=command.HELP), sentence, command.EXAMPLES)
        command.add_options(Options(described, paths))
    return top


def _described(command: argparse.ArgumentParser, text: str, examples: str) -> argparse.ArgumentParser:
    command.description, command.epilog = text, examples
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    return command


class _Completion(argparse.Action):
    """Prints a shell's completion script; the library for it is imported only then."""

    def __init__(self, paths: list[argparse.Action], **options):
        super().__init__(**options)
        self.paths = paths

    def __call__(self, parser, namespace, shell, option_string=None):
        try:
            import shtab
        except ModuleNotFoundError:
            from r2mrf.system.missing import sentence

            parser.error(sentence(option_string, "shtab"))

        for action in self.paths:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for this attribute
        print(shtab.complete(parser, shell))
        parser.exit()
