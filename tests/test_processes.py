"""The processes that tests fork from the loaded service end as those of `python -m` do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes

ENDS = {
    "last line": "print('said')",
    "a status": "import sys; print('said'); sys.exit(3)",
    "a message": "import sys; print('said'); sys.exit('unwell')",
    "an error": "raise ValueError('unwell')",
    "a function of atexit": "import atexit; atexit.register(print, 'at the end')",
    "a thread": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('at the end'))).start()"
    ),
    "a fork": (
        "import os, sys\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    print('said by the fork')\n"
        "    sys.exit(4)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + 1)"
    ),
    "an output that is full": "import os, sys; sys.stdout = open('/dev/full', 'w'); print('said')",
}


@pytest.mark.parametrize("source", ENDS.values(), ids=ENDS)
def test_a_forked_process_ends_as_one_of_a_new_interpreter(source: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(source)
    environ = {"PATH": os.environ["PATH"]}

    forked = processes.run("program", folder=tmp_path, environ=environ)
    new = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (forked.returncode, forked.stdout) == (new.returncode, new.stdout)
    assert forked.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]
