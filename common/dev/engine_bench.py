"""Engines and their options against each other on one ONNX file: `python3 -m common.dev.engine_bench ONNX VARIANT...`.

Every variant is loaded in this one process, and they take turns, so that what else the machine does falls on all alike.
Figures are ratios to the first variant's.
"""
from __future__ import annotations

import argparse
import statistics
from typing import Any, Callable, Dict, Optional, Sequence

from common.base import errors
from common.base.errors import UserError
from common.engines import engine, onnxruntime_session, sessions, turns
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
    device, precision = engine.split(name)
    if precision:
        return sessions.open_session(path, device, threads, precision=precision)
    return onnxruntime_session.Session(path, device, threads)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.engine_bench", description=errors.first_line(__doc__),
                                     epilog=f"Engines: {', '.join(engine.ENGINES)}. Options: {', '.join(OPTIONS)}.")
    parser.add_argument("model", metavar="ONNX")
    parser.add_argument("variants", nargs="+", metavar="VARIANT", help="ENGINE[/THREADS] or cpu+OPTION[/THREADS]")
    parser.add_argument("--batch", type=offline.whole(1), default=1, metavar="N", help="samples per run (1)")
    parser.add_argument("--rounds", type=offline.whole(1), default=15, metavar="N", help="runs of each (15)")
    args = parser.parse_args(argv)
    import onnxruntime
    onnxruntime.set_default_logger_severity(3)  # it warns of an option that is set twice
    sessions = {variant: open_variant(args.model, variant) for variant in args.variants}
    first = sessions[args.variants[0]]
    times = turns.take_turns(sessions, turns.noise(first, offline.plan(first, args.batch, 1).shapes), args.rounds)
    base, width = times[args.variants[0]], max(map(len, times))
    print(f"{args.model}, batch {args.batch}: ms of {args.rounds} runs each, and how many times as fast as "
          f"{args.variants[0]}, by the median and by the fastest run")
    for name, found in times.items():
        middle, least = statistics.median(found), min(found)
        print(f"{name.ljust(width)}  median {middle:10.3f} {statistics.median(base) / middle:6.2f}"
              f"  fastest {least:10.3f} {min(base) / least:6.2f}  {sessions[name].describe()}")


if __name__ == "__main__":
    errors.run(main)
