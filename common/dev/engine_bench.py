"""Engines and their options against each other on one ONNX file: `python3 -m common.dev.engine_bench ONNX VARIANT...`.

Every variant is loaded in this one process, and they take turns, so that what else the machine does falls on all alike.
Figures are ratios to the first variant's.
"""
from __future__ import annotations

import argparse
import statistics
from typing import Any, Callable, Dict, Optional, Sequence

from common.base import errors, settings
from common.base.errors import UserError
from common.engines import engine, fastest, onnxruntime_session, sessions, turns
from common.infer import offline


def _level(name: str) -> Callable[[Any], None]:
    def set_level(options: Any) -> None:
        import onnxruntime
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, name)
    return set_level


def _parallel(options: Any) -> None:
    import onnxruntime
    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = options.intra_op_num_threads


OPTIONS: Dict[str, Callable[[Any], None]] = {  # what differs from `onnxruntime_session.Session`
    "basic": _level("ORT_ENABLE_BASIC"), "extended": _level("ORT_ENABLE_EXTENDED"), "parallel": _parallel,
    "no-spinning": lambda options: options.add_session_config_entry("session.intra_op.allow_spinning", "0"),
    "no-pattern": lambda options: setattr(options, "enable_mem_pattern", False),
    "no-arena": lambda options: setattr(options, "enable_cpu_mem_arena", False),
}


def open_variant(path: str, variant: str) -> engine.Engine:
    """`engine`, `engine/threads`, or for ONNX Runtime's `cpu` also `cpu+option`, `cpu+option/threads`."""
    name, _, count = variant.partition("/")
    name, _, option = name.partition("+")
    if count and not count.isdigit():
        raise UserError(f"{variant}: expected a number of threads after the slash, found {count}")
    threads = int(count) if count else None
    if option:
        if name != "cpu" or option not in OPTIONS:
            raise UserError(f"{variant}: expected cpu+ one of {', '.join(OPTIONS)}")
        return onnxruntime_session.Session(path, "cpu", threads, adjust=OPTIONS[option])
    if name in fastest.CANDIDATES:
        return fastest.opened(path, fastest.Choice(name, settings.thread_count(threads), 1))
    device, precision = engine.split(name)
    if precision or device == engine.AUTO:
        return sessions.open_session(path, device, threads, precision=precision)
    return onnxruntime_session.Session(path, device, threads)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.engine_bench", description=errors.first_line(__doc__),
                                     epilog=f"Engines: {', '.join((*engine.ENGINES, *fastest.EIGHT_BITS))} (int8: what make int8 "
                                     f"left beside the model). Options: {', '.join(OPTIONS)}.")
    parser.add_argument("model", metavar="ONNX")
    parser.add_argument("variants", nargs="+", metavar="VARIANT", help="ENGINE[/THREADS] or cpu+OPTION[/THREADS]")
    parser.add_argument("--batch", type=offline.whole(1), default=1, metavar="N", help="samples per run (1)")
    parser.add_argument("--rounds", type=offline.whole(1), default=15, metavar="N", help="runs of each (15)")
    parser.add_argument("--sample", action="append", default=[], metavar="BIN", help="a preprocessed input, in place of noise; "
                        "several may be given: outputs are compared on the first four, the first is timed")
    args = parser.parse_args(argv)
    import onnxruntime
    onnxruntime.set_default_logger_severity(3)  # it warns of an option that is set twice
    sessions = {variant: open_variant(args.model, variant) for variant in args.variants}
    first = sessions[args.variants[0]]
    layout = offline.plan(first, args.batch, 1)
    given = list(offline.first_inputs(first, layout, [(each,) for each in args.sample])) if args.sample else [
        turns.noise(first, layout.shapes)]
    expected = [first.run(arrays) for arrays in given]
    times = turns.take_turns(sessions, given[0], args.rounds)
    base, width = times[args.variants[0]], max(map(len, times))
    print(f"{args.model}, batch {args.batch}: ms of {args.rounds} runs each, and how many times as fast as {args.variants[0]}: "
          "by the median, by the fastest run, by half of the rounds; and how far from its outputs")
    for name, found in times.items():
        middle, least = statistics.median(found), min(found)
        low, _, high = statistics.quantiles([before / own for before, own in zip(base, found)] * 2, method="inclusive")
        far = fastest.apart(sessions[name], given, expected)
        print(f"{name.ljust(width)}  median {middle:10.3f} {statistics.median(base) / middle:6.2f}"
              f"  fastest {least:10.3f} {min(base) / least:6.2f}  rounds {low:.2f} to {high:.2f}"
              f"  cosine {far['cosine']:.6f}, relative Euclidean {far['relative_euclidean']:.1e}  {sessions[name].describe()}")


if __name__ == "__main__":
    errors.run(main)
