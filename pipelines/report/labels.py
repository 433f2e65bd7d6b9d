"""The keywords, ratings and labels with which other programs show a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.report.scored_folder import ReportRow
from r2mrf.prediction.focus import VERDICTS

FIELDS = ("keywords", "rating", "label", "lightroom", "digikam")  # the choices of `r2mrf report --xmp-fields`

SHARPEST = "sharpest of burst"
WORDS = frozenset(f"focus{sign}{word}" for sign in ":|/" for word in (*VERDICTS, SHARPEST))  # all of our keywords

RATINGS = {"blurred": "-1"}  # rejected; other photos are left for people to rate
LABELS = {"sharp": "Green", "partial": "Yellow", "blurred": "Red"}


@dataclass(frozen=True)
class Labels:
    """The labels of one photo under their XMP names: `simple` properties, and `lists` of keywords."""

    simple: dict[str, str]
    lists: dict[str, list[str]]


def labels_of(row: ReportRow, fields: tuple[str, ...] = ("keywords",)) -> Labels:
    """Choose the labels of a scored row; `fields` names some of `FIELDS`."""
    assert row.verdict is not None  # a photo that was scored has one
    words = [row.verdict, *([SHARPEST] if row.sharpest else [])]
    simple = {"xmp:Rating": ("rating", RATINGS), "xmp:Label": ("label", LABELS)}
    lists = {"dc:subject": ("keywords", ":"), "lr:hierarchicalSubject": ("lightroom", "|"),
             "digiKam:TagsList": ("digikam", "/")}  # fmt: skip
    return Labels(
        {name: by[row.verdict] for name, (field, by) in simple.items() if field in fields and row.verdict in by},
        {name: [f"focus{sign}{word}" for word in words] for name, (field, sign) in lists.items() if field in fields},
    )
