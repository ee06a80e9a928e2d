"""A process that ends when the one that started it does, however that one ended.

``python -m pipelines.parent PROGRAM ARGUMENT...`` becomes such a process of a program that knows nothing of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "KALLA_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when the one named in the environment dies; without a name nothing happens.

    Nobody would learn how a run ended, or a server would go on that nothing watches.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if not parent:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with_parent()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the kernel's promise outlives the change of program
