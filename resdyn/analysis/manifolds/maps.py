r"""Arms of manifolds of maps: a fundamental segment of the local piece, and its images.

The points p(s), |s| between ε/|μ| and ε, are taken along by F or by its inverse. Where their n-th images lie too far
apart, or turn too sharply, a point is put between them in the fundamental segment and taken along ([hobson1993]_).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.manifolds.local import NEAR, LocalManifold, field, resting_word, slopes
from resdyn.analysis.manifolds.polyline import Resolution, arclength, inside, largest

Array = NDArray[Any]

MOST_LAYERS = 20_000
_NEWTON, _SUBSTEPS = 30, 10
_CONVERGED = 1e-6


class Inverse:
    """F⁻¹ near known pairs of a state and its image, by Newton's method."""

    def __init__(self, system: System, saddle: Array) -> None:
        self.system = system
        self.sign = np.sign(self._determinant(saddle[None]))[0]

    def _blocks(self, x: Array) -> Array:
        return np.eye(x.shape[-1]) + self.system.step * slopes(self.system, x)

    def _determinant(self, x: Array) -> Array:
        return np.asarray(np.linalg.slogdet(self._blocks(x))[0])

    def solve(self, images: Array, guesses: Array) -> tuple[Array, NDArray[np.bool_]]:
        """x with F(x) = image, and whether each was found on the sheet of the saddle."""
        x, step = guesses.copy(), np.full(len(guesses), np.inf)
        good = np.asarray(np.isfinite(x).all(axis=1))
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON):
                # Newton's method squares the error: after a step of this size it is below rounding
                moving = np.flatnonzero(good & (step > 1e-10 * (1 + np.abs(x).max(axis=1, initial=0.0))))
                if not moving.size:
                    break
                now = x[moving]
                missed = images[moving] - now - self.system.step * field(self.system, now)
                change = _solved(self._blocks(now), missed)
                x[moving] = now + change
                step[moving] = np.linalg.norm(change, axis=1)
                good[moving] &= np.isfinite(x[moving]).all(axis=1)
            good &= step <= 1e-9 * (1 + np.abs(x).max(axis=1))
            found = np.flatnonzero(good)
            if found.size:
                good[found] = self._determinant(x[found]) == self.sign
        return x, good

    def follow(self, x: Array, image: Array, target: Array) -> Array | None:
        """The preimage of ``target``, continued from x with F(x) = ``image`` along the straight line."""
        done, part = 0.0, 1.0
        while done < 1.0:
            aim = image + min(1.0, done + part) * (target - image)
            here = image + done * (target - image)
            tangent = _solved(self._blocks(x[None]), (aim - here)[None])
            found, good = self.solve(aim[None], x + tangent)
            # a jump far beyond the prediction is another preimage
            if good[0] and np.linalg.norm(found[0] - x) <= 3 * np.linalg.norm(tangent) + 1e-9:
                x, done, part = found[0], done + part, 2 * part
            else:
                part /= 2
                if part < 2.0**-_SUBSTEPS:
                    return None
        return x


def _solved(blocks: Array, right: Array) -> Array:
    try:
        return np.linalg.solve(blocks, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


class Segments:
    """The images of one fundamental segment, at parameters that are added where the last image is coarse."""

    def __init__(self, system: System, local: LocalManifold, side: float, *, forwards: bool) -> None:
        multiplier = abs(1 + system.step * local.eigenvalue)
        ratio = multiplier if forwards else 1 / multiplier
        self.system, self.local, self.side = system, local, side
        self.inverse = None if forwards else Inverse(system, local.saddle)
        self.s = local.reach / ratio * ratio ** np.linspace(0.0, 1.0, 5)
        self.levels = [local(side * self.s)]

    @property
    def last(self) -> Array:
        return self.levels[-1]

    def advance(self) -> bool:
        """The next image; False where the inverse ends, and then the image is as long as it is known."""
        if self.inverse is None:
            self.levels.append(self.last + self.system.step * field(self.system, self.last))
            return True
        known = self._preimages()
        complete = len(known) == len(self.s)
        if not complete:
            self.s = self.s[: len(known)]
            self.levels = [level[: len(known)] for level in self.levels]
        self.levels.append(known)
        return complete

    def _preimages(self) -> Array:
        assert self.inverse is not None
        images, n = self.last, len(self.s)
        extrapolated = self._extrapolated()
        if extrapolated is not None:
            return extrapolated
        # the last image ends where the new one begins, up to the defect of the local piece
        start, good = self.inverse.solve(images[:1], images[-1:] if len(self.levels) == 1 else self.last[-1:])
        if not good[0]:
            return np.zeros((0, images.shape[1]))
        known = np.full_like(images, np.nan)
        known[0] = start[0]
        # every so many points by continuation, those between from both sides at once
        stride = 16
        for last in (*range(stride, n - 1, stride), n - 1):
            first = last - stride if last % stride == 0 else (last // stride) * stride
            found = self.inverse.follow(known[first], images[first], images[last])
            between = range(first + 1, last)
            if found is not None:
                known[last] = found
                share = (self.s[first + 1 : last] - self.s[first]) / (self.s[last] - self.s[first])
                guess = known[first] + share[:, None] * (found - known[first])
                solved, fine = self.inverse.solve(images[first + 1 : last], guess)
                known[first + 1 : last][fine] = solved[fine]
            for i in (*between, last):
                if np.isnan(known[i]).any():
                    follow = self.inverse.follow(known[i - 1], images[i - 1], images[i])
                    if follow is None:
                        return known[:i]
                    known[i] = follow
        return known

    def _extrapolated(self) -> Array | None:
        """All preimages at once, where the last images nearly tell them, as for blocks close to the identity."""
        assert self.inverse is not None
        if len(self.levels) < 4:
            return None
        one, two, three = self.levels[-3:]
        guess = 3 * three - 3 * two + one
        solved, good = self.inverse.solve(self.last, guess)
        # further off than a tenth of the way between images it may be another preimage
        near = np.linalg.norm(solved - guess, axis=1) <= 0.1 * np.linalg.norm(three - two, axis=1)
        return solved if (good & near).all() else None

    def insert(self, gaps: NDArray[np.intp]) -> bool:
        """A point between in each of these gaps, in all images; False where the inverse does not find one."""
        s = (self.s[gaps] + self.s[gaps + 1]) / 2
        images = [self.local(self.side * s)]
        fine = np.ones(len(s), dtype=bool)
        for level in self.levels[1:]:
            if self.inverse is None:
                images.append(images[-1] + self.system.step * field(self.system, images[-1]))
                continue
            solved, good = self.inverse.solve(images[-1], (level[gaps] + level[gaps + 1]) / 2)
            images.append(solved)
            fine &= good
        s, where = s[fine], gaps[fine] + 1
        self.s = np.insert(self.s, where, s)
        self.levels = [
            np.insert(level, where, image[fine], axis=0) for level, image in zip(self.levels, images, strict=True)
        ]
        return bool(fine.all())


def grow(
    system: System,
    local: LocalManifold,
    side: float,
    *,
    forwards: bool,
    resolution: Resolution,
    length: float,
    region: tuple[Array, Array] | None,
    max_points: int,
) -> tuple[Array, str]:
    """The states of one arm, (n, d), and why it ends."""
    far = largest(local.saddle, length, region)
    segments = Segments(system, local, side, forwards=forwards)
    arm = np.concatenate([local.saddle[None], segments.last])
    if inside(arm[1:], region) < len(arm) - 1:
        return arm[: 1 + inside(arm[1:], region)], "region"
    longest, total = 0.0, float(arclength(arm)[-1])
    for _ in range(MOST_LAYERS):
        complete = segments.advance()
        piece = _refined(segments, arm[-1], resolution, length - total, max_points - len(arm), far)
        kept = inside(piece, region, bound=far)
        size = float(arclength(np.concatenate([arm[-1:], piece[:kept]]))[-1])
        arm = np.concatenate([arm, piece[:kept]])
        total += size
        longest = max(longest, size)
        if total >= length:
            return arm[: int(np.searchsorted(arclength(arm), length)) + 1], "length"
        if kept < len(piece):
            bad = piece[kept]
            return arm, "region" if np.isfinite(bad).all() and np.abs(bad).max() < far else "diverged"
        if not complete:
            return arm, "singular"
        if len(arm) >= max_points:
            return arm[:max_points], "points"
        if size < _CONVERGED * longest:
            return arm, resting_word(system, arm[-1], forwards=forwards, dynamics="map", near=NEAR * total)
    return arm, "layers"


def _refined(
    segments: Segments, before: Array, resolution: Resolution, needed: float, allowed: int, far: float
) -> Array:
    """The last image without its first point (the end of the image before), with points added where it is coarse."""
    while True:
        image = segments.last
        if len(image) < 2:
            return image[1:]
        finite = np.isfinite(image).all(axis=1) & (np.abs(image).max(axis=1) < far)
        reliable = len(image) if finite.all() else int(np.argmin(finite))
        part = image[:reliable]
        reach = np.linalg.norm(np.diff(part, axis=0), axis=1).cumsum()
        part = part[: int(np.searchsorted(reach, needed)) + 2]
        if len(part) < 2 or len(image) > allowed + 64:
            return image[1:]
        coarse = resolution.coarse(part)
        # no two numbers lie closer than this
        coarse = coarse[np.diff(segments.s)[coarse] / segments.s[coarse] > 1e-14] if len(coarse) else coarse
        if not len(coarse) or not segments.insert(coarse):
            return segments.last[1:]
