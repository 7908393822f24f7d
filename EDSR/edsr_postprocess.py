#!/usr/bin/env python3
"""Turn the network's outputs into pictures (./result/save) and hold them against the high-resolution ones.

Writes ./result.json: {"accuracy": mean PSNR in dB, "data": [{"file", "psnr"}]}.
"""
from __future__ import annotations

import argparse
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from common.base import errors, facts, files, metrics, pictures, settings
from common.base.errors import UserError
from common.data import dataset, evaluation, result_files, variant
from common.judge import verdicts

ROW = {"required": ["file", "psnr"], "properties": {"file": {"type": "string"}, "psnr": {"type": "number"},
                                                    "bicubic": {"type": "number"}}}
"""The schema of what `one` keeps of a sample."""


def crop(output: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut the padding off: float32 [1, 3, sS, sS] RGB, or of any size, to float32 [height, width, 3] RGB."""
    return output[0, :, :height, :width].transpose(1, 2, 0)


def score(output: np.ndarray, truth: np.ndarray, scale: int, shave: int) -> float:
    """PSNR in dB; output: float [H, W, 3] in 0..255, truth: uint8 [H, W, 3], RGB both. Shaves scale + shave pixels."""
    return metrics.psnr(output, truth, scale + shave)


def to_uint8(output: np.ndarray) -> np.ndarray:
    """The picture to save: rounded and clamped, uint8 [H, W, 3]."""
    return np.clip(np.round(output), 0, 255).astype(np.uint8)


def enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    """Pillow's bicubic enlargement, the baseline: uint8 [H, W, 3] to float32 [1, 3, S, S], padded as the network's."""
    from PIL import Image
    height, width = image.shape[0] * scale, image.shape[1] * scale
    large = np.asarray(Image.fromarray(image).resize((width, height), Image.BICUBIC), np.float32)
    padded = np.zeros((1, 3, max(height, width), max(height, width)), np.float32)
    padded[0, :, :height, :width] = large.transpose(2, 0, 1)
    return padded


def read_output(path: Path, scale: int, shape: Optional[Sequence[int]] = None) -> np.ndarray:
    """A result file as float32 [1, 3, height, width].

    shape: of the sample that was preprocessed, [1, 3, H, W]; None: a square, whose side follows from the file's length.
    """
    if shape:
        return dataset.read_result(path, (1, 3, scale * shape[2], scale * shape[3]))
    found = path.stat().st_size
    for width in (12, 6):  # bytes of a pixel in float32, and in float16
        side = math.isqrt(found // width)
        if side and side % scale == 0 and side ** 2 * width == found:
            return dataset.read_result(path, (1, 3, side, side))
    raise UserError(f"{path}: {found} bytes are no float32 [1,3,{scale}S,{scale}S]; the file is truncated or of another model; "
                    "run the inference again")


def main_output(outputs: Mapping[int, Path]) -> Path:
    """A sample's result file, of those by number (`result_files.find`): the network has one output."""
    return min(outputs.items())[1]


def pair(stems: Sequence[str], truths: Dict[str, Path], scale: int, folder: str) -> Dict[str, Path]:
    """The high-resolution picture of each result: same stem, or DIV2K's (0801x2 and 0801). None may be left over.

    Where all may be DIV2K's they are: beside img.png, imgx2 is not the result of an imgx2.png.
    """
    bases = {stem: re.sub(rf"x{scale}$", "", stem) for stem in stems}
    suffixed = all(base != stem and base in truths for stem, base in bases.items())
    pairs = {stem: (None if suffixed else truths.get(stem)) or truths.get(base) for stem, base in bases.items()}
    for stem, path in pairs.items():
        if path is None:
            other = re.fullmatch(r"(.+)x([234])", stem)
            if other and other.group(1) in truths:
                raise UserError(f"{stem}: is of scale {other.group(2)} by its name, the model's scale is {scale}; "
                                f"make_lr.py --scale {scale} makes low-resolution pictures of {folder}")
            names = dict.fromkeys(f"{name}.png" for name in (stem, bases[stem]))
            raise UserError(f"{folder}: no high-resolution picture for {stem}, expected {' or '.join(names)} "
                            f"(scale {scale})")
    left = sorted(set(truths.values()) - set(pairs.values()))
    if left and settings.limit() is None:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise UserError(f"{left[0]}{more}: high-resolution picture without a result; "
                        "preprocess and inference must cover every picture of HR, or set LIMIT=N")
    return pairs


def known_scale(given: Optional[int], told: variant.Variant, folder: str, stems: Sequence[str],
                truths: Dict[str, Path]) -> int:
    """The scale that all who tell it agree on: --scale, the model's variant, the inference's record, DIV2K's names.

    given: --scale. told: the variant of the model or the samples. folder: the results', beside which a stand-in's
    record lies. 2 where nobody tells. Raises `UserError` where two differ.
    """
    found = {"--scale": given} if given else {}
    if "scale" in told:
        found["the model's metadata"] = variant.number(told, "scale", 2)
    for record in result_files.records(folder) if folder else ():
        with suppress(UserError, KeyError, ValueError):
            found[str(record)] = int(files.read_json(record, "record")["provenance"]["metadata"]["scale"])
    names = {re.sub(r".*x(?=[234]$)", "", stem) for stem in stems if stem not in truths}
    if len(names) == 1 and min(names) in ("2", "3", "4"):
        found[f"the pictures' names ({stems[0]})"] = int(min(names))
    if len(set(found.values())) > 1:
        raise UserError("the scale is " + ", but ".join(f"{value} by {by}" for by, value in found.items())
                        + "; the results are of another model, or --scale is wrong")
    if not found:
        print("scale 2: nothing told another one; for a model of scale 3 or 4 give --prep, --onnx or --scale")
        return 2
    (scale,) = set(found.values())
    if scale not in (2, 3, 4):
        raise UserError(f"the scale is {scale} by {next(iter(found))}, expected 2, 3 or 4")
    return scale


def evaluate(output: np.ndarray, path: Path, scale: int, shave: int) -> Tuple[np.ndarray, float]:
    """The super-resolved picture (float32 [H, W, 3] RGB, padding cropped) and its PSNR against that at `path`."""
    truth = pictures.read_rgb(path)
    height, width = truth.shape[0] // scale * scale, truth.shape[1] // scale * scale
    if height > output.shape[2] or width > output.shape[3]:
        raise UserError(f"{path}: {width}x{height} is larger than the network's output, {output.shape[3]}x{output.shape[2]}")
    if min(height, width) <= 2 * (scale + shave):
        raise UserError(f"{path}: {width}x{height} leaves nothing after {scale + shave} pixels are shaved off each side")
    picture = crop(output, height, width)
    return picture, score(picture, truth[:height, :width], scale, shave)


def check_sizes(stems: Sequence[str], sizes: Mapping[str, Tuple[int, int]], pairs: Mapping[str, Path], scale: int) -> None:
    """Raise `UserError` where a high-resolution picture is not `scale` times its low-resolution one.

    sizes: width and height of the low-resolution pictures, by stem. What does not divide may be cut off or rounded up.
    """
    for stem in stems:
        if stem not in sizes:
            continue
        large, small = pictures.read_size(pairs[stem]), sizes[stem]
        if any(abs(high - scale * low) >= scale for high, low in zip(large, small)):
            raise UserError(f"{pairs[stem]}: is {large[0]}x{large[1]}, the low-resolution picture {stem} is "
                            f"{small[0]}x{small[1]}, expected {large[0] // scale}x{large[1] // scale} (scale {scale}); "
                            f"make_lr.py --scale {scale} makes low-resolution pictures of HR")


# long: the arguments, and the two functions that need all of them
def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: ids whose outputs are handed over, in place of the files in --res."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__),
                                     epilog="LIMIT=N in the environment takes the first N results.")
    parser.add_argument("--res", required=True, metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("--HR", required=True, metavar="HR", help="folder with the high-resolution pictures")
    parser.add_argument("--scale", type=settings.positive, choices=(2, 3, 4), help="default: as --prep, --onnx, the record of "
                        "the inference or DIV2K's names tell, else 2")
    parser.add_argument("--onnx", metavar="ONNX", help="the model that the results are of (default: the one that "
                        "edsr_preprocess.py was told)")
    parser.add_argument("--prep", metavar="DST", help="what edsr_preprocess.py wrote: results must be of its samples")
    parser.add_argument("--save", default="result/save", help="folder for the pictures (default: %(default)s)")
    parser.add_argument("--LR", metavar="LR", help="folder with the low-resolution pictures: bicubic's PSNR beside")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the report's accuracy section")
    parser.add_argument("--json", default="result.json", help="file for the figures (default: %(default)s)")
    args = parser.parse_args(argv)

    results = result_files.find(args.res) if samples is None else {}
    wanted = sorted(evaluation.expected(args.prep, lambda: list(results)) if samples is None else samples)
    stems = evaluation.taken(wanted, results if samples is None else None, args.res)
    truths = {path.stem: path for path in pictures.find(args.HR, "high-resolution pictures")}
    low = {path.stem: path for path in pictures.find(args.LR, "low-resolution pictures")} if args.LR else {}
    missing = sorted(set(stems) - set(low)) if args.LR else []
    if missing:
        raise UserError(f"{args.LR}: no low-resolution picture for {missing[0]}, expected {missing[0]}.png")
    told = variant.find(model, args.onnx, args.prep if samples is None else None)
    scale = known_scale(args.scale, told, args.res if samples is None else "", stems, truths)
    pairs = pair(stems, truths, scale, args.HR)
    sizes = {stem: pictures.read_size(path) for stem, path in low.items() if stem in pairs}
    made = {record["id"]: record for record in dataset.read_manifest(args.prep)} if args.prep and samples is None else {}
    if not sizes:
        sizes = {stem: (record["width"], record["height"]) for stem, record in made.items()}
    shapes = {main_output(results[stem]): made[stem]["shape"] for stem in stems if stem in made}
    check_sizes(stems, sizes, pairs, scale)

    def picture_of(stem: str) -> Path:
        return Path(args.save) / f"{stem}.png"

    def one(stem: str, name: str, output: np.ndarray) -> evaluation.Row:
        """The result's name, its PSNR, and bicubic's with --LR."""
        path = pairs[stem]
        picture, value = evaluate(output, path, scale, model.extra["shave"])
        if not math.isfinite(value):
            raise UserError(f"{path}: equals the network's output in every pixel; is HR the result folder?")
        pictures.write_rgb(picture_of(stem), to_uint8(picture))
        row = {"file": f"{name}.bin", "psnr": value}
        if args.LR:
            plain = enlarge(pictures.read_rgb(low[stem]), scale)
            row["bicubic"] = evaluate(plain, path, scale, model.extra["shave"])[1]
        return row

    def finish(rows: Sequence[evaluation.Row]) -> None:
        mean, baseline, beside = float(np.mean([row["psnr"] for row in rows])), None, ""
        for row in rows:
            print(f"{row['file']}: {row['psnr']:.4f} dB" + (f" (bicubic {row['bicubic']:.4f} dB)" if args.LR else ""))
        files.write_json(args.json, {"accuracy": mean, "data": [{"file": row["file"], "psnr": row["psnr"]}
                                                                for row in rows]})
        if args.LR:
            baseline = {"name": "bicubic", "value": float(np.mean([row["bicubic"] for row in rows]))}
            beside = f" (bicubic {baseline['value']:.4f} dB)"
        if args.accuracy:
            verdicts.write_accuracy(args.accuracy, model, mean, {row["file"]: row["psnr"] for row in rows}, baseline)
        print(f"PSNR over {len(rows)} images: {mean:.4f} dB{beside}")
        print(f"accuracy: {mean:.4f}")  # the reference's name for it, for who greps it

    return evaluation.Evaluation(
        stems, lambda stem: main_output(results[stem]), lambda path: read_output(path, scale, shapes.get(path)), one, finish,
        shape=(1, 3, None, None), row=ROW, needs=lambda stem: [pairs[stem], *([low[stem]] if args.LR else [])],
        leaves=lambda stem, name: [picture_of(stem)])


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
