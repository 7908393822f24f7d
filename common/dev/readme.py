"""The results tables of the READMEs, written from the reports: `python3 -m common.dev.readme` in a model's folder.

What a README quotes of a run is kept in `results.json` beside it, so that the tables can be made again without the run:
`--report` adds a report's figures there. References are the facts'. The tables stand between two marks; the rest of a
README is left alone. A README in Chinese has marks of its own, and the same tables in Chinese.
"""
from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from common.base import errors, facts, files
from common.base.errors import UserError
from common.convert import cost as cost_counting
from common.engines import engine
from common.judge import peaks, reports
from common.publish import report

RESULTS = "results.json"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
BEGIN_ZH = {part: f"<!-- results:begin zh {part} -->" for part in ("accuracy", "throughput")}
"""The Chinese READMEs have a chapter on accuracy and one on performance, and a table in each."""
BLOCK = re.compile(r"(<!-- results:begin.*? -->)\n.*?(<!-- results:end -->)", re.DOTALL)

ZH = {
    "accuracy": "精度", "data and weights": "数据与权重", "samples": "样本数", "figure": "结果", "beside it": "说明",
    "of the nominal peak": "占标称峰值", "cost of the reference network, input": "参考网络的开销，输入", "parameters": "参数量",
    "GMAC a sample": "每样本 GMAC", "weights": "权重", "activations": "激活", "FLOP/byte": "FLOP/字节",
    "throughput": "吞吐率", "batch": "批大小", "definition": "定义", ", ": "，", "; ": "；", ": ": "：",
    "here: ": "实测，", "CPU core": "个 CPU 核", "CPU cores": "个 CPU 核", "published": "公开精度", "reference: ": "参考值，",
    "demo data": "示例数据", "demo weights": "示例权重", "seeded noise": "固定种子的噪声",
    "seeded weights, never trained": "固定种子的随机权重（未训练）",
    "ONNX against PyTorch": "ONNX 与 PyTorch 的一致性", "cosine {cosine:.7f}": "余弦相似度 {cosine:.7f}",
    "largest difference {max_abs:.3g}": "最大差值 {max_abs:.3g}", "pass": "通过", "fail": "不通过", "none": "无结论",
    "PyTorch on the same samples with the same checkpoint": "为 PyTorch 在相同样本、相同权重上的结果",
    "device compute of a batch: mean {mean:.4g}, median {median:.4g}, 99th percentile {p99:.4g} ms over {runs} runs":
        "单批设备计算时间 {runs} 次：均值 {mean:.4g} ms，中位数 {median:.4g} ms，99 分位 {p99:.4g} ms",
    "end to end {end_to_end_samples_per_s:.4g} samples/s": "端到端 {end_to_end_samples_per_s:.4g} samples/s",
    "{devices} devices together": "{devices} 个设备合计", "no NPU figure": "不是 NPU 数据", "not measured here yet": "尚未实测。",
    "{smaller}": "所测网络有 {parameters:,} 个参数，参考网络有 {reference_parameters:,} 个：速度不可比较",
}
"""The tables' words in Chinese. Those of one model alone, its definitions and names, are in its facts' `extra["zh"]`."""

Say = Callable[..., str]


def entry(one: Mapping[str, Any], data: Optional[str] = None) -> Dict[str, Any]:
    """What is kept of a report. data: what to call its dataset (default: the folder's name, or demo)."""
    inputs, runs = one["inputs"], [run for run in one["performance"] if not run["sweep"]]
    if not runs:
        raise UserError(f"{one['model']}: the report holds no measurement; run make all first")
    by, checkpoint = runs[-1], (one["provenance"] or {}).get("checkpoint")
    accuracy, agreement = one["accuracy"], one["agreement"]
    cores = f"{by['threads']} CPU core{'' if by['threads'] == 1 else 's'}"
    swept = [run for run in one["performance"] if run["sweep"]]
    return {
        "data": data or Path(inputs["data"]).name, "weights": Path(inputs["checkpoint"]).name,
        "checkpoint_sha256": checkpoint and checkpoint["sha256"],
        "by": f"{engine.label(by)} {by['version']}",
        "on": cores if by["provider"].startswith("CPU") else by["device"], "date": one["date"][:10],
        "accuracy": accuracy and {key: accuracy[key] for key in ("metric", "unit", "value", "samples", "baseline",
                                                                 "reference", "source", "verdict")},
        "speeds": one["network"] if report.smaller(one) else None,
        "agreement": agreement and {key: agreement[key] for key in ("samples", "cosine", "max_abs", "verdict")},
        "performance": [{"model": run["model"], "batch": run["batch"], "runs": run["compute_ms"]["count"],
                         **{key: run["compute_ms"][key] for key in ("mean", "median", "p99")},
                         "samples_per_s": run["samples_per_s"],
                         "end_to_end_samples_per_s": run["end_to_end_samples_per_s"],
                         **({"devices": len(run["devices"])} if "devices" in run else {})} for run in [*runs, *swept]]}


def add(results: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The results with `new` in the place of one on the same data, weights, engine and machine, else at the end."""
    def name(each: Mapping[str, Any]) -> Any:
        return each["data"], each["weights"], each["by"].rsplit(" ", 1)[0], each["on"]
    if any(name(each) == name(new) for each in results):
        return [new if name(each) == name(new) else each for each in results]
    return [*results, new]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """A table in Markdown."""
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (head, ["---"] * len(head), *rows)]


def speaker(model: facts.Facts, chinese: bool) -> Say:
    """Gives a text in the README's language, with its fields filled in. A name that has no Chinese stays as it is."""
    words = {**ZH, **model.extra.get("zh", {})} if chinese else {}

    def say(text: str, **fields: Any) -> str:
        said = words.get(text, text)
        return said.format(**fields) if fields else said
    return say


def data_name(result: Mapping[str, Any], say: Say) -> str:
    """The data and weights of a result, in words."""
    data = {"demo": "demo data", "none": "seeded noise"}.get(result["data"], result["data"])
    named = {"demo": "demo weights", "seeded": "seeded weights, never trained"}
    weights = named.get(result["weights"], result["weights"])
    return say(", ").join((say(data), say(weights)))


def measured(result: Mapping[str, Any], say: Say) -> str:
    """By what and on what a result was taken."""
    first, _, rest = result["on"].partition(" ")  # "2 CPU cores", or a device's name
    return say("here: ") + say(", ").join((result["by"], f"{first} {say(rest)}".strip()))


def accuracy_table(model: facts.Facts, results: Sequence[Mapping[str, Any]], say: Say) -> List[str]:
    """Measured here first, then the reference. Empty where there is neither."""
    rows = []
    for result in results:
        who, found, agreement = measured(result, say), result["accuracy"], result["agreement"]
        if found:
            beside = []
            if found["baseline"]:
                beside.append(f"{say(found['baseline']['name'])} {found['baseline']['value']:.6g}")
            if found["reference"] is not None:
                _, published, definition = found["source"].partition("published, ")
                source = say(", ").join((say("published"), say(definition))) if published else say(found["source"])
                beside.append(f"{found['reference']:.6g} {source}{say(': ')}{say(found['verdict'])}")
            rows.append((f"{who}{say(': ')}{say(model.metric.name)}", data_name(result, say), str(found["samples"]),
                         f"{found['value']:.6g} {found['unit']}".strip(), say("; ").join(beside)))
        if agreement:
            difference = say("largest difference {max_abs:.3g}", max_abs=agreement["max_abs"])
            rows.append((f"{who}{say(': ')}{say('ONNX against PyTorch')}", data_name(result, say),
                         str(agreement["samples"]), say("cosine {cosine:.7f}", cosine=agreement["cosine"]),
                         f"{difference}{say(': ')}{say(agreement['verdict'])}"))
    for given in model.references:
        if given.quantity != "throughput":
            who = "" if given.device == "published" else say("reference: ") + say(given.device)
            rows.append((f"{who or say('published')}{say(': ')}{say(given.quantity)}", say(given.definition), "",
                         f"{given.value:.6g} {given.unit}".strip(), ""))
    head = [say(word) for word in ("accuracy", "data and weights", "samples", "figure", "beside it")]
    return table(head, rows) if rows else []


def throughput_table(model: facts.Facts, results: Sequence[Mapping[str, Any]], say: Say) -> List[str]:
    """Measured here first, then the reference."""
    rows = []
    for result in results:
        for run in result["performance"]:
            definition = [say("device compute of a batch: mean {mean:.4g}, median {median:.4g}, 99th percentile "
                              "{p99:.4g} ms over {runs} runs", **run),
                          say("end to end {end_to_end_samples_per_s:.4g} samples/s", **run), say("no NPU figure")]
            if result["speeds"]:
                sentence = report.smaller({"network": result["speeds"]})
                definition.append(say("{smaller}", smaller=sentence, **result["speeds"]))
            several = say(", ") + say("{devices} devices together", **run) if "devices" in run else ""
            rows.append((f"{measured(result, say)}{say(', ')}`{run['model']}`{several}", str(run["batch"]),
                         f"{run['samples_per_s']:.4g} samples/s", "", say("; ").join(definition)))
    for given in model.references:
        if given.quantity == "throughput":
            of = peaks.reference(given, model.cost)
            part = f"{100 * of['share']:.3g} % ({of['peak_tflops']:g} TFLOPS)" if of else ""
            rows.append((say("reference: ") + say(given.device), str(given.batch or ""),
                         f"{given.value:.6g} {given.unit}", part, say(given.definition)))
    return table([say(word) for word in ("throughput", "batch", "figure", "of the nominal peak", "definition")], rows)


def cost_table(model: facts.Facts, say: Say) -> List[str]:
    """What the reference network takes of a chip, from the facts. Empty where they do not tell."""
    cost = model.cost
    if not cost:
        return []
    return table([say(word) for word in ("cost of the reference network, input", *(name for name, _ in cost_counting.HEAD[1:]))],
                 [tuple(cell(cost) for _, cell in cost_counting.HEAD)])


def section(model: facts.Facts, results: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """What stands between the marks of a model's README in English: opening mark, text."""
    say = speaker(model, chinese=False)
    accuracy = accuracy_table(model, results, say)
    cost = cost_table(model, say)
    return {BEGIN: "\n".join([*accuracy, *([""] if accuracy else []), *throughput_table(model, results, say),
                              *([""] if cost else []), *cost])}


def section_zh(model: facts.Facts, results: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """What stands between the marks of a model's README in Chinese: opening mark, text."""
    say = speaker(model, chinese=True)
    accuracy = accuracy_table(model, results, say) or [say("not measured here yet")]
    return {BEGIN_ZH["accuracy"]: "\n".join(accuracy),
            BEGIN_ZH["throughput"]: "\n".join([*throughput_table(model, results, say), "", *cost_table(model, say)]).rstrip()}


def overview(models: Sequence[facts.Facts], results: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """What stands between the marks of the collection's README: a row or more per model."""
    rows = []
    for model, own in zip(models, results):
        english = speaker(model, chinese=False)
        given = [each for each in model.references if each.quantity != "throughput"]
        figures = [" ".join(f"{each.value:.6g} {each.unit} {each.device}".split()) for each in given]
        reference = ", ".join(figures) or "none"
        for result in own:
            found, agreement = result["accuracy"], result["agreement"]
            own_figure = f"{found['metric']} {found['value']:.4g} {found['unit']}".strip() if found else ""
            if found and not result["by"].startswith("ONNX Runtime "):  # the column's name
                own_figure += f", {result['by']}"
            rows.append((model.name, data_name(result, english), own_figure,
                         "-" if result["data"] == "demo" else reference, f"{agreement['cosine']:.6f}" if agreement else ""))
        if not own:
            rows.append((model.name, "not measured yet", "", reference, ""))
    return "\n".join(table(("model", "data and weights", "measured here, ONNX Runtime on the CPU",
                            "reference, on its own data", "ONNX against PyTorch, cosine"), rows))


def put(readme: Path, *languages: Mapping[str, str]) -> bool:
    """Put the tables between the marks of a README; whether that changed the file. languages: opening mark, text.

    The marks there tell the language. Raises `UserError` where they are those of none.
    """
    whole = files.existing_file(readme, "a README").read_text(encoding="utf-8")
    marks = [block[1] for block in BLOCK.finditer(whole)]
    texts = next((each for each in languages if list(each) == marks and whole.count(END) == len(marks)), None)
    if texts is None:
        raise UserError(f"{readme}: expected the marks {' or '.join(' and '.join(each) for each in languages)}, each "
                        f"followed by {END}, there once")
    new = BLOCK.sub(lambda block: f"{block[1]}\n{texts[block[1]]}\n{block[2]}", whole)
    if new == whole:
        return False
    files.write_text(readme, new)
    return True


def kept(folder: Path) -> List[Mapping[str, Any]]:
    """The results that a model's README quotes."""
    path = folder / RESULTS
    return files.read_json(path, "results") if path.exists() else []


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.readme", description=errors.first_line(__doc__))
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--report", metavar="JSON", help="a report whose figures to take up")
    parser.add_argument("--data", metavar="NAME", help="what to call its dataset (default: its folder's name)")
    parser.add_argument("--overview", nargs="+", metavar="FOLDER",
                        help="write the collection's table over these models")
    args = parser.parse_args(argv)
    folder = Path(args.model)
    if args.overview:
        text = overview([facts.load(each) for each in args.overview], [kept(Path(each)) for each in args.overview])
        readmes, languages = [folder / "README.md"], [{BEGIN: text}]
    else:
        results = kept(folder)
        if args.report:
            results = add(results, entry(reports.report(args.report), args.data or None))
            files.write_json(folder / RESULTS, results)
        model = facts.load(folder)
        readmes = sorted({folder / "README.md", *folder.glob("README.*.md")})
        languages = [section(model, results), section_zh(model, results)]
    for readme in readmes:
        print(f"{readme}: {'written' if put(readme, *languages) else 'nothing to change'}")


if __name__ == "__main__":
    errors.run(main)
