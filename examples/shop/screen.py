"""What the demo shows while it runs: a live line on a terminal, plain lines anywhere else.

Progress goes to standard error, the report to standard output, so that the report can be kept.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_EVERY_S = 2.0


class Screen:
    """The demo's progress and report.

    Parameters:
        total: how many orders there are.
        plain: plain lines instead of a live one; by default when standard error is no terminal.
    """

    def __init__(self, total: int, *, plain: bool | None = None) -> None:
        self.total = total
        self._console = Console(stderr=True, highlight=False)
        self._report = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
        self._plain = not self._console.is_terminal if plain is None else plain
        self._began = time.monotonic()
        self._said_at = 0.0
        self._progress = Progress(
            TextColumn("orders"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[statuses]}"),
            console=self._console,
            transient=True,
        )
        self._bar = self._progress.add_task("orders", total=total, statuses="")

    def __enter__(self) -> Self:
        if not self._plain:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Something worth a line of its own."""
        if self._plain:
            print(f"{self.elapsed():6.1f}s  {text}", file=sys.stderr, flush=True)
        else:
            self._console.print(f"{self.elapsed():6.1f}s  {text}", markup=False)

    def progress(self, statuses: Counter[str]) -> None:
        """How many orders stand where."""
        said = "  ".join(f"{status} {count}" for status, count in sorted(statuses.items()))
        self._progress.update(self._bar, completed=statuses.total(), statuses=said)
        if self._plain and (self.elapsed() - self._said_at >= PLAIN_EVERY_S):
            self._said_at = self.elapsed()
            self.note(f"{statuses.total()} of {self.total}  {said}")

    def report(self, title: str, figures: Mapping[str, object]) -> None:
        """A table of figures."""
        table = Table(show_header=False)
        for name, figure in figures.items():
            table.add_row(name, str(figure))
        self._report.print(f"\n{title}", markup=False)
        self._report.print(table)

    def lines(self, title: str, lines: Iterable[str]) -> None:
        """A list of sentences; nothing if there are none."""
        for number, line in enumerate(lines):
            if number == 0:
                self._report.print(title, markup=False)
            self._report.print(f"  {line}", markup=False, soft_wrap=True)

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began
