"""A picture of a street in the making: a camera, and photo, labels and instances painted together, far things first."""
from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

Colour = Sequence[float]
CIRCLE = np.stack([wave(np.linspace(0, 2 * np.pi, 25)[:-1]) for wave in (np.cos, np.sin)], 1)
"""A circle of radius 1, as 24 points [n, 2]."""


def noise(generator: np.random.Generator, height: int, width: int, octaves: int = 5) -> np.ndarray:
    """Cloudy noise: float32 [height, width], mean about 0, mostly within -1..1, with detail at `octaves` scales."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 3 * 2 ** octave
        coarse = generator.uniform(-1, 1, (cells * height // width + 2, cells + 2)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2 ** octave
    return total


class Camera:
    """A pinhole camera looking along a street.

    World in metres: x to the right, y up from the ground, z ahead. The street bends by `bend * z * z` to the right.
    """

    def __init__(self, generator: np.random.Generator, width: int, height: int):
        self.width, self.height = width, height
        self.focal = 0.75 * width
        self.centre = width * generator.uniform(0.44, 0.56)
        self.horizon = height * generator.uniform(0.40, 0.46)
        self.above = generator.uniform(1.3, 1.6)
        self.bend = generator.uniform(-0.0008, 0.0008)

    def project(self, points: Sequence[Sequence[float]]) -> np.ndarray:
        """World points [n, 3] to picture points float64 [n, 2]: column, row. Points nearer than 1.5 m count as 1.5 m."""
        x, y, z = np.asarray(points, np.float64).T
        z = np.maximum(z, 1.5)
        return np.stack([self.centre + self.focal * (x / z + self.bend * z),
                         self.horizon + self.focal * (self.above - y) / z], 1)

    def ground(self) -> Tuple[np.ndarray, np.ndarray, int]:
        """x and z (metres, float32) of the ground at each pixel below the horizon, and the first such row."""
        first = int(self.horizon) + 2
        rows = np.arange(first, self.height, dtype=np.float32)[:, None]
        z = np.broadcast_to(self.focal * self.above / (rows - self.horizon), (len(rows), self.width))
        columns = np.arange(self.width, dtype=np.float32)
        x = (columns - self.centre) * z / self.focal - self.bend * z * z
        return x.astype(np.float32), z.astype(np.float32), first


class Scene:
    """photo: float32 [H, W, 3] RGB 0..255; labels: uint8 [H, W]; instances: uint16 [H, W]."""

    fine = 3
    """Things are drawn at this many times the size and averaged down."""

    def __init__(self, generator: np.random.Generator, width: int, height: int):
        self.generator = generator
        self.camera = Camera(generator, width, height)
        self.photo = np.zeros((height, width, 3), np.float32)
        self.labels = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint16)
        self.haze = np.array([205, 212, 212], np.float32)
        self._counts: Dict[int, int] = {}

    def thing(self, label: int) -> int:
        """The instance id of the next thing of a class."""
        number = self._counts.get(label, 0)
        self._counts[label] = number + 1
        return 1000 * label + number

    def far(self, colour: np.ndarray, distance: float) -> np.ndarray:
        """A colour as it looks through `distance` metres of haze."""
        share = np.exp(-distance / 260)
        return (np.asarray(colour, np.float32) * share + self.haze * (1 - share)).astype(np.float32)

    def blend(self, box: Tuple[int, int, int, int], colour: np.ndarray, cover: np.ndarray, label: Optional[int],
              instance: Optional[int] = None) -> None:
        """Lay colour (premultiplied by cover, 0..1) over the part left, top, right, bottom of the picture."""
        left, top, right, bottom = box
        part = (slice(top, bottom), slice(left, right))
        self.photo[part] = self.photo[part] * (1 - cover[..., None]) + colour
        if label is not None:
            solid = cover > 0.5
            self.labels[part][solid] = label
            self.instances[part][solid] = label if instance is None else instance

    def clip(self, points: np.ndarray, margin: float = 2) -> Optional[Tuple[int, int, int, int]]:
        """The box around picture points inside the picture, None when nothing is left."""
        height, width = self.labels.shape
        low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin)
        left, top, right, bottom = (int(value) for value in (max(low[0], 0), max(low[1], 0), min(high[0], width),
                                                             min(high[1], height)))
        return (left, top, right, bottom) if right > left and bottom > top else None

    def shade(self, x: float, z: float, half_x: float, half_z: float, strength: float = 0.55) -> None:
        """Darken the ground softly under a thing that stands there."""
        angle = np.linspace(0, 2 * np.pi, 33)[:-1]
        rim = self.camera.project(np.stack([x + half_x * np.cos(angle), 0 * angle,
                                            np.maximum(z + half_z * np.sin(angle), 1.6)], 1))
        spread = max(1.0, 0.10 * self.camera.focal / z)
        box = self.clip(rim, 3 * spread)
        if box is None:
            return
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), np.float32)
        cv2.fillPoly(mask, [np.round(rim - (left, top)).astype(np.int32)], 1.0)
        mask = cv2.GaussianBlur(mask, (0, 0), spread, sigmaY=max(0.5, spread / 3))
        self.photo[top:bottom, left:right] *= 1 - strength * mask[..., None]

    def texture(self, picture: np.ndarray, corners: Sequence[Sequence[float]], label: int, distance: float) -> None:
        """Lay a uint8 RGB picture onto the wall whose top left, top right, bottom right, bottom left corners are given."""
        points = self.camera.project(corners)
        box = self.clip(points)
        if box is None:
            return
        left, top, right, bottom = box
        height, width = picture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        target = (points - (left, top)).astype(np.float32)
        size = (right - left, bottom - top)
        laid = cv2.warpPerspective(picture, cv2.getPerspectiveTransform(source, target), size, flags=cv2.INTER_LINEAR,
                                   borderMode=cv2.BORDER_REPLICATE)
        cover = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(cover, [np.round(np.clip(target, -8000, 8000) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        share = cover.astype(np.float32) / 255
        self.blend(box, self.far(laid, distance) * share[..., None], share, label)


class Layer:
    """One thing, drawn in world or picture coordinates and laid over the scene when the `with` block ends."""

    def __init__(self, scene: Scene, label: int, extent: np.ndarray, distance: float, instance: Optional[int] = None):
        """extent: picture points [n, 2] around all that will be drawn; distance: metres, for the haze."""
        self.scene, self.label, self.distance, self.instance = scene, label, distance, instance
        self.box = scene.clip(extent)
        if self.box is not None:
            left, top, right, bottom = self.box
            self.origin = np.array([left, top], np.float64)
            self.canvas = np.zeros(((bottom - top) * scene.fine, (right - left) * scene.fine, 4), np.uint8)

    def __enter__(self) -> "Layer":
        return self

    def __exit__(self, *_: object) -> None:
        if self.box is None:
            return
        left, top, right, bottom = self.box
        small = cv2.resize(self.canvas, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32)
        cover = small[..., 3] / 255
        share = np.exp(-self.distance / 260)
        colour = small[..., :3] * share + self.scene.haze * ((1 - share) * cover[..., None])
        self.scene.blend(self.box, colour, cover, self.label, self.instance)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon of picture points."""
        if self.box is not None:
            place = np.clip((points - self.origin) * self.scene.fine, -20000, 20000)
            cv2.fillPoly(self.canvas, [np.round(place).astype(np.int32)], (*_bytes(colour), 255))

    def face(self, corners: Sequence[Sequence[float]], colour: Colour) -> None:
        """Fill a polygon of world points."""
        self.polygon(self.scene.camera.project(corners), colour)

    def disc(self, centre: Sequence[float], radius: float, colour: Colour, tall: float = 1.0) -> None:
        """Fill a circle (an ellipse, `tall` times as high) around a picture point, radius in pixels."""
        self.polygon(np.asarray(centre) + radius * (CIRCLE * (1, tall)), colour)

    def line(self, points: Sequence[Sequence[float]], width: float, colour: Colour) -> None:
        """Draw a line through picture points, width in pixels (at least a third of one)."""
        if self.box is not None:
            place = np.clip((np.asarray(points) - self.origin) * self.scene.fine, -20000, 20000)
            cv2.polylines(self.canvas, [np.round(place).astype(np.int32)], False, (*_bytes(colour), 255),
                          max(1, round(width * self.scene.fine)))


def _bytes(colour: Colour) -> List[int]:
    return [int(min(255, max(0, value))) for value in colour]
