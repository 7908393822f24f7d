"""What ModelZoo asks for beside the code, made from the facts and results: level, README in its order, addresses.

ModelZoo's rules and words are data, in `modelzoo.json` beside this file, with their sources.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from common.base import facts, files
from common.base.errors import UserError
from common.dev import reach
from common.dev import readme as tables

RULES = files.read_json(Path(__file__).with_name("modelzoo.json"), {})
ADDRESSES = "public_address_statement.md"
ADDRESS = re.compile(r"https?://[^\s\"'<>`)\]}|\\，。；（）]+")
STAYS = re.compile(r"\bmake\b|demo\.pth|build/|_gallery|train_\w+\.py|--devices")
TEXTS = {".py", ".sh", ".md", ".json", ".txt", ".cfg", ".diff", ".upstream", ""}


def by_npu(results: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The results that an NPU's own tools gave: what stood in for them names itself first."""
    return [each for each in results if re.match(r"npu\b", each["by"], re.IGNORECASE)]


def level(folder: Path) -> str:
    """modelzoo_level.txt, derived: function and accuracy from any good run, speed from an NPU's record alone."""
    model, results, rules = facts.load(folder), tables.kept(folder), RULES["levels"]

    def passes(each: Mapping[str, Any], key: str) -> bool:
        return bool(each.get(key)) and each[key]["verdict"] == "pass"
    function = any(each["performance"] for each in results)
    precise = any(passes(each, "accuracy") or passes(each, "agreement") for each in results) and not any(
        each.get(key) and each[key]["verdict"] == "fail" for each in results for key in ("accuracy", "agreement"))
    factor = rules["performance_factor"].get(model.name, rules["performance_factor"]["default"])
    wanted = {entry.batch: entry.value * entry.times for entry in model.references
              if entry.quantity == "throughput" and entry.device in ("T4", "GPU")}
    ratios = [run["samples_per_s"] / wanted.get(run["batch"], max(wanted.values()))
              for each in by_npu(results) for run in each["performance"] if wanted]
    speed = "NOK"
    if ratios and max(ratios) >= factor:
        speed = "PERFECT" if rules["perfect_factor"] and max(ratios) >= rules["perfect_factor"] else "OK"
    return (f"FuncStatus:{'OK' if function else 'NOK'}\nPrecisionStatus:{'OK' if precise else 'NOK'}\n"
            f"PerfStatus:{speed}\n")


def found_addresses(folder: Path) -> Iterator[Tuple[str, int, str]]:
    """Every public address in a folder: file, line, address."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXTS and path.name != ADDRESSES:
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), 1):
                for address in ADDRESS.findall(line):
                    yield str(path.relative_to(folder)), number, address.rstrip(".,;:")


def purpose(address: str, folder: Path) -> Optional[str]:
    """What an address is for: that of the folder's facts is the paper's or the upstream's, others are in the rules."""
    model = facts.load(folder)
    own = {model.paper: "论文", model.upstream["repository"]: "上游代码仓"}
    return next((what for start, what in {**RULES["purposes"], **own}.items() if address.startswith(start)), None)


def addresses(folder: Path) -> str:
    """The statement of a folder's public addresses. Raises `UserError` for one whose purpose nobody has written down.

    The licence header, which every file opens with, is one row.
    """
    rows, licence = [], 0
    for name, number, address in found_addresses(folder):
        what = purpose(address, folder)
        if what is None:
            raise UserError(f"{folder / name}:{number}: {address} has no purpose; add it to "
                            "common/dev/modelzoo.json, or leave the address out")
        if what == "许可证" and not name.startswith("LICENSE"):
            licence += 1
            continue
        rows.append(("开源代码引入" if what.startswith("上游") else "文档", name, str(number), address, what))
    if licence:
        rows.append(("文件头", f"{licence} 个源文件", "-", "http://www.apache.org/licenses/LICENSE-2.0", "许可证"))
    head = ("类型", "文件", "行", "公网地址", "用途")
    return "# 公网地址声明\n\n代码不访问下列任何地址。\n\n" + "\n".join(tables.table(head, rows)) + "\n"


def parts(text: str) -> Dict[str, str]:
    """A README's sections by their heading without number; those of the same name keep the first."""
    found: Dict[str, str] = {}
    for piece in re.split(r"^(?=#{2,3} )", text, flags=re.MULTILINE)[1:]:
        head, _, body = piece.partition("\n")
        found.setdefault(re.sub(r"^#+ [\d.]* ?", "", head).strip(), body)
    return found


def blocks(text: str) -> List[str]:
    """A section's paragraphs, code blocks and tables, without what speaks of make or of files that stay behind."""
    cut = re.split(r"\n\n+", re.sub(r"<!--.*?-->\n?", "", text).strip())
    whole: List[str] = []
    for piece in cut:
        if whole and whole[-1].count("```") % 2:
            whole[-1] += "\n\n" + piece
        elif piece:
            whole.append(piece)
    return [piece for piece in whole if not STAYS.search(piece)]


def explained(pieces: Sequence[str]) -> List[str]:
    """Each block of commands followed by what its flags mean (参数说明)."""
    said: List[str] = []
    for piece in pieces:
        said.append(piece)
        if piece.startswith("```"):
            flags = dict.fromkeys(re.findall(r"(?<=\s)(--?[A-Za-z][\w]*)", piece))
            known = [f"    - `{flag}`：{RULES['flags'][flag]}" for flag in flags if flag in RULES["flags"]]
            if known:
                said.append("- 参数说明：\n\n" + "\n".join(known))
    return said


def ais_bench(folder: Path, model: facts.Facts) -> List[str]:
    """The ais_bench lines of test/eval_acc_perf.sh, for the first .om that facts names."""
    if not model.atc:
        return []
    om = re.findall(r"--output=(\S+)", model.atc[0])[0] + ".om"
    lines = []
    for line in (folder / "test/eval_acc_perf.sh").read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        match = re.search(r'"\$\{AIS_INFER\[@\]\}" (--model .*)', line)
        if match:
            words = re.sub(r"\s+", " ", match[1].split(";")[0].split(" >")[0]).replace("$MODEL_SUFFIX", "om")
            words = re.sub(r"--model (?=[^-]*\$)[^-]*? (?=--)", f"--model {om} ", words, count=1)
            size = re.search(r"_bs(\d+)\.om", om)
            words = re.sub(r'"?\$\{?(?:batch_size|batch)\b\}?"?', size[1] if size else "1", words)
            words = re.sub(r'"?\$\{?loop\}?"?', "100", words).replace('"', "")
            if "$" not in words and words not in lines:
                lines.append(words)
    return [f"python3 -m ais_bench {words}" for words in lines]


def chip_rows(model: facts.Facts) -> List[Tuple[str, str, str, str, str]]:
    """The reference's figures: chip with its product, batch, data set, accuracy, speed."""
    rows = []
    for entry in model.references:
        if entry.device == "published":
            continue
        family = re.match(r"\w*", entry.device)
        product = RULES["products"].get(family[0].rstrip("3") if family else "", "")
        chip = entry.device + (f"（{product}）" if product else "")
        speed = entry.quantity == "throughput"
        value = f"{entry.value:.6g} {entry.unit}"
        data = model.extra.get("zh", {}).get(entry.definition, entry.definition)
        rows.append((chip, str(entry.batch or "-"), *(("-", "-", value) if speed else (
            data, f"{entry.quantity} {value}", "-"))))
    return rows


# long: the chapters of one document, in their order
def readme(folder: Path) -> str:
    """README.md in ModelZoo's order, in Chinese: from facts and results, with the words of README.zh.md."""
    model = facts.load(folder)
    path = folder / "README.zh.md"
    source = path if path.is_file() else folder / "README.md"
    text = source.read_text(encoding="utf-8")
    section = parts(text)
    say = tables.speaker(model, True)
    upstream = model.upstream
    name = upstream["repository"].rsplit("/", 1)[1]
    title = re.match(r"# (.*)", text)
    licence = upstream.get("licence", {}).get("name", "")

    def take(*names: str, without: str = "$^") -> List[str]:
        pieces = [re.sub(without, "", piece) for one in names if one in section for piece in [f"**{one}**", *blocks(section[one])]]
        return explained([re.sub(r" ?([1-9]\.[1-9]) 节", lambda found: f"「{numbers.get(found[1], found[1])}」", piece)
                          for piece in pieces])
    numbers = {number: RULES["chapters"][-1] if title.endswith("对比结果") else title for number, title in
               re.findall(r"^### ([1-9]\.[1-9]) (.+)$", text, re.MULTILINE)}
    tensors = [tables.table(("数据", "名称", "数据类型", "大小", "说明"), [
        (kind, tensor.name, tensor.dtype, " x ".join(map(str, tensor.shape)), tensor.meaning) for kind, each in
        (("输入", model.inputs), ("输出", model.outputs)) for tensor in each])]
    clone = ["```", f"git clone {upstream['repository']}", f"cd {name}", f"git reset --hard {upstream['commit']}",
             *(f"patch -p1 < ../{diff}" for diff in upstream["diffs"][:1]), "cd ..",
             "pip3 install -r requirements.txt", "```"]
    weights = model.weights
    known = [f"大小 {weights['bytes']:,} 字节"] if "bytes" in weights else []
    known += [f"SHA-256 为 `{weights['sha256']}`"] if weights.get("sha256") else []
    lines = ais_bench(folder, model)
    results = tables.kept(folder)
    npu = by_npu(results)
    made = [
        f"# {title[1] if title else model.name}-推理指导", "", "- [概述](#概述)", "- [推理环境准备](#推理环境准备)",
        "- [快速上手](#快速上手)", "- [模型推理性能&精度](#模型推理性能精度)", "",
        "## 概述", "", f"论文：[{model.paper}]({model.paper})。", "", "- 参考实现：", "", "  ```",
        f"  url={upstream['repository']}", f"  commit_id={upstream['commit']}", f"  model_name={model.name}",
        f"  code_path={upstream.get('python', '.')}", "  ```", "",
        f"上游代码的许可证：{licence if licence != 'none stated' else '上游未声明'}。网络由 `{model.network}.py` 实现，参数名与上游相同。",
        "", "### 输入输出数据", "", *tensors[0], "",
        "## 推理环境准备", "", *tables.table(("配套", "版本"), [*RULES["environment"], *((
            f"{one.split('==')[0]}", one.split("==")[1]) for one in _pins(folder))]), "",
        "atc 的编译器使用 CANN 要求的 Python 环境（numpy 低于 2 等），与本目录的 requirements.txt 不同，请把后者装入单独的虚拟环境。"
        "ais_bench 由 `aclruntime` 与 `ais_bench` 两个 whl 包组成。没有 NPU 的机器由 ONNX Runtime 代替推理工具，见各命令的第二条。", "",
        "## 快速上手", "", "### 获取源码", "", *clone, "",
        f"`{'`、`'.join(upstream['diffs'])}` 是上游代码的补丁；本目录的脚本不依赖上游代码即可运行。", "",
        f"权重文件为 `{weights['file']}`" + (f"（{'，'.join(known)}）" if known else "") + "，出处见上游的 README。", "",
        "### 准备数据集", "",  # where there is no model yet
        *_join(take("准备数据集", "数据集预处理", "预处理", without=r" --onnx \S+ --HR \S+")), "",
        "### 模型推理", "", "1. 模型转换", "", *_join(take("PTH 转 ONNX", "ONNX 转 OM")), "",
        "2. 推理", "", "安装 ais_bench 后执行：", "",
        *_join(explained(["```\n" + "\n".join(lines) + "\n```"] if lines else [])), "",
        "参考实现所用的工具，以及没有 NPU 时的代替命令：", "", *_join(take("离线推理")), "",
        "3. 精度验证", "", *_join(take("精度统计", "生成图片与识别率", "生成图片", "与 PyTorch 比对")), "",
        "4. 性能验证", "", *_join(take("NPU 性能")), "", "一键执行：", "", "```", *_one_line(folder), "```", "",
        "## 模型推理性能&精度", ""]
    made += ["本目录尚无 NPU 实测数据，下表为参考实现公布的数值：" if not npu else "NPU 实测数据：", ""]
    if npu:
        made += [*tables.accuracy_table(model, npu, say), "", *tables.throughput_table(model, npu, say), ""]
    made += [*tables.table(("芯片型号", "Batch Size", "数据集", "精度", "性能"), chip_rows(model)), ""]
    others = [each for each in results if each not in npu]
    if others:
        nothing = facts.Facts(**{**vars(model), "references": []})
        made += ["以下由 ONNX Runtime 代替设备得到，不是 NPU 数据：", "", *tables.accuracy_table(nothing, others, say), "",
                 *tables.throughput_table(nothing, others, say), ""]
    made += ["公网地址见 [public_address_statement.md](public_address_statement.md)。", ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made))


def programs(text: str) -> List[str]:
    """The model's scripts that a README's commands run."""
    return sorted(set(re.findall(r"^\s*python3 ([\w-]+\.py)", text, re.MULTILINE)))


def _join(pieces: Sequence[str]) -> List[str]:
    return ["\n\n".join(pieces)]


def _one_line(folder: Path) -> List[str]:
    usage = (folder / "test/eval_acc_perf.sh").read_text(encoding="utf-8")
    option = "--datasets_path=/data" if "datasets_path:path!" in usage else ""
    return [f"bash test/eval_acc_perf.sh {option}".rstrip()]


def _pins(folder: Path) -> List[str]:
    return reach.requirements(folder).split()
