"""Training is told in plain lines where nobody watches, and with a bar on a terminal that goes away at the end."""

import os
import pty
import subprocess
import sys

RUN = """
import time
from pipelines.training import watching
with watching() as watch:
    watch.note("loading the model")
    watch.begin(10, 40)
    for done in range(11, 41):
        watch.step(done)
        if done % 10 == 0:
            row = {"step": done, "kind": "train", "loss": 1.0 / done, "tokens": 5, "data_wait": 0.5, "mfu": 0.25}
            watch.row(row)
            time.sleep(0.3)
    watch.row({"step": 40, "kind": "validation", "loss": 0.5, "tokens": 9})
    raise SystemExit(3)
"""


def test_plain_lines_go_to_standard_error_only() -> None:
    ran = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert lines[:2] == ["loading the model", "training: going on, 10 of 40 steps are done"]
    assert lines[-2:] == [
        "step 40/40  loss 0.0250  wait 50%  MFU 25%",
        "step 40/40  validation loss 0.5000 over 9 tokens",
    ]


def test_a_terminal_has_a_bar_and_keeps_the_last_lines() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", RUN], stderr=theirs, stdout=subprocess.PIPE, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    assert process.wait(60) == 3
    text = shown.decode(errors="replace")
    assert "loss 0.0500" in text
    assert "40/40" in text
    assert "wait 50%  MFU 25%" in text
    assert "validation loss 0.5000 over 9 tokens" in text
