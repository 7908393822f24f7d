"""One dataset over several devices: `python3 -m common.devices 0,1,2,3 -- COMMAND LINE OF THE TOOL`.

The tool is benchmark, msame or ais_infer (ais_bench), the real one or its stand-in; it runs once per device, side by
side, each on a part of the dataset. On the CPU an id only names a part, and the parts share out the cores. Parts are
cut between whole batches, so that every batch holds the samples that it would hold on one device.

Each device's files stay as the tool left them, and all are merged in one place:
  benchmark         result/dumpOutput_device<id> and its performance file
                    merged: result/dumpOutput_devices, result/devices.json
  msame, ais_infer  <output>/devices/device<id>/
                    merged: <output>/<folder>, named as the tool names it, and beside it <folder>_onnxruntime.json (of a
                    real tool <folder>_devices.json), with ais_infer <folder>_summary.json too
Lists, the parts of the dataset and logs are in result/devices or <output>/devices.
"""
from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Optional, Sequence

from common.base import errors, facts
from common.base.errors import UserError
from common.devices.ais_infer import AisInfer
from common.devices.benchmark import Benchmark
from common.devices.merging import lines, merge
from common.devices.msame import Msame
from common.devices.processes import run
from common.devices.tool import Device, Tool, cut
from common.infer import several


def recognise(command: Sequence[str]) -> Tool:
    """The tool that a command line runs, by its flags and its name. Raises `UserError` for none that is known."""
    if any(word.startswith(("-om_path", "-input_text_path")) for word in command):
        return Benchmark(command)
    for word in command[:3]:
        match = re.search(r"msame|ais_infer|ais_bench", os.path.basename(word))
        if match:
            return (Msame if match[0] == "msame" else AisInfer)(command)
    raise UserError(f"{' '.join(command[:3]) or 'no command'}: expected a command line of benchmark, msame or "
                    "ais_infer (ais_bench)")


def main(argv: Optional[Sequence[str]] = None) -> None:
    words = sys.argv[1:] if argv is None else list(argv)
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        prog="python3 -m common.devices", usage="%(prog)s [--model FOLDER] IDS -- COMMAND...",
        description="Run benchmark, msame or ais_infer (ais_bench), or the stand-in of one, on several devices, each "
        "with a part of the dataset, and merge results and performance.",
        epilog="On the CPU the parts share out the cores. LIMIT=N takes the first N samples; RESUME=1 keeps what an "
        "earlier run finished.")
    parser.add_argument("devices", metavar="IDS", help="device ids with commas between them: 0,1,2,3")
    parser.add_argument("--model", metavar="FOLDER", help="a model's folder: print its reference's throughput too")
    args = parser.parse_args(words[:split])
    if split == len(words):
        parser.error("the tool's command line is missing: IDS -- COMMAND...")
    ids = several.parse(args.devices)
    references = facts.load(args.model).references if args.model else ()
    tool = recognise(words[split + 1:])
    tool.refuse_collisions()
    devices = [Device(each, low, tool.samples[low:high])
               for each, (low, high) in zip(ids, cut(len(tool.samples), tool.batch, ids))]
    run(tool, devices)
    print("\n".join(lines(merge(tool, devices), references)))


if __name__ == "__main__":
    errors.run(main)
