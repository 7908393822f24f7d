"""PyTorch's own answer on the preprocessed samples: `python3 -m common.infer.pytorch_infer` in a model's folder.

Reads the manifest that preprocess left, runs the network of `facts.json` on each `.bin` and leaves
`<output>/<id>_1.bin`, as `benchmark` does, so that postprocess and `common.judge.agreement` read both alike.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Mapping, Optional, Sequence

from common.base import errors, facts, files, names, uses
from common.base.journal import Journal, stamp
from common.base.progress import progress
from common.base.settings import limit, thread_count
from common.convert.network import network_module, options
from common.data import dataset, variant

SAMPLE = {"required": ["id", "stamp"], "properties": {"stamp": {"$ref": "parts.schema.json#/definitions/stamp"}}}


def infer(pth: files.PathLike, prep: files.PathLike, output: files.PathLike, folder: files.PathLike,
          count: Optional[int] = None, told: Optional[Mapping[str, str]] = None) -> int:
    """Run the network on every sample of the manifest in `prep`, batch 1; gives back the number of samples.

    told: the model's variant, for what stands in no tensor of the checkpoint. A run that was cut off goes on where it
    stopped. Outputs are float32 [1, ...] in the network's order.
    """
    import torch

    from common.convert import checkpoint
    samples = dataset.read_manifest(prep)[:count]
    module = network_module(folder)
    untold = options(module, told or {})
    network = module.from_state(checkpoint.load(pth), **untold)
    if hasattr(module, "for_input"):  # a model whose samples have more than one form
        network = module.for_input(network, samples[0]["dtype"])
    output = Path(output)
    torch.set_num_threads(thread_count())
    journal = Journal(output.with_name(output.name + "_pytorch.json"),
                      {"checkpoint_sha256": files.sha256(pth), "torch": torch.__version__, "options": untold,
                       "code": uses.digest()}, SAMPLE)
    for record in progress(samples, "pytorch"):
        target = output / f"{names.stem(record['id'])}_1.bin"
        now, there = stamp(record["bin"]), journal.finished.get(record["id"], {})
        if target.is_file() and there.get("stamp") == now and there.get("made") == stamp(target):
            continue
        with torch.no_grad():
            tensor = network(torch.from_numpy(dataset.read_sample(record)))
        dataset.write_bin(target, tensor.numpy())
        journal.add(record["id"], {"stamp": now, "made": stamp(target)})
    for stray in set(journal.left) - {record["id"] for record in samples}:  # of samples that are gone
        (output / f"{names.stem(names.check(stray, journal.path))}_1.bin").unlink(missing_ok=True)
    journal.complete([record["id"] for record in samples])
    return len(samples)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.infer.pytorch_infer", description=errors.first_line(__doc__))
    parser.add_argument("--pth", required=True, help="checkpoint")
    parser.add_argument("--prep", required=True, help="folder that the preprocess script wrote (with manifest.json)")
    parser.add_argument("--output", required=True, help="folder for <id>_1.bin")
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--onnx", help="the model that was exported from the checkpoint, for what stands in no tensor "
                        "(default: what the preprocess script was told)")
    args = parser.parse_args(argv)
    told = variant.find(facts.load(args.model), args.onnx, args.prep)
    count = infer(args.pth, args.prep, args.output, args.model, limit(), told)
    print(f"PyTorch: {count} samples in {args.output}")


if __name__ == "__main__":
    errors.run(main)
