"""Commands and code that the documents tell a reader to type: in blocks, and within the text."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
DOCUMENTS += ["infra/README.md", "r2mrf/weights/lite/README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
PROGRAMS = ("make", "dvc", "r2mrf", "python", "ray", "mlflow")  # those that a test can ask whether they know a command


class Block(NamedTuple):
    language: str  # "" = commands
    text: str


def blocks(document: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall((ROOT / document).read_text())]


def commands(document: str) -> list[str]:
    """Return every call of one of `PROGRAMS` in a document, each once, without comments."""
    text = (ROOT / document).read_text()
    lines = [line for block in blocks(document) if not block.language for line in block.text.splitlines()]
    lines += SPAN.findall(BLOCK.sub("", text))
    found = [" ".join(words) for line in lines for words in _calls(line)]
    return list(dict.fromkeys(found))


def _calls(line: str) -> list[list[str]]:
    """Yield the commands of a line of shell, as words."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";|&>")
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:  # a quotation that goes on in the next line
        return []
    calls: list[list[str]] = [[]]
    for word in words:
        calls.append([]) if set(word) <= set(";|&>") else calls[-1].append(word)
    named = [[call[0].removeprefix(".venv/bin/"), *call[1:]] for call in calls if len(call) > 1]
    return [call for call in named if call[0] in PROGRAMS]
