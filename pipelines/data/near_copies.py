"""Finds photographs that show a photograph of another set: all or part of it, shrunk, mirrored or recompressed.

    index = Index({"name": rgb, ...})
    index.find(rgb)          # NearCopy(of="name", mirrored=False, inliers=41, correlation=0.97), or None

Local features (SIFT, Lowe 2004) propose a photograph and its position in the other one. The pixels then decide whether
it is the same picture: repeated structures (fences, windows, stripes) match by their features, but never by their
pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

LONG_SIDE = 480  # pixels to which the long side of a photo is shrunk
FEATURES = 400  # features per photo
NEIGHBOURS = 3  # nearest features examined
DISTANCE = 0.25  # largest squared distance between unit descriptors that counts as a match
VOTES, INLIERS = 5, 5  # fewest matching features of a photo, and fewest that agree on one similarity transform
SCALES = (0.15, 6.0)  # plausible scales of one photo in the other; other transforms are accidents
OVERLAP = 0.3  # share of the photo that must lie within the other one
CORRELATION = 0.8  # smallest correlation of grey values at which two photos show the same picture


class NearCopy(NamedTuple):
    """A photo found in another one. `correlation`: of the grey values where the two overlap, -1 … 1."""

    of: str
    mirrored: bool
    inliers: int
    correlation: float


class Index:
    """Features of the photographs to look for.

    Args:
        photos: by name, uint8 H×W×3 or H×W.

    Raises:
        ValueError: no photo has any feature.
    """

    def __init__(self, photos: dict[str, np.ndarray]):
        self._names = list(photos)
        self._grey = [_grey(photo) for photo in photos.values()]
        found = [_features(grey) for grey in self._grey]
        if not sum(len(points) for points, _ in found):
            raise ValueError("none of the photos has a feature to find it by")
        self._owner = np.repeat(np.arange(len(found)), [len(points) for points, _ in found])
        self._points = np.concatenate([points for points, _ in found])
        descriptors = np.concatenate([descriptors for _, descriptors in found])
        cv2.setRNGSeed(0)  # the search trees are random; this makes the matches the same in every run
        self._trees = cv2.flann.Index(descriptors, {"algorithm": 1, "trees": 4})
        self._descriptors = descriptors  # kept alive, because the trees do not copy them

    def find(self, photo: np.ndarray) -> NearCopy | None:
        """Return the photograph that this photo shows, mirrored or not; None if it shows none."""
        grey = _grey(photo)
        found = [self._best(grey, False), self._best(np.ascontiguousarray(grey[:, ::-1]), True)]
        copies = [copy for copy in found if copy and copy.correlation >= CORRELATION]
        return max(copies, key=lambda copy: copy.correlation, default=None)

    def candidates(self, photo: np.ndarray) -> list[NearCopy]:
        """Return what the features propose, whether or not the pixels agree, for people to look at."""
        grey = _grey(photo)
        found = [self._best(grey, False), self._best(np.ascontiguousarray(grey[:, ::-1]), True)]
        return [copy for copy in found if copy]

    def _best(self, grey: np.ndarray, mirrored: bool) -> NearCopy | None:
        points, descriptors = _features(grey)
        if len(points) < VOTES:
            return None
        nearest, distances = self._trees.knnSearch(descriptors, NEIGHBOURS, params={"checks": 48})
        good = distances < DISTANCE
        votes = np.bincount(self._owner[nearest[good]], minlength=len(self._names))
        best = None
        for owner in np.argsort(votes)[::-1][:NEIGHBOURS]:
            if votes[owner] < VOTES:
                break
            row, column = np.nonzero(good & (self._owner[nearest] == owner))
            transform, used = cv2.estimateAffinePartial2D(
                points[row], self._points[nearest[row, column]], ransacReprojThreshold=4
            )
            if transform is None:
                continue
            inliers = len(np.unique(row[used.ravel() > 0]))
            scale = float(np.hypot(*transform[:, 0]))
            if inliers >= INLIERS and SCALES[0] <= scale <= SCALES[1]:
                copy = NearCopy(self._names[owner], mirrored, inliers, _correlation(grey, self._grey[owner], transform))
                best = max(best or copy, copy, key=lambda copy: copy.correlation)
        return best


def _grey(photo: np.ndarray) -> np.ndarray:
    grey = photo if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = LONG_SIDE / max(grey.shape)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def _features(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n×2, pixels) and unit descriptors (n×128) of features, float32."""
    sift = cv2.SIFT.create(nfeatures=FEATURES, contrastThreshold=0.02)
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    unit = descriptors / (np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-9)
    return np.array([keypoint.pt for keypoint in keypoints], np.float32), unit.astype(np.float32)


def _correlation(grey: np.ndarray, other: np.ndarray, transform: np.ndarray) -> float:
    """Return the correlation of a photo with the part of another onto which a transform maps it; 0 for little overlap.

    Both are smoothed first, because one may have been shrunk or compressed more than the other.
    """
    back = cv2.invertAffineTransform(transform)
    h, w = grey.shape
    there = cv2.warpAffine(other, back, (w, h), flags=cv2.INTER_AREA)
    inside = cv2.warpAffine(np.full_like(other, 255), back, (w, h), flags=cv2.INTER_NEAREST) > 0
    if inside.mean() < OVERLAP:
        return 0.0
    one, two = (cv2.GaussianBlur(values, (0, 0), 2)[inside].astype(float) for values in (grey, there))
    one, two = one - one.mean(), two - two.mean()
    size = np.sqrt((one**2).sum() * (two**2).sum())
    return float((one * two).sum() / size) if size > 0 else 0.0
