"""Published evaluation protocols by name, for figures that can be compared with those of a paper.

    figures = protocols.named("pysod")          # a key of `PROTOCOLS`
    for defocus, mask in pairs:                 # uint8 H×W each, white = defocused
        figures.add(defocus, mask)
    print(figures.summary())

Each protocol follows its authors' program, even where that is odd; docs/evaluation.md compares them. All of these
programs depend only on how often each value of the map meets each value of the mask, so this is what is counted here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from statistics import fmean
from typing import ClassVar, Literal

import numpy as np

from r2mrf.evaluation.metrics import Counts, check_pair, f_measure

Positive = Literal["defocus", "focus"]
VALUES = np.arange(256)
HALF = 128  # of 8-bit values, the first above one half


class Published(ABC):
    """The figures of a set of images by a published program; images are added one by one.

    Attributes:
        positive: the class to which precision and recall refer.
    """

    name: ClassVar[str]
    customary: ClassVar[Positive] = "defocus"  # the positive class of the authors

    def __init__(self, positive: Positive | None = None):
        self.positive: Positive = positive or self.customary
        self.images = 0

    def add(self, defocus: np.ndarray, mask: np.ndarray) -> None:
        """Add a pair, both uint8 H×W, white = defocused.

        Raises:
            ValueError: shapes differ or arrays are not uint8 H×W.
        """
        check_pair(defocus, mask)
        met = np.bincount(defocus.ravel() * np.intp(256) + mask.ravel(), minlength=256 * 256).reshape(256, 256)
        self._add(met if self.positive == "defocus" else met[::-1, ::-1])
        self.images += 1

    def summary(self) -> dict[str, float | int | str]:
        """Return the protocol's figures, its name, the positive class, and the number of images.

        Raises:
            ValueError: no image was added.
        """
        if not self.images:
            raise ValueError("no image was compared: check that maps and masks match")
        figures = {name: float(value) for name, value in self._figures().items()}
        return {"protocol": self.name, "positive": self.positive, **figures, "images": self.images}

    @abstractmethod
    def _add(self, met: np.ndarray) -> None:
        """Add int64[256, 256]: how often each value of the map (rows) meets each value of the mask (columns)."""

    @abstractmethod
    def _figures(self) -> dict[str, float]:
        """Return the figures of the images added so far."""


class R3Net(Published):
    """The program of R3Net and BR2Net: the best F of precision and recall averaged over images.

    A pixel is predicted if its value is strictly above k/255; 1e-4 is added to numerators and denominators; the mask is
    binarised above one half for F, and used as it is for `mae`.
    """

    name = "r3net"
    EPSILON = 1e-4

    def __init__(self, positive: Positive | None = None):
        super().__init__(positive)
        self._errors: list[float] = []
        self._precision, self._recall = np.zeros(256), np.zeros(256)

    def _add(self, met: np.ndarray) -> None:
        both, predicted = _above(met[:, HALF:].sum(1)), _above(met.sum(1))
        self._precision += (both + self.EPSILON) / (predicted + self.EPSILON)
        self._recall += (both + self.EPSILON) / (met[:, HALF:].sum() + self.EPSILON)
        self._errors.append(_mean_error(met, VALUES / 255, VALUES / 255))

    def _figures(self) -> dict[str, float]:
        f = f_measure(self._precision / self.images, self._recall / self.images)
        return {"mae": fmean(self._errors), "f_max": f.max()}


class DDFFNet(Published):
    """The programs of D-DFFNet for saved maps: F at one half, averaged over images, and pooled IoU.

    Precision and recall are 0 where they are undefined, so a photo without any defocus has F = 0. `f_05_or_all` is
    the figure of its `test.py`: for each image, the larger of F at one half and F of calling every pixel positive.
    """

    name = "d-dffnet"

    def __init__(self, positive: Positive | None = None):
        super().__init__(positive)
        self._errors: list[float] = []
        self._f: list[float] = []
        self._f_or_all: list[float] = []
        self._both = self._either = 0

    def _add(self, met: np.ndarray) -> None:
        both, predicted, positive = met[HALF:, HALF:].sum(), met[HALF:].sum(), met[:, HALF:].sum()
        self._f.append(_f(both, predicted, positive))
        self._f_or_all.append(max(self._f[-1], _f(positive, met.sum(), positive)))
        self._both += both
        self._either += predicted + positive - both
        self._errors.append(_mean_error(met, VALUES / 255, VALUES >= HALF))

    def _figures(self) -> dict[str, float]:
        return {
            "mae": fmean(self._errors),
            "f_05": fmean(self._f),
            "f_05_or_all": fmean(self._f_or_all),
            "iou": self._both / self._either if self._either else 1.0,
        }


class PySOD(Published):
    """PySODMetrics: each map is stretched from its smallest to its largest value first.

    A pixel is predicted if its value reaches the threshold. The 256 thresholds give a curve of F for each image;
    `f_max` and `f_mean` are the largest and the mean value of the mean of these curves. `f_adaptive` is F at twice the
    mean of the map, at most 1. The mask is binarised above 128. Undefined figures are 0.
    """

    name = "pysod"

    def __init__(self, positive: Positive | None = None):
        super().__init__(positive)
        self._errors: list[float] = []
        self._adaptive: list[float] = []
        self._curve = np.zeros(256)

    def _add(self, met: np.ndarray) -> None:
        true, every = met[:, HALF + 1 :].sum(1), met.sum(1)
        positive = true.sum()
        values = _stretched(every)
        self._errors.append(_mean_error(met, values, VALUES > HALF))
        from_threshold = values >= min(2 * (every * values).sum() / every.sum(), 1.0) - 1e-12
        self._adaptive.append(_f(true[from_threshold].sum(), every[from_threshold].sum(), positive))
        levels = (values * 255).astype(np.uint8)
        both, predicted = (_from(np.bincount(levels, weights, 256)) for weights in (true, every))
        self._curve += f_measure(_share(both, predicted), _share(both, np.full(256, positive)))

    def _figures(self) -> dict[str, float]:
        curve = self._curve / self.images
        return {
            "mae": fmean(self._errors),
            "f_max": curve.max(),
            "f_mean": curve.mean(),
            "f_adaptive": fmean(self._adaptive),
        }


class DD(Published):
    """The notebook of "Defocus Blur Detection via Depth Distillation": F of all pixels of all images together.

    Map and mask are both binarised strictly above 1.5 × their own mean, at most 255. A mask that is two thirds or more
    white therefore has no positive pixel at all. `mae` uses the mask as it is.
    """

    name = "dd"
    customary = "focus"

    def __init__(self, positive: Positive | None = None):
        super().__init__(positive)
        self._errors: list[float] = []
        self._both = self._predicted = self._positive = 0

    def _add(self, met: np.ndarray) -> None:
        predicted, positive = (_above_its_mean(met.sum(axis)) for axis in (1, 0))
        self._both += met[predicted][:, positive].sum()
        self._predicted += met[predicted].sum()
        self._positive += met[:, positive].sum()
        self._errors.append(_mean_error(met, VALUES / 255, VALUES / 255))

    def _figures(self) -> dict[str, float]:
        return {"mae": fmean(self._errors), "f_adaptive": _f(self._both, self._predicted, self._positive)}


PROTOCOLS: dict[str, type[Published]] = {kind.name: kind for kind in (R3Net, DDFFNet, PySOD, DD)}
OWN = "r2mrf"  # this project's protocol, see `r2mrf.evaluation.metrics`


def named(name: str, positive: Positive | None = None) -> Counts | Published:
    """Return an empty set of images, to be compared by this protocol.

    Args:
        name: `r2mrf`, whose positive class is defocus, or a key of `PROTOCOLS`.
        positive: the class to which precision and recall refer; None: that of the protocol's authors.

    Raises:
        ValueError: there is no such protocol, or `r2mrf` was asked for another class.
    """
    if name == OWN and positive in (None, "defocus"):
        return Counts()
    if name not in PROTOCOLS:
        choices = ", ".join((OWN, *PROTOCOLS))
        raise ValueError(
            f"protocol {name!r} with positive={positive!r}: choose from {choices}; {OWN} takes defocus only"
        )
    return PROTOCOLS[name](positive)


def _f(both: int, predicted: int, positive: int) -> float:
    """Return F_β of three counts of pixels; 0 where precision or recall is undefined."""
    precision, recall = (_share(np.array([both]), np.array([of])) for of in (predicted, positive))
    return float(f_measure(precision, recall)[0])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _mean_error(met: np.ndarray, of_map: np.ndarray, of_mask: np.ndarray) -> float:
    """Return mean |P − G|, where `of_map` and `of_mask` are the numbers that the 256 values stand for."""
    return float((met * np.abs(of_map[:, None] - of_mask[None])).sum() / met.sum())


def _stretched(histogram: np.ndarray) -> np.ndarray:
    """Return the numbers that 0 … 255 stand for when the values that occur are stretched to [0, 1], unless flat."""
    values = VALUES / 255
    low, high = values[histogram > 0][[0, -1]]
    return ((values - low) / (high - low)).clip(0, 1) if high > low else values


def _above_its_mean(histogram: np.ndarray) -> np.ndarray:
    """Return which values, bool[256], lie above 1.5 × their mean, at most 255."""
    threshold = min(1.5 * (histogram * VALUES).sum() / histogram.sum(), 255)
    return np.greater(VALUES, threshold)


def _from(histogram: np.ndarray) -> np.ndarray:
    """Return the number of values >= k, for each k."""
    return histogram[::-1].cumsum()[::-1]


def _above(histogram: np.ndarray) -> np.ndarray:
    """Return the number of values > k, for each k."""
    return _from(histogram) - histogram
