"""The command line: `amends`, which comes with the extra `amends[cli]`.

    app        the grammar: every command, its arguments and its help
    options    the options that all commands share, and where their values come from
    loading    from `--app module:object` to sagas and resources
    looking    list, show, history            acting   start and the verbs
    tailing    tail, history --follow         explaining  why
    drawing    graph                          exporting   export
    figures    top                           checking  check
    targets    what `check` looks at         differing  diff
    subjects   a saga by its id, or a bundle  moments     --at, --since
    running    worker, demo                   exits    exit codes, and errors as people read them
    timeline   one saga, drawn                lanes    its time, as text
    grouping   which rows that has            remedies which commands its state allows
    records    the JSON forms                 output   how anything reaches standard output
    words      names, icons, lengths of time, and text made safe for a terminal

Rules of this package: nothing outside it imports cyclopts or rich. Data goes to standard output,
everything else to standard error. A command's module is imported when the command is called, so that
`amends --help` stays fast.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib.util import find_spec


def main() -> None:
    """The entry point `amends`; ends the process with one of the exit codes of `amends.cli.exits`."""
    if find_spec("cyclopts") is None or find_spec("rich") is None:
        sys.stderr.write('amends: the command line is an extra: pip install "amends[cli]"\n')
        raise SystemExit(2)
    from .app import run

    code = run(sys.argv[1:])
    if any(not each.daemon and each is not threading.main_thread() for each in threading.enumerate()):
        sys.stdout.flush()  # a module that was only looked at left a thread, for whose end nobody is to wait
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
