"""Streets as Cityscapes shows them, drawn in perspective: photo, label ids and instance ids, 2048x1024."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from common.base import errors
from common.base.files import PathLike
from common.base.pictures import write_rgb
from common.data.cityscapes import HEIGHT, IMAGE, INSTANCE_IDS, LABEL, LABEL_IDS, WIDTH
from common.data.demo import _program
from common.data.demo._scene import Layer, Scene, noise

CITY = "demo"
TRAINING_SEED = 1000
RIM = 6  # pixels at the left, right and top that are out of the region of interest
WALLS = ((196, 186, 160), (172, 150, 118), (150, 92, 74), (186, 182, 176), (206, 196, 176), (140, 136, 128), (176, 122, 92))
CARS = ((28, 30, 33), (172, 176, 178), (214, 214, 210), (92, 96, 100), (132, 26, 26), (30, 52, 96), (70, 82, 74), (148, 134, 110))
CLOTHES = ((32, 34, 42), (58, 62, 78), (120, 38, 36), (96, 98, 94), (160, 150, 136), (44, 72, 104), (64, 78, 52), (190, 184, 172))
SKIN = ((226, 186, 160), (198, 152, 122), (150, 106, 80), (104, 70, 52))
GLASS = (38, 46, 52)


class Street(NamedTuple):
    """How one street is laid out, metres from its middle."""

    left: float
    """Kerb of the road, negative."""
    right: float
    pavement: Tuple[float, float]
    """Width of the pavement on either side, up to the houses."""
    grass: Tuple[float, float]
    """Width of the strip of grass at the kerb, on either side; 0 for none."""
    crossing: Tuple[float, float]
    """Where a road crosses, from and to; beyond the street when there is none."""
    end: float
    """Where the street ends at a house across it."""


def street(generator: np.random.Generator) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One street: photo uint8 [1024, 2048, 3] RGB, label ids uint8 [1024, 2048], instance ids uint16 [1024, 2048].

    Instance ids are as in gtFine: the label id for stuff, 1000 times the label id plus a number for things.
    """
    scene = Scene(generator, WIDTH, HEIGHT)
    plan = _plan(generator)
    _sky(scene)
    _ground(scene, plan)
    _houses(scene, plan)
    for _, draw in sorted(_things(scene, plan), key=lambda entry: -entry[0]):
        draw()
    _bonnet(scene)
    return _develop(scene), scene.labels, scene.instances


def write(folder: Path, count: int, seed: int, split: str = "val") -> None:
    """Write `count` streets in the official layout.

    `leftImg8bit/<split>/demo/demo_000000_000019_leftImg8bit.png` and, in `gtFine/<split>/demo`, `..._gtFine_labelIds.png`
    (8 bits) and `..._gtFine_instanceIds.png` (16 bits). A street depends on `seed` and its number alone.
    """
    for number in range(count):
        photo, labels, instances = street(np.random.default_rng([seed, number]))
        frame = f"{CITY}_{number:06d}_000019"
        write_rgb(folder / "leftImg8bit" / split / CITY / f"{frame}_{IMAGE}.png", photo)
        write_rgb(folder / "gtFine" / split / CITY / f"{frame}_{LABEL_IDS}.png", labels)
        write_rgb(folder / "gtFine" / split / CITY / f"{frame}_{INSTANCE_IDS}.png", instances)


def _plan(generator: np.random.Generator) -> Street:
    lanes = generator.choice([6.5, 7.5, 10.5])
    shift = generator.uniform(0.2, 0.32) * lanes  # the camera's car drives on the right
    grass = float(generator.choice([0, 0, 1.5, 3])), float(generator.choice([0, 0, 1.5, 3]))
    start = generator.choice([generator.uniform(16, 45), 999])
    return Street(-lanes / 2 - shift, lanes / 2 - shift, (generator.uniform(2.5, 5), generator.uniform(2.5, 5)), grass,
                  (start, start + 9), generator.uniform(90, 170))


def _sky(scene: Scene) -> None:
    height, width = scene.labels.shape
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] / 0.45
    blue = scene.generator.uniform(0, 1)
    top = np.array([190, 205, 215]) * (1 - blue) + np.array([112, 152, 200]) * blue
    clouds = noise(scene.generator, height, width)[..., None]
    scene.photo[:] = top * (1 - down) + np.array([226, 230, 228]) * down + clouds * 16
    scene.labels[:], scene.instances[:] = LABEL["sky"], LABEL["sky"]


def _cover(distance: np.ndarray, half: float, footprint: np.ndarray) -> np.ndarray:
    """How much of a pixel a stripe covers: distance from its middle, half its width, size of the pixel, all metres."""
    return np.clip((half - np.abs(distance)) / footprint + 0.5, 0, 1) * np.clip(2 * half / footprint, 0, 1)


def _ground(scene: Scene, plan: Street) -> None:
    """Road with marks, kerbs, pavement of slabs, grass, a crossing road: everything below the horizon."""
    x, z, first = scene.camera.ground()
    generator = scene.generator
    wide, deep = z / scene.camera.focal, z * z / (scene.camera.focal * scene.camera.above)  # a pixel's size in metres
    tile = noise(generator, 1024, 1024, 7)

    def rough(scale: float, reach: float) -> np.ndarray:  # the tile over and over, every other time mirrored: no seams
        places = [np.abs(metres * scale % 2046 - 1023) for metres in (x, z)]
        return cv2.remap(tile, *places, cv2.INTER_LINEAR) * np.exp(-z / reach)

    grain, blots = rough(40, 25), rough(5, 60)
    crossing = (z > plan.crossing[0]) & (z < plan.crossing[1])
    on_road = ((x > plan.left) & (x < plan.right)) | crossing
    inner = np.where(x < 0, plan.left - x, x - plan.right)  # metres beyond the kerb
    on_grass = ~on_road & (inner > 0.2) & (inner < np.where(x < 0, plan.grass[0], plan.grass[1]) + 0.2)
    tone = generator.uniform(70, 100)
    colour = np.empty((*x.shape, 3), np.float32)
    colour[:] = (tone, tone + 3, tone + 2)
    colour += ((9 * grain + 7 * blots) * on_road)[..., None]
    slabs = _cover((x + 50) % 0.6 - 0.3, 0.012, wide) + _cover((z + 0.3) % 0.6 - 0.3, 0.012, deep)
    pavement = np.array([138, 134, 126]) + (8 * blots + 5 * grain - 34 * np.clip(slabs, 0, 1))[..., None]
    colour = np.where(on_road[..., None], colour, pavement)
    blades = noise(generator, x.shape[0], x.shape[1], 8) * 22
    colour = np.where(on_grass[..., None], np.array([72, 98, 44]) + (blades + 14 * grain)[..., None], colour)

    middle, mark = (plan.left + plan.right) / 2, np.zeros_like(x)
    lines = [middle] if plan.right - plan.left < 10 else [middle - 1.8, middle + 1.8]
    for place in lines:
        dash = _cover((z + generator.uniform(0, 9)) % 9 - 4.5, 2, deep)
        mark = np.maximum(mark, _cover(x - place, 0.07, wide) * dash)
    for place in (plan.left + 0.35, plan.right - 0.35):
        mark = np.maximum(mark, _cover(x - place, 0.06, wide) * (generator.random() < 0.7))
    mark *= ~crossing
    if plan.crossing[0] < plan.end:
        stripes = _cover((x + 50) % 1.1 - 0.55, 0.27, wide) * _cover(z - plan.crossing[0] + 2.2, 1.5, deep)
        mark = np.maximum(mark * (z < plan.crossing[0] - 4), 0.95 * stripes)
        halt = _cover(z - plan.crossing[0] + 5, 0.25, deep) * (x > middle)
        mark = np.maximum(mark, halt)
    mark = (mark * on_road * (0.85 + 0.15 * np.clip(grain, -1, 1)))[..., None]
    colour = colour * (1 - mark) + np.array([214, 214, 208]) * mark
    kerb = np.maximum(_cover(x - plan.left, 0.08, wide), _cover(x - plan.right, 0.08, wide)) * ~crossing
    colour = colour * (1 - kerb[..., None]) + np.array([168, 164, 156]) * kerb[..., None]

    share = np.exp(-z / 260)[..., None]
    scene.photo[first:] = colour * share + scene.haze * (1 - share)
    labels = np.where(on_road, LABEL["road"], np.where(on_grass, LABEL["terrain"], LABEL["sidewalk"]))
    scene.labels[first:], scene.instances[first:] = labels, labels


def _facade(generator: np.random.Generator, wide: float, high: float, scale: float) -> np.ndarray:
    """A house front of wide x high metres: uint8 RGB, `scale` pixels a metre, with floors, windows and a shop."""
    width, height = max(8, int(wide * scale)), max(8, int(high * scale))
    base = np.array(WALLS[generator.integers(len(WALLS))]) * generator.uniform(0.7, 1.0)
    wall = (base + noise(generator, height, width, 6)[..., None] * 7).clip(0, 255).astype(np.uint8)
    floors = max(2, int(high / 3.3))
    floor = high / (floors + 0.35)
    columns = max(1, int(wide / generator.uniform(2.2, 3.4)))
    window = np.array([generator.uniform(1.0, 1.5), generator.uniform(1.4, 1.9)])
    frame = base * 0.6 if generator.random() < 0.4 else np.array([222, 220, 212])

    def box(left: float, top: float, right: float, bottom: float, colour: Sequence[float]) -> None:
        corner, other = (int(left * scale), int(top * scale)), (int(right * scale) - 1, int(bottom * scale) - 1)
        cv2.rectangle(wall, corner, other, [float(value) for value in np.clip(colour, 0, 255)], -1)

    balcony, band = generator.random() < 0.25, generator.random() < 0.5
    for level in range(1, floors):
        bottom = high - level * floor
        for column in range(columns):
            x, y = (column + 0.5) * wide / columns - window[0] / 2, bottom - 0.8 - window[1]
            glass = np.array(GLASS) + generator.uniform(-12, 70 if generator.random() < 0.3 else 14)
            box(x - 0.12, y - 0.12, x + window[0] + 0.12, y + window[1] + 0.1, frame)
            box(x, y, x + window[0], y + window[1], glass)
            box(x, y, x + window[0], y + 0.35 * window[1] * generator.random(), glass + 30)
            box(x + window[0] / 2 - 0.04, y, x + window[0] / 2 + 0.04, y + window[1], frame)
            box(x - 0.2, y + window[1] + 0.1, x + window[0] + 0.2, y + window[1] + 0.2, base * 1.12)
            if balcony and column % 2:
                box(x - 0.5, bottom - 1.2, x + window[0] + 0.5, bottom - 0.15, base * 1.2)
                box(x - 0.5, bottom - 0.15, x + window[0] + 0.5, bottom, base * 0.5)
        if band:
            box(0, bottom, wide, bottom + 0.18, base * 1.15)
    box(0, 0, wide, 0.5, base * 0.72)
    shop = generator.random() < 0.5
    for column in range(columns):
        left, right = column * wide / columns + 0.3, (column + 1) * wide / columns - 0.3
        door = generator.random() < 0.25
        box(left, high - floor + 0.9, right, high - (0.02 if door else 0.6), np.array(GLASS) * generator.uniform(0.6, 1.6))
        if not shop:
            box(left, high - floor + 0.9, (left + right) / 2 - 0.4, high - 0.6, base * 0.95)
    if shop:
        sign = np.array(generator.integers(30, 210, 3), float)
        box(0.2, high - floor + 0.1, wide - 0.2, high - floor + 0.8, sign)
        for letter in np.arange(1.0, wide - 1, 0.45):
            if generator.random() < 0.8:
                box(letter, high - floor + 0.25, letter + 0.28, high - floor + 0.65, 255 - 0.6 * sign)
    return wall


def _houses(scene: Scene, plan: Street) -> None:
    """Rows of houses on both sides, with gaps where a road crosses, and what closes the street at its end."""
    generator = scene.generator
    far = plan.end
    if generator.random() < 0.5:
        front = _facade(generator, 90, generator.uniform(9, 16), 12)
        scene.texture(front, [[-45, 13, far], [45, 13, far], [45, 0, far], [-45, 0, far]], LABEL["building"], far)
    else:
        for x in np.arange(-48, 49, 4.0):
            _tree(scene, x + generator.uniform(-1, 1), far, generator.uniform(6, 10), bush=True)
    for side in (-1, 1):
        index = 0 if side < 0 else 1
        edge = (plan.left if side < 0 else plan.right) + side * (plan.pavement[index] + plan.grass[index])
        place, row = 1.6, []
        while place < far:
            long = generator.uniform(9, 22)
            row.append((place, min(place + long, far), generator.uniform(8, 21), generator.random()))
            place += long + generator.choice([0, 0, 0, 0, 3])
        for near, end, high, kind in reversed(row):
            if near < plan.crossing[1] + 3 and end > plan.crossing[0] - 3:
                if near < plan.crossing[0] - 12:
                    end = plan.crossing[0] - 3
                else:
                    continue
            if kind < 0.16:
                _garden(scene, edge, side, near, end)
                continue
            seen = max(near, abs(edge) * 1.2)
            scale = float(np.clip(scene.camera.focal / np.sqrt(seen * max(end, seen)), 4, 90))
            if near > 3:
                flank = _facade(generator, 12, high, scale * 0.7)
                x, far_x = (edge, edge + side * 12)
                wall = (flank * 0.82).astype(np.uint8)
                left, right = min(x, far_x), max(x, far_x)
                scene.texture(wall, [[left, high, near], [right, high, near], [right, 0, near], [left, 0, near]],
                              LABEL["building"], near)
            front = _facade(generator, end - near, high, scale)
            front = (front * (0.92 if side < 0 else 0.8)).astype(np.uint8)
            first, second = (near, end) if side < 0 else (end, near)
            scene.texture(front, [[edge, high, first], [edge, high, second], [edge, 0, second], [edge, 0, first]],
                          LABEL["building"], (near + end) / 2)


def _garden(scene: Scene, edge: float, side: int, near: float, end: float) -> None:
    """Trees behind a wall or a fence in place of a house."""
    generator = scene.generator
    for z in np.arange(end - 1, max(near, 6), -2.5):
        _tree(scene, edge + side * generator.uniform(1.5, 4), z, generator.uniform(3.5, 9), bush=True)
    near, high = max(near, 2), generator.uniform(0.9, 1.6)
    first, second = (near, end) if side < 0 else (end, near)
    panel = np.empty((40, max(40, int((end - near) * 40)), 3), np.uint8)
    solid = generator.random() < 0.5
    panel[:] = (128, 118, 106) if solid else (52, 60, 50)
    panel[:, ::13] = (96, 90, 82)
    panel[:3] = (154, 148, 140)
    if not solid:
        panel[4:, 5::6] = (92, 104, 82)
    scene.texture(panel, [[edge, high, first], [edge, high, second], [edge, 0, second], [edge, 0, first]],
                  LABEL["wall" if solid else "fence"], (near + end) / 2)


def _tree(scene: Scene, x: float, z: float, high: float, bush: bool = False) -> None:
    """A trunk and a crown of many leaf clumps, the lower ones darker; a bush has the crown alone, down to the ground."""
    generator, camera = scene.generator, scene.camera
    scale = camera.focal / z
    foot, = camera.project([[x, 0, z]])
    crown = 0.5 * high if bush else 0.36 * high
    centre = foot - (0, (0.5 if bush else 0.66) * high * scale)
    radius = np.array([crown * (0.9 if bush else 0.8), crown]) * scale
    extent = np.array([centre - 1.35 * radius, centre + 1.35 * radius, foot])
    green = np.array([62, 88, 40]) * generator.uniform(0.7, 1.15) + generator.uniform(-8, 14, 3)
    if not bush:
        scene.shade(x, z, 0.3 * high, 0.3 * high, 0.35)
    with Layer(scene, LABEL["vegetation"], extent, z) as layer:
        if not bush:
            thick, bark = 0.16 * scale, (62, 54, 44)
            layer.line([foot, centre], 2 * thick, bark)
            for lean in (-0.5, 0.45):
                layer.line([centre + (0, 0.5 * radius[1]), centre + radius * (lean, -0.3)], thick, bark)
        count = int(np.clip(radius[1] * 7, 60, 2500))
        leaf = radius[1] * np.clip(60 / radius[1], 0.35, 1)
        angle, out = generator.uniform(0, 2 * np.pi, count), np.sqrt(generator.uniform(0, 1.1, count))
        spots = np.stack([np.cos(angle) * out, np.sin(angle) * out], 1)
        order = np.argsort(-spots[:, 1] + generator.uniform(-0.9, 0.9, count))
        for spot in spots[order]:
            light = 1 - 0.38 * spot[1] + generator.uniform(-0.22, 0.28)
            layer.disc(centre + spot * radius, generator.uniform(0.05, 0.13) * leaf, green * light,
                       generator.uniform(0.5, 0.9))


def _post(scene: Scene, x: float, z: float, high: float, thick: float = 0.05, lamp: float = 0.0) -> None:
    """A pole; with `lamp` metres of arm over the street it is a street lamp."""
    (foot, top, arm), scale = scene.camera.project([[x, 0, z], [x, high, z], [x + lamp, high + 0.2, z]]), scene.camera.focal / z
    with Layer(scene, LABEL["pole"], np.array([foot, top, arm]) + [[-4, 0], [4, -6], [4, -6]], z) as layer:
        grey = scene.generator.uniform(70, 125)
        layer.line([foot, top], 2 * thick * scale, (grey, grey + 4, grey + 2))
        layer.line([foot - (0.4 * thick * scale, 0), top - (0.4 * thick * scale, 0)], 0.5 * thick * scale, (grey + 26,) * 3)
        if lamp:
            layer.line([top, arm], 1.3 * thick * scale, (grey, grey + 4, grey + 2))
            layer.disc(arm, max(1.0, 0.22 * scale), (190, 190, 180), 0.4)


def _sign(scene: Scene, x: float, z: float) -> None:
    """A traffic sign on its pole: warning, prohibition, mandatory, priority road or a direction board."""
    generator, scale = scene.generator, scene.camera.focal / z
    high = generator.uniform(2.3, 3.0)
    _post(scene, x, z, high + 0.3, 0.035)
    centre, = scene.camera.project([[x, high, z]])
    size, kind = 0.36 * scale, generator.integers(5)
    with Layer(scene, LABEL["traffic sign"], np.array([centre - 3 * size, centre + 3 * size]), z) as layer:
        if kind == 0:
            triangle = np.array([[0, -1.1], [1.0, 0.65], [-1.0, 0.65]])
            layer.polygon(centre + 1.2 * size * triangle, (178, 34, 34))
            layer.polygon(centre + 0.78 * size * triangle, (226, 224, 216))
            layer.line([centre - (0, 0.4 * size), centre + (0, 0.3 * size)], 0.14 * size, (24, 24, 24))
        elif kind == 1:
            layer.disc(centre, size, (182, 32, 32))
            layer.disc(centre, 0.72 * size, (228, 226, 220))
            layer.line([centre - (0.4 * size, 0), centre + (0.4 * size, 0)], 0.2 * size, (26, 26, 26))
        elif kind == 2:
            layer.disc(centre, size, (32, 74, 150))
            layer.line([centre + (0, 0.6 * size), centre - (0, 0.5 * size)], 0.2 * size, (232, 232, 232))
            layer.polygon(centre + size * np.array([[0, -0.8], [0.4, -0.2], [-0.4, -0.2]]), (232, 232, 232))
        elif kind == 3:
            diamond = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])
            layer.polygon(centre + 1.1 * size * diamond, (232, 230, 224))
            layer.polygon(centre + 0.75 * size * diamond, (230, 178, 26))
        else:
            board = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (2.2 * size, 0.75 * size)
            layer.polygon(centre + board, (236, 232, 220))
            layer.polygon(centre + board * (0.96, 0.88), (34, 70, 140) if generator.random() < 0.5 else (224, 186, 30))
            for row in (-0.35, 0.3):
                layer.line([centre + (-1.6 * size, row * size), centre + (generator.uniform(0, 1.6) * size, row * size)],
                           0.18 * size, (240, 240, 236))


def _light(scene: Scene, x: float, z: float) -> None:
    """Traffic lights on a pole: a dark box, one of three lamps lit."""
    scale, lit = scene.camera.focal / z, scene.generator.integers(3)
    _post(scene, x, z, 3.4, 0.06)
    centre, = scene.camera.project([[x, 2.9, z]])
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (0.17 * scale, 0.46 * scale)
    with Layer(scene, LABEL["traffic light"], centre + box * 1.2, z) as layer:
        layer.polygon(centre + box, (28, 32, 30))
        for index, colour in enumerate(((238, 42, 34), (240, 176, 32), (58, 232, 150))):
            bright = 1.0 if index == lit else 0.22
            layer.disc(centre + (0, (index - 1) * 0.29 * scale), 0.115 * scale, np.array(colour) * bright)


def _person(scene: Scene, x: float, z: float) -> None:
    generator, scale = scene.generator, scene.camera.focal / z
    high = generator.uniform(1.5, 1.9)
    foot, = scene.camera.project([[x, 0, z]])
    unit, stride, turn = high * scale, generator.uniform(-0.13, 0.13), generator.choice([-1, 1])
    coat, trousers = (np.array(CLOTHES[generator.integers(len(CLOTHES))]) * generator.uniform(0.7, 1.1) for _ in range(2))
    skin = np.array(SKIN[generator.integers(len(SKIN))]) * 0.85
    scene.shade(x, z, 0.35, 0.3)

    def at(across: float, up: float) -> np.ndarray:
        return foot + (across * unit * turn, -up * unit)

    with Layer(scene, LABEL["person"], np.array([at(-0.4, -0.02), at(0.4, 1.05)]), z, scene.thing(LABEL["person"])) as layer:
        for way, tone in ((-1, 0.75), (1, 1.0)):
            knee, heel = at(0.5 * way * stride + 0.02, 0.26), at(way * stride, 0.03)
            layer.line([at(way * 0.035, 0.5), knee, heel], 0.085 * unit, trousers * tone)
            layer.line([heel, heel + (0.06 * unit * turn, 0.01 * unit)], 0.05 * unit, (30, 28, 28))
        layer.line([at(-0.09, 0.78), at(-0.12 - stride, 0.6), at(-0.1 - 1.4 * stride, 0.47)], 0.055 * unit, coat * 0.75)
        layer.polygon(np.array([at(-0.1, 0.82), at(0.1, 0.82), at(0.125, 0.74), at(0.105, 0.44), at(-0.105, 0.44),
                                at(-0.125, 0.74)]), coat)
        layer.line([at(0.1, 0.78), at(0.11 + stride, 0.6), at(0.1 + 1.4 * stride, 0.48)], 0.055 * unit, coat * 1.15)
        layer.disc(at(0.1 + 1.4 * stride, 0.46), 0.03 * unit, skin)
        layer.line([at(0, 0.8), at(0.005, 0.9)], 0.07 * unit, skin * 0.85)
        layer.disc(at(-0.005, 0.935), 0.062 * unit, np.array([52, 38, 28]) * generator.uniform(0.4, 2.4), 1.15)
        layer.disc(at(0.018, 0.92), 0.048 * unit, skin, 1.2)
        if generator.random() < 0.4:
            layer.polygon(np.array([at(-0.2, 0.7), at(-0.1, 0.78), at(-0.08, 0.52), at(-0.19, 0.5)]), coat * 0.5 + 30)


def _bicycle(scene: Scene, x: float, z: float, ridden: bool) -> None:
    """A bicycle across the line of sight, or partly so; ridden, it carries a rider."""
    generator, camera = scene.generator, scene.camera
    heading = generator.uniform(-0.9, 0.9) + (0 if generator.random() < 0.5 else np.pi)
    forward = np.array([np.cos(heading), 0, np.sin(heading)])
    middle, scale = np.array([x, 0, z]), camera.focal / z
    metal = np.array(CARS[generator.integers(len(CARS))]) * 0.9

    def at(along: float, up: float) -> np.ndarray:
        return camera.project([middle + along * forward + (0, up, 0)])[0]

    scene.shade(x, z, 0.8, 0.3, 0.4)
    extent = np.array([at(-1.1, 0), at(1.1, 0), at(-1.1, 2.0), at(1.1, 2.0)])
    with Layer(scene, LABEL["bicycle"], extent, z, scene.thing(LABEL["bicycle"])) as layer:
        angle = np.linspace(0, 2 * np.pi, 33)
        for hub in (-0.52, 0.52):
            layer.line([at(hub + 0.33 * np.cos(turn), 0.35 + 0.33 * np.sin(turn)) for turn in angle], 0.05 * scale, (26, 26, 28))
            for turn in angle[::6]:
                layer.line([at(hub, 0.35), at(hub + 0.31 * np.cos(turn), 0.35 + 0.31 * np.sin(turn))], 0.012 * scale, (120,) * 3)
        frame = {"rear": (-0.52, 0.35), "crank": (-0.05, 0.32), "seat": (-0.2, 0.88), "head": (0.36, 0.88),
                 "front": (0.52, 0.35)}
        for first, second in (("rear", "crank"), ("rear", "seat"), ("seat", "crank"), ("crank", "head"), ("seat", "head"),
                              ("head", "front")):
            layer.line([at(*frame[first]), at(*frame[second])], 0.045 * scale, metal)
        layer.line([at(0.36, 0.88), at(0.33, 1.04), at(0.45, 1.06)], 0.04 * scale, (40, 40, 40))
        layer.line([at(-0.32, 0.93), at(-0.1, 0.93)], 0.07 * scale, (30, 28, 28))
    if not ridden:
        return
    coat, trousers = (np.array(CLOTHES[generator.integers(len(CLOTHES))]) * generator.uniform(0.7, 1.1) for _ in range(2))
    skin = np.array(SKIN[generator.integers(len(SKIN))]) * 0.85
    with Layer(scene, LABEL["rider"], extent, z, scene.thing(LABEL["rider"])) as layer:
        for knee, pedal, tone in (((0.22, 0.72), (-0.02, 0.2), 0.7), ((0.2, 0.82), (0.0, 0.45), 1.0)):
            layer.line([at(-0.2, 0.98), at(*knee), at(*pedal)], 0.14 * scale, trousers * tone)
            layer.line([at(*pedal), at(pedal[0] + 0.14, pedal[1] - 0.02)], 0.08 * scale, (28, 26, 26))
        layer.line([at(-0.2, 0.98), at(-0.05, 1.3), at(0.06, 1.48)], 0.3 * scale, coat)
        layer.line([at(0.06, 1.44), at(0.2, 1.2), at(0.4, 1.07)], 0.1 * scale, coat * 1.15)
        layer.line([at(0.06, 1.5), at(0.11, 1.62)], 0.1 * scale, skin * 0.85)
        layer.disc(at(0.13, 1.7), 0.115 * scale, skin, 1.15)
        layer.disc(at(0.11, 1.76), 0.115 * scale, CARS[generator.integers(len(CARS))], 0.75)


class Body(NamedTuple):
    """A vehicle's shape, metres; its outline runs from the rear's lower edge over the roof to the front's."""

    label: str
    width: float
    outline: Tuple[Tuple[float, float], ...]
    """Along the vehicle, and up."""
    glass: Tuple[int, ...]
    """The numbers of the outline's edges that are windows across the vehicle."""
    side: Tuple[Tuple[Tuple[float, float], ...], ...]
    """Windows in its sides."""
    wheels: Tuple[float, ...]
    wheel: float
    taper: float = 0.2


SEDAN = Body("car", 1.78, ((0, .32), (0, .72), (.1, .98), (.72, 1.03), (1.35, 1.42), (2.5, 1.45), (3.25, 1.0), (4.2, .86),
                           (4.38, .62), (4.38, .32)), (3, 5),
             (((.9, 1.04), (1.4, 1.35), (1.92, 1.37), (1.92, 1.03)), ((2.0, 1.03), (2.0, 1.38), (2.45, 1.38), (3.08, 1.02))),
             (.85, 3.5), .32)
HATCH = Body("car", 1.75, ((0, .32), (-.02, .8), (.06, 1.0), (.42, 1.42), (1.1, 1.5), (2.2, 1.48), (3.0, 1.03), (3.75, .88),
                           (3.95, .62), (3.95, .32)), (2, 5),
             (((.35, 1.06), (.62, 1.38), (1.55, 1.43), (1.55, 1.03)), ((1.63, 1.03), (1.63, 1.43), (2.15, 1.41), (2.85, 1.03))),
             (.7, 3.15), .32)
VAN = Body("car", 1.9, ((0, .35), (0, 1.1), (.15, 1.85), (3.2, 1.92), (4.0, 1.2), (4.7, 1.0), (4.8, .35)), (1, 3),
           (((.4, 1.15), (.45, 1.7), (1.9, 1.75), (1.9, 1.15)), ((2.0, 1.15), (2.0, 1.75), (3.1, 1.75), (3.65, 1.18))),
           (.9, 3.9), .34, 0.1)
TRUCK = Body("truck", 2.4, ((0, .5), (0, 3.2), (5.4, 3.2), (5.5, 2.6), (6.6, 2.55), (7.1, 1.5), (7.2, .5)), (4,),
             (((5.8, 1.5), (5.8, 2.3), (6.5, 2.3), (6.8, 1.5)),), (1.3, 6.1), .48, 0.0)
BUS = Body("bus", 2.5, ((0, .4), (0, 1.3), (.05, 2.7), (.2, 3.0), (11.2, 3.0), (11.5, 2.7), (11.55, 1.2), (11.5, .4)), (1, 5),
           tuple(((s, 1.3), (s, 2.5), (s + 1.45, 2.5), (s + 1.45, 1.3)) for s in np.arange(.4, 10.5, 1.55)), (2.6, 8.8), .5, 0.0)


# long: one vehicle drawn from back to front, part by part
def _vehicle(scene: Scene, body: Body, x: float, z: float, heading: float = np.pi / 2) -> None:
    """A vehicle whose middle is at x, z; heading pi/2 drives away from the camera, -pi/2 towards it, 0 to the right."""
    generator, camera = scene.generator, scene.camera
    long, half = body.outline[-1][0], body.width / 2
    forward, right = np.array([np.cos(heading), 0, np.sin(heading)]), np.array([np.sin(heading), 0, -np.cos(heading)])
    origin, eye = np.array([x, 0, z]) - forward * long / 2, np.array([0, camera.above, 0])
    paint = np.array(CARS[generator.integers(len(CARS))]) * generator.uniform(0.8, 1.1)
    if body.label != "car":
        paint = np.array([(206, 206, 200), (186, 42, 34), (226, 186, 42), (58, 92, 140)][generator.integers(4)])
    shoulder = 1.0 if body.taper else 99

    def at(along: float, up: float, across: float) -> np.ndarray:
        inward = body.taper * max(0, up - shoulder) / 0.45
        return origin + along * forward + across * (half * (1 - min(inward, 0.35))) * right + np.array([0, up, 0])

    def tone(normal: np.ndarray) -> float:
        return 0.72 + 0.38 * max(0.0, normal[1]) + 0.10 * normal[0]

    extent = np.array([at(s, up, w) for s in (-0.1, long + 0.1) for up in (0, body.outline[2][1] + 2) for w in (-1, 1)])
    reach = np.abs(forward) * long / 2 + np.abs(right) * half
    scene.shade(x, z, reach[0] + 0.15, reach[2] + 0.1, 0.75)
    label = LABEL[body.label]
    with Layer(scene, label, camera.project(extent), z, scene.thing(label)) as layer:
        turn = np.linspace(0, 2 * np.pi, 25)[:-1]

        def wheels(across: float) -> None:
            for hub in body.wheels:
                for radius, colour in ((1.0, (22, 22, 24)), (0.62, (128, 130, 132)), (0.2, (60, 60, 62))):
                    layer.face([at(hub + body.wheel * radius * np.cos(a), body.wheel * (1 + radius * np.sin(a)), across)
                                for a in turn], colour)

        near_side = 1 if right @ (eye - (origin + forward * long / 2 + right * half)) > 0 else -1
        for across in (-near_side, near_side):  # tyres seen under the rear and the front
            for hub in body.wheels:
                layer.face([at(hub - body.wheel * 0.8, up, across * w) for up, w in ((0, 1), (0, .75), (.5, .75), (.5, 1))],
                           (20, 20, 22))
        faces: List[Tuple[float, Callable[[], None]]] = []
        for index, ((s, up), (s2, up2)) in enumerate(zip(body.outline, body.outline[1:])):
            normal = (s2 - s) * np.array([0, 1.0, 0]) - (up2 - up) * forward
            normal = normal / np.linalg.norm(normal)
            corners = [at(s, up, -1), at(s2, up2, -1), at(s2, up2, 1), at(s, up, 1)]
            centre = np.mean(corners, 0)
            if normal @ (eye - centre) > 0:
                faces.append((np.linalg.norm(centre - eye), lambda i=index, c=corners, n=normal: across_face(i, c, n)))  # type: ignore[misc]

        def across_face(index: int, corners: Sequence[np.ndarray], normal: np.ndarray) -> None:
            layer.face(corners, paint * tone(normal))
            (s, up), (s2, up2) = body.outline[index], body.outline[index + 1]

            def inside(a: float, b: float, low: float, high: float, colour: Sequence[float]) -> None:
                layer.face([at(s + (s2 - s) * share, up + (up2 - up) * share, w)
                            for share, w in ((low, a), (high, a), (high, b), (low, b))], colour)

            if index in body.glass:
                inside(-0.88, 0.88, 0.1, 0.92, np.array(GLASS) + 12 * tone(normal))
                inside(-0.8, 0.1, 0.55, 0.85, np.array(GLASS) + 42)
            elif abs(up2 - up) > 0.3 and s < 0.2 * long:  # the rear
                inside(-1, 1, 0, 0.3, (40, 40, 42))
                inside(-0.3, 0.3, 0.5, 0.72, (222, 220, 206))
                for a in (-0.98, 0.66):
                    inside(a, a + 0.32, 0.68, 0.98, (168, 24, 22))
            elif abs(up2 - up) > 0.25 and s > 0.8 * long:  # the front
                inside(-1, 1, 0.7, 1.0, (36, 36, 38))
                inside(-0.5, 0.5, 0.15, 0.55, (44, 46, 48))
                inside(-0.28, 0.28, 0.62, 0.9, (222, 220, 206))
                for a in (-0.97, 0.6):
                    inside(a, a + 0.37, 0.08, 0.45, (226, 228, 220))

        def side_face() -> None:
            normal = near_side * right
            layer.face([at(s, up, near_side) for s, up in body.outline], paint * tone(normal))
            layer.face([at(s, up, near_side) for s, up in ((0, .32), (0, .42), (long, .42), (long, .32))], paint * 0.45)
            for window in body.side:
                layer.face([at(s, up, near_side * 1.01) for s, up in window], np.array(GLASS) + 8)
            for hub in body.wheels:
                layer.face([at(hub + 1.18 * body.wheel * np.cos(a), body.wheel * (1 + 1.18 * np.sin(a)), near_side)
                            for a in turn], paint * 0.25)
            wheels(near_side * 1.01)

        middle = origin + forward * long / 2 + near_side * right * half
        if (near_side * right) @ (eye - middle) > 0:
            faces.append((np.linalg.norm(middle - eye), side_face))
        for _, draw in sorted(faces, key=lambda entry: -entry[0]):
            draw()


def _bin(scene: Scene, x: float, z: float) -> None:
    """A litter bin or a switch box on the pavement: labelled `static`, which is not evaluated."""
    (foot,), scale, colour = scene.camera.project([[x, 0, z]]), scene.camera.focal / z, scene.generator.uniform(60, 130)
    high = scene.generator.uniform(0.8, 1.4)
    scene.shade(x, z, 0.4, 0.25)
    box = foot + np.array([[-.3, 0], [.3, 0], [.3, -high], [-.3, -high]]) * scale
    with Layer(scene, LABEL["static"], box, z) as layer:
        layer.polygon(box, (colour, colour + 6, colour))
        layer.polygon(box * (1, 1) + np.array([[0, -high * .85], [0, -high * .85], [0, 0], [0, 0]]) * scale, (colour * .6,) * 3)


def _things(scene: Scene, plan: Street) -> List[Tuple[float, Callable[[], None]]]:
    """Everything that stands or moves in the street, with its distance."""
    generator = scene.generator
    things: List[Tuple[float, Callable[[], None]]] = []
    bodies, middle = (SEDAN, HATCH, HATCH, SEDAN, VAN), (plan.left + plan.right) / 2

    def add(z: float, draw: Callable[..., None], *arguments: object) -> None:
        things.append((z, lambda: draw(scene, *arguments)))

    def clear(z: float) -> bool:
        return not plan.crossing[0] - 3 < z < plan.crossing[1] + 3

    def pick() -> Body:
        return bodies[generator.integers(len(bodies))]

    for side in (-1, 1):
        kerb, index = (plan.left, 0) if side < 0 else (plan.right, 1)
        parked = generator.random() < 0.75
        for z in np.arange(generator.uniform(9, 16), plan.end - 8, generator.uniform(6.2, 9)):
            if parked and clear(z) and generator.random() < 0.7:
                add(z, _vehicle, pick(), kerb - side * 1.05, z, side * np.pi / 2 + generator.normal(0, 0.015))
        for z in np.arange(generator.uniform(7, 14), plan.end - 4, generator.uniform(9, 16)):
            if clear(z) and generator.random() < 0.8 and (plan.grass[index] or generator.random() < 0.4):
                add(z, _tree, kerb + side * 0.9, z, generator.uniform(5, 9))
        for z in np.arange(generator.uniform(8, 22), plan.end, 26):
            add(z, _post, kerb + side * 0.5, z, 7.5, 0.08, -side * 1.6)
        for z in generator.uniform(8, 60, generator.integers(1, 4)):
            add(z, _sign, kerb + side * generator.uniform(0.4, 0.7), z)
        for z in generator.uniform(7, 55, generator.integers(1, 7)):
            beyond = plan.grass[index] + generator.uniform(0.6, plan.pavement[index] - 0.4)
            add(z, _person, kerb + side * beyond, z)
        for z in generator.uniform(8, 30, generator.integers(0, 3)):
            add(z, _bin, kerb + side * (plan.grass[index] + plan.pavement[index] - 0.5), z)
        for z in generator.uniform(8, 30, generator.integers(0, 3)):
            add(z, _bicycle, kerb + side * (plan.grass[index] + generator.uniform(0.8, 1.5)), z, False)
    for z in np.cumsum(generator.uniform(9, 26, 4)):
        if z < plan.end - 8 and clear(z):
            add(z, _vehicle, pick(), (middle + plan.right) / 2 - 0.3, z, np.pi / 2)
    for z in np.cumsum(generator.uniform(8, 30, 4)):
        if z < plan.end - 8 and clear(z):
            add(z, _vehicle, pick(), (middle + plan.left) / 2 + 0.3, z, -np.pi / 2)
    for body, chance in ((BUS, 0.3), (TRUCK, 0.35)):
        if generator.random() < chance:
            z = generator.uniform(28, 70)
            add(z, _vehicle, body, (middle + plan.left) / 2 + 0.3, z, -np.pi / 2)
    if plan.crossing[0] < plan.end:
        z = plan.crossing[0]
        for x in (plan.left - 0.5, plan.right + 0.5):
            add(z - 5, _light, x, z - 5)
        for x in generator.uniform(plan.left, plan.right, generator.integers(0, 4)):
            add(z - 2.2, _person, x, z - 2.2)
        for x, way in ((generator.uniform(-9, 9), 0.0), (generator.uniform(-14, 14), np.pi)):
            if generator.random() < 0.6:
                add(z + (2.6 if way == 0 else 6.4), _vehicle, pick(), x, z + (2.6 if way == 0 else 6.4), way)
    for z in generator.uniform(8, 26, generator.integers(1, 3)):
        add(z, _bicycle, generator.uniform(plan.right - 2.6, plan.right - 0.9), z, True)
    return things


def _bonnet(scene: Scene) -> None:
    """The camera's own car at the lower edge, and the rim that is out of the region of interest."""
    height, width = scene.labels.shape
    across = np.linspace(-1, 1, 65)
    rise = height * scene.generator.uniform(0.035, 0.06)
    top = np.stack([(across + 1) / 2 * width, height - rise * (1 - 0.8 * across ** 4)], 1)
    with Layer(scene, LABEL["ego vehicle"], np.array([[0, height - rise - 3], [width, height]]), 0) as layer:
        for share in np.linspace(0, 1, 16):
            layer.polygon(np.vstack([top + (0, rise * share), [[width, height + 9], [0, height + 9]]]),
                          np.array([52, 58, 60]) * (1.25 - share * 0.7))
    for part in (np.s_[:RIM], np.s_[:, :RIM], np.s_[:, -RIM:]):
        scene.labels[part], scene.instances[part] = LABEL["out of roi"], LABEL["out of roi"]


def _develop(scene: Scene) -> np.ndarray:
    """The photo as a camera gives it: a little blur, darker corners, the dataset's dim and greenish tone, grain."""
    height, width = scene.labels.shape
    photo = cv2.GaussianBlur(scene.photo, (0, 0), 0.7)
    row, column = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    photo *= (1 - 0.16 * (row ** 2 + column ** 2)).astype(np.float32)[..., None]
    photo = 255 * (np.clip(photo, 0, 255) / 255) ** 1.12 * np.array([0.86, 0.93, 0.86], np.float32)
    photo += scene.generator.normal(0, 2.0, (height, width, 1)).astype(np.float32)
    return np.clip(np.round(photo), 0, 255).astype(np.uint8)


def training(folder: PathLike, count: int) -> List[Tuple[Path, Path, Path]]:
    """Photo, label ids and instance ids of `count` streets for training, drawn into `folder` where they are not yet.

    They are of another seed than any demo, so that the demo's are held out.
    """
    found = []
    for number in range(count):
        frame = f"{CITY}_{number:06d}_000019"
        paths = (Path(folder) / f"{frame}_{IMAGE}.png", Path(folder) / f"{frame}_{LABEL_IDS}.png",
                 Path(folder) / f"{frame}_{INSTANCE_IDS}.png")
        if not all(path.is_file() for path in paths):
            for path, pixels in zip(paths, street(np.random.default_rng([TRAINING_SEED, number]))):
                write_rgb(path, pixels)
        found.append(paths)
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    _program.draw("streets", write, argv)


if __name__ == "__main__":
    errors.run(main)
