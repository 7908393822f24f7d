"""What the models of the collection share: one room (sub-package) per stage of the pipeline, see docs/ARCHITECTURE.md."""

__version__ = "0.1.0"


def _leave_the_working_folder() -> None:
    """`python3 -m common...` puts the working folder first on the path, so that a numpy.py or json.py among somebody's data
    or results would be imported, and run. Only a model's folder stays. (Python 3.11 and later know PYTHONSAFEPATH.)"""
    import os
    import sys
    if sys.argv[:1] == ["-m"] and sys.path and sys.path[0] in ("", os.getcwd()) and not os.path.isfile("facts.json"):
        del sys.path[0]


_leave_the_working_folder()
del _leave_the_working_folder
