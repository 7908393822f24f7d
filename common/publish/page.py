"""The report as one HTML page that needs nothing else: `python3 -m common.publish.page REPORT... --output HTML`.

Beside each report may lie `gallery.json`, the model's pictures (`common.publish.gallery`). The page holds them as data URIs and
its charts as SVG, and fetches nothing; its one script (`common.publish.explore`) is not needed to read it. Thumbnails of the
samples that it does not show lie beside it, in `thumbnails`, and are read when one asks for them.
What the reference measured is drawn hollow and dashed, what was measured here is drawn full.
"""
from __future__ import annotations

import argparse
import base64
import io
import math
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import errors, facts, files
from common.base.errors import UserError
from common.base.pictures import opened
from common.convert import cost as cost_counting
from common.engines import engine
from common.judge import peaks, reports
from common.judge.reports import overall
from common.publish import explore, history, precision, report
from common.publish.elements import badge, number, table, with_unit

LIMIT = 8_000_000
"""Bytes that a page may have."""
SIDES = (480, 360, 280, 200, 140, 96)
"""Longest side of a picture in pixels; the first with which the page keeps the limit is taken."""
NOTICE = ("Figures taken by ONNX Runtime or OpenVINO are of this machine's processor: none is an NPU figure. "
          "Reference figures were taken by others on the chips named, and each has a definition of its own.")


class Bar(NamedTuple):
    """One figure of the throughput chart, in images per second. here: measured by this run, else a reference."""

    batch: Optional[int]
    label: str
    value: float
    here: bool
    definition: str


def bars(one: Mapping[str, Any]) -> List[Bar]:
    """The throughput figures of a report by batch, what was measured here first.

    The measurements are of the model file that the last run outside the sweep timed, as the reference's performance
    figures are of one file too; a sweep's figure goes before a single run's of the same batch. A reference that counts
    runs of a whole batch is turned into images.
    """
    single = [run for run in one["performance"] if not run["sweep"]]
    timed = single[-1]["model_sha256"] if single else None
    measured: Dict[Tuple[int, int], Mapping[str, Any]] = {}
    for run in [*single, *(run for run in one["performance"] if run["sweep"])]:
        if run["model_sha256"] == timed:
            measured[run["batch"], len(run.get("devices", [0]))] = run
    small = report.smaller(one)
    who = "a network of another size, here" if small else "measured here"
    found = [Bar(batch, f"{engine.label(run)}, " + (f"{devices} devices, " if devices > 1 else "") + who,
                 run["samples_per_s"], True, engine.origin(run) + (f"; {small}" if small else ""))
             for (batch, devices), run in measured.items()]
    for entry in (facts.Reference(**given) for given in one["references"]):
        if entry.quantity == "throughput":
            found.append(Bar(entry.batch, f"{entry.device}, reference", entry.value * entry.times, False, entry.definition))
    return sorted(found, key=lambda bar: (bar.batch or 0, not bar.here))


def decades(values: Sequence[float]) -> Tuple[int, int]:
    """The powers of ten that enclose positive values: a logarithmic axis's ends. They differ by at least 1."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def chart(title: str, rows: Sequence[Bar]) -> Any:
    """A dot chart of throughput on a logarithmic axis, a line per figure; full dots were measured here, hollow not.

    It is a grid of text and small SVGs with places in per cent, so that text keeps its size at any width.
    """
    from dominate import svg, tags
    low, high = decades([bar.value for bar in rows])

    def place(value: float) -> str:
        return f"{100 * (math.log10(value) - low) / (high - low):.2f}%"

    step = 1 + (high - low) // 6
    ticks = [10.0 ** power for power in range(low, high + 1, step)]

    def line(kind: str, start: str, end: str, top: str, bottom: str) -> Any:
        made = svg.line(cls=kind)
        made["x1"], made["x2"], made["y1"], made["y2"] = start, end, top, bottom
        return made

    def mark(here: bool, at: str, height: str) -> Any:
        if here:
            dot = svg.circle(cls="mark", r="5")
            dot["cx"], dot["cy"] = at, height
            return dot
        hollow = svg.svg(svg.path(cls="mark", d="M0-6 6 0 0 6-6 0z"), overflow="visible", width="1", height="1")
        hollow["x"], hollow["y"] = at, height
        return hollow

    grid = tags.div(cls="chart")
    axis = svg.svg(cls="axis", role="presentation")
    for tick in ticks:
        power = max(0, int(math.log10(tick) + 0.5) // 3) if tick >= 1 else 0
        label = svg.text(f"{tick / 1000 ** power:g}{('', 'k', 'M', 'G')[min(power, 3)]}")
        label["x"], label["y"], label["text-anchor"] = place(tick), "14", "middle"
        axis.add(label)
    grid.add(tags.span("images/s", cls="dim"), axis, tags.span())
    batch: Any = ()
    for bar in rows:
        if bar.batch != batch:
            batch = bar.batch
            grid.add(tags.div(f"batch {batch}" if batch else "batch not given", cls="batch"))
        kind, at = "here" if bar.here else "other", place(bar.value)
        drawn = svg.svg(*[line("grid", place(tick), place(tick), "0", "100%") for tick in ticks],
                        line("stem", "0", at, "50%", "50%"), mark(bar.here, at, "50%"), cls=kind, role="img")
        drawn["aria-label"] = f"{bar.label}: {number(bar.value)} images per second"
        grid.add(tags.span(bar.label, cls=kind), drawn, tags.span(number(bar.value), cls=f"number {kind}"))
    key = tags.div(cls="key")
    for here, text in ((True, "measured here"), (False, "reference, measured by others on the chip named")):
        if any(bar.here == here for bar in rows):
            kind = "here" if here else "other"
            key.add(tags.span(svg.svg(mark(here, "50%", "50%"), cls=kind), text))
    notes = dict.fromkeys(f"{bar.label}: {bar.definition}" for bar in rows)
    return tags.figure(tags.h3(title), key, grid, tags.figcaption(
        "Logarithmic axis: a step of the grid is ten" + (f" to the {step}" if step > 1 else "") + " times as fast. ",
        *[part for note in notes for part in (tags.br(), note + ".")]))


def thumbnail(path: Path, side: int) -> str:
    """A picture as a data URI, its longest side at most `side` pixels: the smaller of PNG and JPEG."""
    from PIL import Image
    with opened(path) as image:
        picture = image.convert("RGB")
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.LANCZOS)
    found = []
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 84, "optimize": True})):
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        found.append((buffer.tell(), kind, buffer.getvalue()))
    _, kind, content = min(found)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def pictures(shown: Mapping[str, Any], model: str, folder: Path, metric: Optional[Mapping[str, Any]], side: int) -> Any:
    """The gallery: a row per sample, `#<model>-<row>`, its panels side by side.

    metric: the report's accuracy, None to show no values.
    """
    from dominate import tags
    made = tags.div(tags.h3("Pictures, worst first" if metric else "Pictures"), tags.p(shown["note"], cls="small dim"))
    if shown["legend"]:
        made.add(tags.div(*[tags.span(tags.span(cls="swatch", style=f"background:{entry['colour']}"), entry["text"])
                            for entry in shown["legend"]], cls="key"))

    def valued(label: str, value: Optional[float]) -> str:
        return label if value is None or not metric else f"{label}, {with_unit(value, metric['unit'])}"

    for place, row in enumerate(shown["rows"]):
        value = [tags.span(f"  {metric['metric']} "), tags.strong(with_unit(row["value"], metric["unit"]))] if (
            metric and row["value"] is not None) else []
        made.add(tags.p(row["sample"], *value, cls="sample", id=f"{model}-{place}"))
        panels = tags.div(cls="panels")
        for panel in row["panels"]:
            ratio = panel["width"] / panel["height"]
            image = tags.img(src=thumbnail(folder / panel["image"], side), alt=f"{row['sample']}: {panel['label']}",
                             width=panel["width"], height=panel["height"])
            figure = tags.figure(image, tags.figcaption(valued(panel["label"], panel["value"])),
                                 style=f"flex:{ratio:.3f} 1 {ratio * 130:.0f}px;max-width:{panel['width']}px")
            if panel.get("cover"):  # what went in and what came out: a slider goes from one to the other
                figure["data-compare"] = panel["label"]
            panels.add(figure)
        made.add(panels)
    return made


def cover(reports: Sequence[Tuple[Mapping[str, Any], Path]], side: int) -> Any:
    """What each model does, at a glance: of the sample in the middle of its gallery, what went in and what came out."""
    from dominate import tags
    found = []
    for one, folder in reports:
        if (folder / "gallery.json").is_file():
            rows = files.read_json(folder / "gallery.json", "gallery")["rows"]
            chosen = [panel for panel in rows[len(rows) // 2]["panels"] if panel.get("cover")]
            figure = tags.figure(tags.div(*[tags.img(
                src=thumbnail(folder / panel["image"], side), alt=f"{one['model']}: {panel['label']}",
                width=panel["width"], height=panel["height"]) for panel in chosen], cls="pair"), tags.figcaption(
                    tags.a(one["model"], href=f"#{one['model']}"), ": ", " → ".join(panel["label"] for panel in chosen)))
            found.append((any(panel["width"] > 1.5 * panel["height"] for panel in chosen), figure))
    return tags.div(*[figure for _, figure in sorted(found, key=lambda entry: entry[0])], cls="cover")  # wide ones last


def card(name: str, figure: str, *notes: Any) -> Any:
    from dominate import tags
    return tags.div(tags.div(name, cls="name"), tags.div(figure, cls="figure"),
                    *[tags.p(note) for note in notes if note], cls="card")


def cards(one: Mapping[str, Any]) -> Any:
    """The figures that one looks for first: accuracy, agreement, speed, memory."""
    from dominate import tags
    made, accuracy, run = tags.div(cls="cards"), one["accuracy"], report.fastest(one)
    if accuracy:
        gap = accuracy["gap_percent"]
        made.add(card(f"{accuracy['metric']} over {accuracy['samples']} samples",
                      with_unit(accuracy["value"], accuracy["unit"], 5),
                      accuracy["reference"] is not None and
                      f"reference {with_unit(accuracy['reference'], accuracy['unit'], 5)}: {accuracy['source']}"
                      + (f"; gap {gap:+.3f} %" if gap is not None else "") + f": {accuracy['verdict']}",
                      accuracy["baseline"] and f"{accuracy['baseline']['name']}: "
                      f"{with_unit(accuracy['baseline']['value'], accuracy['unit'], 5)}", accuracy["definition"]))
    for name, agreement in (("ONNX", one["agreement"]), ("OM", one["om_agreement"])):
        if agreement:
            also = agreement.get("pictures")
            made.add(card(f"{name} against PyTorch, {agreement['samples']} samples",
                          f"cosine {agreement['cosine']:.6f}",
                          f"the worst sample's; largest difference {number(agreement['max_abs'], 3)}, relative "
                          f"Euclidean {agreement['relative_euclidean']:.1e}: {agreement['verdict']}",
                          also and "as 8-bit pictures PSNR "
                          + ("infinite (equal)" if also["psnr"] is None else f"{also['psnr']:.2f} dB")
                          + f", SSIM {also['ssim']:.5f} in the worst",
                          "classes" in agreement and f"same class in {agreement['classes']['equal_percent']:.4f} % of "
                          "the pixels"))
    if run:
        compute = run["compute_ms"]
        made.add(card(f"device compute, batch {run['batch']}", f"{number(compute['median'])} ms",
                      f"median of {compute['count']} runs; mean {number(compute['mean'])}, 99th percentile "
                      f"{number(compute['p99'])} ms", engine.origin(run)))
        made.add(card("throughput, device compute alone", f"{number(run['samples_per_s'])} samples/s",
                      f"end to end, with reading and writing: {number(run['end_to_end_samples_per_s'])} samples/s"))
        made.add(card("peak memory", files.size(max(each["peak_memory_bytes"] for each in one["performance"])),
                      "resident memory of the inference process, the largest of its runs"))
    return made


def performance_table(one: Mapping[str, Any]) -> Any:
    head = ("model", "batch", "warm-up", "runs", "mean ms", "median ms", "p99 ms", "samples/s", "end to end/s",
            "memory")

    def row(name: str, run: Mapping[str, Any], of: Mapping[str, Any]) -> Tuple[str, ...]:
        return (name, str(run["batch"]), str(run["warm_up_runs"]), str(of["compute_ms"]["count"]),
                *(number(of["compute_ms"][key]) for key in ("mean", "median", "p99")), number(of["samples_per_s"]),
                number(of["end_to_end_samples_per_s"]), files.size(of["peak_memory_bytes"]))

    rows = []
    for run in one["performance"]:
        each = run.get("devices", [])
        rows.append(row(run["model"] + (f", {run['device']}" if each else ""), run, run))
        rows += [row(f"device {part['device']}: {part['name']}", run, part) for part in each]
    return table(head, rows, range(1, 10))


def cost_part(one: Mapping[str, Any]) -> List[Any]:
    """What the model files take of a chip, and each throughput beside its chip's nominal peak."""
    from dominate import tags
    made: List[Any] = []
    if one["cost"]:
        made += [tags.h3("Cost"), table(("model", *(name for name, _ in cost_counting.HEAD)), [
            (each["model"], *(cell(each) for _, cell in cost_counting.HEAD)) for each in one["cost"]], range(1, 7)),
            tags.p("Weights and activations in half precision; GMAC: 10\u2079 multiply-accumulates of one sample; FLOP/byte: "
                   "arithmetic intensity where every operator reads and writes memory once.", cls="small dim")]
    if one["shares"]:
        made += [tags.h3("Beside the nominal peak"), table(("figure", "samples/s", "TFLOPS", "nominal peak", "share"), [
            (each["what"], number(each["samples_per_s"]), number(each["share"] * each["peak_tflops"]),
             f"{each['chips']} x {each['chip']}: {each['peak_tflops']:g} TFLOPS",
             f"{100 * each['share']:.3g} %") for each in one["shares"]], (1, 2, 3, 4))]
        made += [tags.p(tags.strong("Error: "), text, cls="warning") for text in peaks.above(one["shares"])]
        pages = dict.fromkeys(f"{each['chip']}: {each['page'].partition('://')[2]}" for each in one["shares"])
        made.append(tags.p("The peak is the chip's in half precision, dense; a multiply-accumulate is two operations. Figures "
                           "of a CPU have no nominal peak here. ", *[part for text in pages for part in (tags.br(), text)],
                           cls="small dim"))
    return made


def int8_part(one: Mapping[str, Any]) -> List[Any]:
    """int8 beside float32 and half precision, where `make int8` was run on this model file."""
    from dominate import tags
    found = one["int8"]
    if not found:
        return []
    return [tags.h3("int8 ", badge(found["verdict"])), table(
        ("precision", "size", "samples/s here", found["metric"], "cosine, lowest", "relative Euclidean, largest"),
        [(row["name"], files.size(row["bytes"]) if row["bytes"] else "-", number(row["samples_per_s"]), with_unit(
            row["accuracy"], found["unit"], 5), f"{row['cosine']:.6f}", f"{row['relative_euclidean']:.2g}")
         for row in found["rows"]], range(1, 6)),
        tags.p(f"{found['why']}. {found['scheme']}; calibrated on {found['calibration']['samples']} samples: "
               f"{found['calibration']['source']}. Outputs are held to PyTorch's.", cls="small dim")]


def definitions(runs: Sequence[Mapping[str, Any]], key: str) -> List[str]:
    """What a figure means, of one device, and of several where a run had several."""
    found = {"devices" in run: run["definitions"][key] for run in runs}
    return list(dict.fromkeys(f"on several devices: {found[several]}" if several and len(found) > 1 else found[several]
                              for several in sorted(found)))


def disk_table(one: Mapping[str, Any]) -> Any:
    """What takes space in the build folder, the largest first; small files in one row."""
    listed = sorted(one["disk"], key=lambda entry: -entry["bytes"])
    large = [entry for entry in listed if entry["bytes"] >= 100_000]
    small = listed[len(large):]
    rows = [(entry["path"], ", ".join(entry["stages"]), str(entry["files"]), files.size(entry["bytes"]))
            for entry in large]
    if small:
        rows.append(("the rest", "", str(sum(entry["files"] for entry in small)),
                     files.size(sum(entry["bytes"] for entry in small))))
    return table(("in build/", "written by", "files", "size"), rows, (2, 3))


def behind(one: Mapping[str, Any]) -> Any:
    """Provenance, as a list that is unfolded by a click and in print."""
    from dominate import tags
    origin = one["provenance"]
    machine, made = origin["machine"], tags.dl()

    def entry(name: str, *values: Any) -> None:
        made.add(tags.dt(name), tags.dd(*values))

    entry("date", one["date"])
    entry("machine", f"{machine['cpu']}, {machine['cores']} cores"
          + (f", {machine['threads']} threads used" if machine["threads"] else "")
          + (f", {files.size(machine['memory_bytes'])} memory" if machine["memory_bytes"] else "")
          + f", {machine['system']}" + (f"; {', '.join(machine['chips'])}" if machine["chips"] else ""))
    entry("versions", ", ".join(f"{name} {version}" for name, version in origin["versions"].items()))
    if origin["collection"]:
        entry("this collection", tags.code(origin["collection"]))
    if origin["checkpoint"]:
        entry("checkpoint", f"{origin['checkpoint']['file']}, {files.size(origin['checkpoint']['bytes'])}, SHA-256 ",
              tags.code(origin["checkpoint"]["sha256"]))
    for model in origin["models"]:
        entry("ONNX", f"{model['file']}, " + (f"{files.size(model['bytes'])}, " if model["bytes"] else "") + "SHA-256 ",
              tags.code(model["sha256"]))
    for command in origin["commands"]:
        entry(command["stage"], tags.code(command["command"]))
    return tags.details(tags.summary("Where these figures come from: commands, checksums, versions"), made)


def places(model: str, folder: Path, rows: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """Where on the page a sample's pictures are, `#id` by the sample's name in accuracy.json.

    The gallery's name of a sample may be the shorter one (`0801x2` of `0801x2_1.bin`), so the value has to be the same too.
    """
    if not (folder / "gallery.json").is_file():
        return {}
    return {row["sample"]: f"#{model}-{place}"
            for place, drawn in enumerate(files.read_json(folder / "gallery.json", "gallery")["rows"]) for row in rows
            if row["value"] == drawn["value"] and row["sample"].startswith(drawn["sample"])}


def thumbnails(model: str, folder: Path, beside: Path) -> Dict[str, Tuple[str, Path]]:
    """By sample: where its thumbnail is for a page in the folder `beside`, and the file that the gallery left."""
    if not (folder / "gallery.json").is_file():
        return {}
    found = files.read_json(folder / "gallery.json", "gallery").get("thumbnails", {}).get("images", [])
    own = folder.resolve() == beside.resolve()
    return {each["sample"]: (each["image"] if own else each["image"].replace("/", f"/{model}/"), folder / each["image"])
            for each in found}


def put_beside(output: Path, reports: Sequence[Tuple[Mapping[str, Any], Path]]) -> None:
    """Copy the thumbnails of reports that lie elsewhere to the page's folder; those that the page there named are removed."""
    if output.is_file():
        for place in re.findall(r'href="(thumbnails/[\w-]+/[0-9]+\.jpg)"', output.read_text(encoding="utf-8", errors="replace")):
            (output.parent / place).unlink(missing_ok=True)
    for one, folder in reports:
        for place, source in thumbnails(one["model"], folder, output.parent).values():
            if (output.parent / place).resolve() != source.resolve():
                files.write_bytes(output.parent / place, files.existing_file(source, "a thumbnail").read_bytes())


def spread(one: Mapping[str, Any], folder: Path, beside: Optional[Path]) -> List[Any]:
    """Every sample's figure and every class's, from the accuracy.json beside the report."""
    from dominate import tags
    if not one["accuracy"] or not (folder / "accuracy.json").is_file():
        return []
    found = files.read_json(folder / "accuracy.json", "accuracy")
    small = {name: place for name, (place, _) in thumbnails(one["model"], folder, beside).items()} if beside else {}
    about = files.read_json(folder / "gallery.json", "gallery")["thumbnails"] if small else {}
    made = [tags.h3("Every sample"), explore.histogram(one["accuracy"], [row["value"] for row in found["rows"]]),
            explore.samples(one["accuracy"], found["rows"], places(one["model"], folder, found["rows"]),
                            explore.Beside(small, about["labels"], about["left_out"]) if small else None)]
    if found.get("classes"):
        made += [tags.h3("Every class"), explore.classes(found["classes"])]
    return [*made, explore.downloads(one["model"], one, found["rows"])]


def section(one: Mapping[str, Any], folder: Path, side: int, beside: Optional[Path] = None) -> Any:
    """One model's part of the page. folder: where its gallery's pictures are; beside: as in `build`."""
    from dominate import tags
    inputs = one["inputs"]
    made = tags.section(tags.h2(one["title"], " ", badge(one["verdict"])), id=one["model"])
    made.add(tags.p(tags.span("Data: ", cls="dim"), report.DATA.get(inputs["data"], inputs["data"]), ". ",
                    tags.span("Weights: ", cls="dim"), report.WEIGHTS.get(
                        inputs["checkpoint"], inputs["checkpoint"]), "."))
    made.add(cards(one))
    if one["accuracy"] and one["accuracy"]["doubt"]:
        made.add(tags.p(tags.strong("Untrained: " if one["accuracy"]["untrained"] else "Error: "), one["accuracy"]["doubt"], ".",
                        cls="warning"))
    first, *rest = history.told(one) or [""]
    if first:
        made.add(tags.h3(f"Changes {first}"), tags.ul(*[tags.li(
            tags.strong(text) if "beyond" in text.split(":")[0] and ":" in text else text) for text in rest]))
    listed = folder / "gallery.json"
    if listed.is_file():
        made.add(pictures(files.read_json(listed, "gallery"), one["model"], folder, one["accuracy"], side))
    made.add(*spread(one, folder, beside))
    rows = bars(one)
    if rows:
        if report.smaller(one):
            made.add(tags.p(tags.strong("Beware: "), f"{report.smaller(one)}.", cls="warning"))
        made.add(chart("Throughput by batch", rows))
    if one["performance"]:
        made.add(tags.h3("Performance"), performance_table(one), tags.p(
            *[f"{key}: {text}. " for key in ("compute_ms", "samples_per_s", "end_to_end_samples_per_s",
                                             "peak_memory_bytes")
              for text in definitions(one["performance"], key)], cls="small dim"))
    models = one["provenance"]["models"] if one["provenance"] else []
    made.add(*precision.sections(folder, {each["sha256"] for each in models}))
    for part in (cost_part(one), int8_part(one)):
        if part:
            made.add(*part)
    if one["disk"]:
        made.add(tags.h3("On disk"), disk_table(one))
    if one["provenance"]:
        made.add(behind(one))
    return made


def summary(reports: Sequence[Mapping[str, Any]]) -> Any:
    """The table over all models."""
    from dominate import tags
    rows = []
    for one in reports:
        name, _, own, expected, agree, compute, rate = report.row(one)
        inputs = one["inputs"]
        kinds = ["demo" if inputs["data"] == "demo" else "none" if inputs["data"] == "none" else "own",
                 inputs["checkpoint"] if inputs["checkpoint"] in report.WEIGHTS else "own"]
        rows.append((tags.a(name, href=f"#{name}"), badge(one["verdict"]), own, expected, agree, compute, rate,
                     " / ".join(kinds)))
    return table((*report.HEAD, "data / weights"), rows, (6,))


def build(reports: Sequence[Tuple[Mapping[str, Any], Path]], side: int, beside: Optional[Path] = None) -> str:
    """The whole page as text. reports: each with the folder it lies in; side: of the pictures, pixels.

    beside: the folder that the page will lie in, for links to thumbnails there (`put_beside`); None: no thumbnails.
    """
    try:
        import dominate
        from dominate import tags
    except ImportError as error:
        raise UserError(f"the page needs dominate, which cannot be imported ({error}): pip install dominate") from error
    ones = [one for one, _ in reports]
    verdict = overall(one["verdict"] for one in ones)
    title = "From PyTorch to Ascend NPUs: report" if len(ones) > 1 else f"{ones[0]['title']}: report"
    page = dominate.document(title=title, lang="en")
    page.body.add(tags.h1(title, " ", badge(verdict)), tags.p(f"Of {max(one['date'] for one in ones)[:16]}".replace(
        "T", " ") + " UTC. ", NOTICE, cls="dim"), summary(ones), tags.p(
        "accuracy / samples; compute: median of one batch on the device / its size", cls="small dim"))
    if len(ones) > 1:
        page.body.add(cover(reports, side))
    for one, folder in reports:
        page.body.add(section(one, folder, side, beside))
    asks = beside and any(thumbnails(one["model"], folder, beside) for one, folder in reports)
    explore.furnish(page, "data: 'self' file:" if asks else "data:")
    return page.render(pretty=False) + "\n"


def fitting(reports: Sequence[Tuple[Mapping[str, Any], Path]], beside: Optional[Path] = None) -> str:
    """The page with the largest pictures that keep it below the limit. Raises `UserError` when none do."""
    for side in SIDES:
        text = build(reports, side, beside)
        if len(text.encode("utf-8")) < LIMIT:
            return text
    raise UserError(f"the page would have {files.size(len(text.encode('utf-8')))}, at most {files.size(LIMIT)} are "
                    "allowed; the galleries hold too many pictures")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.publish.page", description=errors.first_line(__doc__))
    parser.add_argument("reports", nargs="+", metavar="REPORT",
                        help="report.json of a model; gallery.json lies beside it")
    parser.add_argument("--output", required=True, metavar="HTML", help="file to write")
    args = parser.parse_args(argv)
    shown, output = [(reports.report(path), Path(path).parent) for path in args.reports], Path(args.output)
    text = fitting(shown, output.parent)
    put_beside(output, shown)
    files.write_text(output, text)
    print(f"{args.output}: {files.size(Path(args.output).stat().st_size)}, open it in a browser")


if __name__ == "__main__":
    errors.run(main)
