"""common/base/progress.py."""
import io
import sys
import time

from common.base import progress


def test_a_log_gets_a_line_now_and_then_with_what_is_left(monkeypatch, capsys):
    clock = iter(range(0, 100, 4))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert list(progress.progress(iter("abcdefgh"), "preprocess", 8)) == list("abcdefgh")
    assert capsys.readouterr().out == ("preprocess: 2 of 8 samples, 12 s, 36 s left\n"
                                       "preprocess: 5 of 8 samples, 24 s, 14 s left\n")


def test_a_quick_loop_says_nothing(capsys):
    assert list(progress.progress([1, 2], "x")) == [1, 2] and capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress.progress([1, 2], "preprocess")) == [1, 2]
    assert "preprocess" in sys.stderr.getvalue() and "2/2" in sys.stderr.getvalue()
