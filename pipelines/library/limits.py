"""The limits by which a row gets its verdict; other limits give other verdicts without another run of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction import focus


@dataclass(frozen=True)
class Limits:
    """Limits of blur_fraction, 0 to 1: below the first a photo is sharp, above the second blurred.

    Raises:
        UserError: they are no such numbers, or in the wrong order.
    """

    sharp_below: float = Score.model_fields["sharp_below"].default
    blurred_above: float = Score.model_fields["blurred_above"].default

    def __post_init__(self) -> None:
        if not 0 <= self.sharp_below < self.blurred_above <= 1:
            raise UserError(
                f"sharp below {self.sharp_below:g} and blurred above {self.blurred_above:g}: "
                "give limits from 0 to 1, the first smaller than the second"
            )

    @classmethod
    def of(cls, options: Score) -> Limits:
        """The limits of a scoring run."""
        return cls(options.sharp_below, options.blurred_above)

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """Verdict of a row of `columns.SCORES`; None if the photo failed."""
        if row["status"] != "ok":
            return None
        return focus.verdict(row["blur_fraction"], row["contrast"], self.sharp_below, self.blurred_above)
