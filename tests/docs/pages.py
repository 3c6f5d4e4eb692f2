"""Runs the code of a Markdown page, from top to bottom, and compares what it prints with what the page says.

    python tests/docs/pages.py PAGE.md [PAGE.md ...]    in the current directory, which had better be empty

    a block                     is
    ```python                   run, in one namespace per page; `await` and `async with` may stand at the top
    ```python title="shop.py"   written to that file (any language), not run
    ```console                  lines that begin with `$ ` are run by one bash per page; what stands below each is
                                its output (standard error too), and is compared if there is any
    ```sh                       run by the same bash
    ```text                     what the block before it printed; between them at most a paragraph that ends in a colon
    any other language          data

A command that fails fails the page, unless the next command of its block is `echo $?`. A ```python block that
raises fails it too, unless the output that follows ends with that error as Python prints it.

A comment on the line above a block says otherwise, and why; tests/docs/test_pages.py counts these:

    <!-- not run: the reason -->        never run
    <!-- fresh: the reason -->          run by tests/docs/test_tutorial.py only, on a clean machine

What differs from run to run is compared by its kind: saga ids, dates and times, lengths of time, bars of a
timeline, runs of spaces. `...` in an output stands for anything on its line, and for any lines where it stands
alone. An id that an output shows stands for the real one in all commands below.

Rules of this file: nothing is imported but the standard library, for it also runs where only Amends is installed.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import difflib
import inspect
import io
import os
import re
import subprocess
import sys
import threading
import traceback
import types
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>[\w+-]*)(?P<rest>.*)$")
TITLE = re.compile(r'title="([^"]+)"')
MARKER = re.compile(r"^\s*<!--\s*(not run|fresh):\s*(\S.*?)\s*-->\s*$")
COMMAND_SECONDS = 120
BURIED = re.compile(r"bash: line \d+: +\d+ (Killed|Terminated)")  # what a shell without a person says of a job


@dataclass
class Block:
    """One fenced block; `line` is that of its first line of code, `marker` what its comment says."""

    language: str
    title: str
    code: str
    line: int
    marker: str = ""
    reason: str = ""
    output: str | None = None
    shows: Block | None = None  # the block of `output`


@dataclass
class Page:
    """A page's blocks, in order."""

    path: Path
    blocks: list[Block] = field(default_factory=list)


def read_page(path: Path) -> Page:
    """The blocks of a page, each with the output that belongs to it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    page, at, between = Page(path), 0, list[str]()
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            between.append(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and lines[end].strip() != opening["ticks"]:
            end += 1
        indent = len(opening["indent"])
        code = "\n".join(line[indent:] if line[:indent].isspace() else line for line in lines[at + 1 : end])
        block = Block(opening["language"], _title(opening["rest"]), code, at + 2)
        marker = MARKER.match(lines[at - 1]) if at else None
        if marker is not None:
            block.marker, block.reason = marker[1], marker[2]
        before = page.blocks[-1] if page.blocks else None
        if block.language == "text" and before is not None and _belongs(before, between):
            before.output, before.shows = block.code, block
        page.blocks.append(block)
        between = []
        at = end + 1
    return page


def _title(rest: str) -> str:
    found = TITLE.search(rest)
    return found[1] if found else ""


def _belongs(before: Block, between: list[str]) -> bool:
    prose = [line.strip() for line in between if line.strip()]
    direct = not prose or (prose[-1].endswith(":") and "" not in [line.strip() for line in between[1:-1]])
    return direct and before.language in {"python", "sh"} and not before.title and before.output is None


# --- comparing -----------------------------------------------------------------------------------

ULID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_KINDS = (
    (re.compile(r"<saga id>"), "0" * 26),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)?\s?(ms|s|m|h|d)\b"), "<length>"),
    (re.compile(r"\bfingerprint=[0-9a-f]{32}\b"), "fingerprint=<hash>"),
    (re.compile(r"[━═]+"), " "),  # a bar may be too short to be drawn
    (re.compile(r"\s+"), " "),
)


def normal(text: str) -> list[str]:
    """The lines of an output, with what differs from run to run replaced by its kind."""
    lines = []
    for line in text.strip("\n").splitlines():
        plain = line
        for kind, instead in _KINDS:
            plain = kind.sub(instead, plain)
        lines.append(plain.strip())
    return lines


def matches(expected: str, got: str, ids: dict[str, str]) -> bool:
    """Whether `got` is what the page says; the ids that the page shows are then known in `ids`."""
    pattern, groups = "", dict[str, str]()
    for line in normal(expected):
        if line == "...":
            pattern += r"(?:.*\n)*?"
            continue
        at = 0
        for found in ULID.finditer(line):
            pattern += _words(line[at : found.start()])
            at = found.end()
            shown = found[0]
            if set(shown) == {"0"}:
                pattern += ULID.pattern
            elif shown in ids:
                pattern += re.escape(ids[shown])
            elif shown in groups:
                pattern += f"(?P={groups[shown]})"
            else:
                groups[shown] = f"id{len(groups)}"
                pattern += f"(?P<{groups[shown]}>{ULID.pattern})"
        pattern += _words(line[at:]) + r"\n"
    found_all = re.fullmatch(pattern, "".join(f"{line}\n" for line in normal(got)))
    if found_all is not None:
        ids.update({shown: found_all[group] for shown, group in groups.items()})
    return found_all is not None


def _words(text: str) -> str:
    return re.escape(text).replace(re.escape("..."), r".*?")


# --- running -------------------------------------------------------------------------------------


class Failure(Exception):
    """Something on a page is not so."""


class Shell:
    """One bash, so that what one command exports, starts or enters is there for the next."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        self.directory = "."

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output of a command."""
        mark = "--end-of-the-command--"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(COMMAND_SECONDS, self._kill)
        timer.start()
        # Standard input is the script itself, so a command must not read it.
        asked = f"{{ {command}\n}} </dev/null\n"
        self._process.stdin.write(f'{asked}__code=$?; echo; echo {mark} $__code "$PWD"; (exit $__code)\n')
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout:
            if line.startswith(mark):
                timer.cancel()
                _, code, self.directory = line.rstrip("\n").split(" ", 2)
                return int(code), output.removesuffix("\n")
            if not BURIED.match(line):
                output += line
        timer.cancel()
        raise Failure(f"the shell ended, or took more than {COMMAND_SECONDS} s, in: {command}\n{output}")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)

    def close(self) -> None:
        """End it, and whatever it left running."""
        self._kill()
        self._process.communicate()


class Runner:
    """Runs pages; those of one runner share the directory and the shell, each has its own namespace and ids."""

    def __init__(self, *, fresh: bool = False) -> None:
        self.fresh = fresh
        self.shell = Shell()
        self.ids: dict[str, str] = {}
        self.told = io.StringIO()  # one for all blocks: a log handler keeps the stream that it was given

    def run(self, page: Page) -> None:
        """Run the blocks of a page. Raises Failure, with the place on the page."""
        self.ids = {}
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module  # dataclasses and annotations look their module up
        with asyncio.Runner() as loop:
            for block in page.blocks:
                if block.marker == "not run" or (block.marker == "fresh" and not self.fresh):
                    continue
                where = f"{page.path}:{block.line}"
                if block.title:
                    file = Path(self.shell.directory, block.title)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(block.code + "\n", encoding="utf-8")
                elif block.language == "python":
                    self._python(block, where, str(page.path), module, loop)
                elif block.language == "console":
                    self._console(block, where)
                elif block.language == "sh":
                    code, output = self.shell.run(self._actual(block.code))
                    if code:
                        raise Failure(f"{where}: exit code {code}\n{output}")
                    self._compare(block, output, where)

    def _python(self, block: Block, where: str, name: str, module: types.ModuleType, loop: asyncio.Runner) -> None:
        # Empty lines in front make every line number that of the page.
        source = "\n" * (block.line - 1) + self._actual(block.code)
        error = ""
        self.told.seek(0)
        self.told.truncate()
        try:
            code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with contextlib.redirect_stdout(self.told):
                if code.co_flags & inspect.CO_COROUTINE:
                    loop.run(_awaited(eval(code, module.__dict__)))
                else:
                    exec(code, module.__dict__)
        except BaseException as raised:
            trace = "".join(traceback.format_exception(raised))
            error = "".join(traceback.format_exception_only(raised))
            if block.output is None:
                raise Failure(f"{where}: the block raised\n{self.told.getvalue()}{trace}") from raised
        self._compare(block, self.told.getvalue() + error, where)

    def _console(self, block: Block, where: str) -> None:
        steps: list[tuple[str, list[str]]] = []
        for line in block.code.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif steps and steps[-1][0].endswith("\\"):
                steps[-1] = (f"{steps[-1][0]}\n{line.removeprefix('> ')}", [])
            elif steps:
                steps[-1][1].append(line)
            elif line.strip():
                raise Failure(f"{where}: output before the first command: {line}")
        for at, (command, output) in enumerate(steps):
            code, got = self.shell.run(self._actual(command))
            asked = at + 1 < len(steps) and steps[at + 1][0] == "echo $?"
            if code and not asked:
                raise Failure(f"{where}: exit code {code} from: {command}\n{got}")
            expected = "\n".join(output).strip("\n")
            if expected:
                self._compare(Block("console", "", command, block.line, output=expected), got, where)

    def _compare(self, block: Block, got: str, where: str) -> None:
        if block.output is None or matches(block.output, got, self.ids):
            return
        both = difflib.unified_diff(normal(block.output), normal(got), "the page says", "it printed", lineterm="")
        lines = "\n".join(both)
        raise Failure(f"{where}: another output from:\n{block.code}\n{lines}\n\nto the letter:\n{got}")

    def _actual(self, code: str) -> str:
        return ULID.sub(lambda found: self.ids.get(found[0], found[0]), code)


async def _awaited(made: object) -> None:
    if inspect.isawaitable(made):
        await made


def main(arguments: list[str]) -> int:
    """Run the pages that are named; 1 when something is not so."""
    fresh = "--fresh" in arguments
    pages = [Path(each).resolve() for each in arguments if each != "--fresh"]
    sys.path.insert(0, "")
    runner = Runner(fresh=fresh)
    try:
        for path in pages:
            runner.run(read_page(path))
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    finally:
        runner.shell.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
