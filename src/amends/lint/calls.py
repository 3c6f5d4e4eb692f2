"""What a call does, as far as its name tells: it reaches another system, writes to a database, or takes long.

Rules of this file:
  * a call is judged by the full name that `source.dotted` finds: `httpx.AsyncClient().post` is a request
    whatever the client is called, and a method `post` of nobody knows what is none;
  * only what the author wrote is followed: functions and methods of the step's own top-level package.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from .source import Source, function_of, source_of
from .words import MESSAGES, MONEY, TAKES, words_of

_CLIENTS = frozenset({
    "aiohttp", "aiokafka", "aiosmtplib", "boto3", "confluent_kafka", "grpc", "http", "httpx", "httpx2", "kafka",
    "paramiko", "pika", "requests", "sendgrid", "slack_sdk", "smtplib", "stripe", "twilio", "urllib", "urllib3",
})  # fmt: skip
_LOOKS = frozenset({"get", "head", "options", "urlopen", "retrieve", "list", "search"})
_ACTS = frozenset({
    "basic_publish", "charge", "create", "delete", "patch", "post", "publish", "put", "send", "send_and_wait",
    "send_email", "send_message", "sendmail", "invoke",
})  # fmt: skip
_EITHER = frozenset({"request", "stream"})  # their first argument says which
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_BLOCKS = frozenset({
    "time.sleep", "urllib.request.urlopen", "subprocess.run", "subprocess.call", "subprocess.check_call",
    "subprocess.check_output", "socket.create_connection", "os.system", "input", "smtplib.SMTP", "smtplib.SMTP_SSL",
})  # fmt: skip
_OF_A_POOL = frozenset({"acquire", "block", "lock", "open", "order"})  # as words of methods they say little
_WRITES = re.compile(
    r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?|DELETE\s+FROM)\s+[\"'`]?(\w+)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"\bSET\b.*?\b(\w+)\s*=\s*(?:\w+\.)?\1\s*[-+]", re.IGNORECASE | re.DOTALL)
_FOLLOWED = 2  # calls of the author's own functions, one in another


@dataclass(frozen=True, slots=True)
class Seen:
    """A call, and the function it stands in; `through` is the call of the step's own function that leads there."""

    source: Source
    call: ast.Call
    through: ast.Call

    @property
    def name(self) -> str:
        """The full name of what is called."""
        return self.source.called(self.call)


def calls_of(source: Source, depth: int = _FOLLOWED) -> list[Seen]:
    """Every call of a function, and those of the author's own functions that it calls."""
    if depth not in source.kept:
        found: list[Seen] = []
        source.kept[depth] = found
        for call in source.calls:
            found.append(Seen(source, call, call))
            followed = followed_by(source, call) if depth else None
            found += [
                Seen(each.source, each.call, call) for each in (calls_of(followed, depth - 1) if followed else ())
            ]
    kept: list[Seen] = source.kept[depth]
    return kept


def followed_by(source: Source, call: ast.Call) -> Source | None:
    """The author's own function that is called; None when it is none."""
    if call not in source.kept:
        source.kept[call] = _followed_by(source, call)
    followed: Source | None = source.kept[call]
    return followed


def _followed_by(source: Source, call: ast.Call) -> Source | None:
    found = function_of(source.object_of(call.func))
    if source.function is None or found is None:
        return None
    own = source.function.__module__.partition(".")[0]
    if (found.__module__ or "").partition(".")[0] != own:
        return None
    inner = source_of(source.files, found, {})
    return inner if inner.tree is not None and inner.tree is not source.tree else None


def commits_after(source: Source, call: ast.Call) -> bool:
    """Whether a call stands between a write and its commit."""
    before = [each for each in source.calls if each.lineno < call.lineno]
    after = [each for each in source.calls if each.lineno > (call.end_lineno or call.lineno)]
    for commit in after:
        holder = commit.func.value if isinstance(commit.func, ast.Attribute) else None
        said = [text.strip().upper() for text in _texts(Seen(source, commit, commit))]
        if not (_verb_of(commit) == "commit" or "COMMIT" in said) or holder is None:
            continue
        own = [
            each
            for each in before
            if isinstance(each.func, ast.Attribute) and ast.unparse(each.func.value) == ast.unparse(holder)
        ]
        writes = [Seen(source, each, each) for each in own]
        if any(_verb_of(each.call) in {"add", "add_all", "merge", "delete"} or tables_written(each) for each in writes):
            return True
        if any(text.strip().upper().startswith("BEGIN") for each in writes for text in _texts(each)):
            return True
    return False


def _verb_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def reaches_out(seen: Seen) -> bool:
    """Whether a call goes to another system."""
    return acts(seen) or (_client(seen.name) and _verb(seen.name) in _LOOKS | _EITHER)


def acts(seen: Seen) -> bool:
    """Whether a call goes to another system, to change something there."""
    if not _client(seen.name):
        return False
    verb = _verb(seen.name)
    if verb in _EITHER:
        first = seen.call.args[0] if seen.call.args else None
        return not (isinstance(first, ast.Constant) and str(first.value).upper() in _SAFE)
    return verb in _ACTS


def blocks(name: str) -> bool:
    """Whether a call keeps its thread until it returns."""
    root = name.partition(".")[0]
    waits = root == "requests" or (root in {"httpx", "httpx2"} and (name.count(".") == 1 or ".Client()." in name))
    return name in _BLOCKS or (waits and _verb(name) in _LOOKS | _ACTS | _EITHER)


def seems_to_act(seen: Seen) -> bool:
    """Whether a method is called, on something of the author's, whose name says that it changes something elsewhere."""
    if acts(seen):
        return True
    holder = seen.call.func.value if isinstance(seen.call.func, ast.Attribute) else None
    kind = seen.source.class_of(holder) if holder is not None else None
    if kind is None or kind.__module__.partition(".")[0] in {"sqlite3", "sqlalchemy", "logging", "amends"}:
        return False
    return bool(words_of(_verb(seen.name)) & (MONEY | TAKES | MESSAGES) - _OF_A_POOL)


def tables_written(seen: Seen) -> list[str]:
    """The tables that a statement of SQL among a call's arguments writes to."""
    return [table.lower() for text in _texts(seen) for table in _WRITES.findall(text)]


def relative_update(seen: Seen) -> str:
    """The column that a statement of SQL sets relative to what it was; "" for none."""
    found = (_RELATIVE.search(text) for text in _texts(seen) if "UPDATE" in text.upper())
    return next((match[1] for match in found if match), "")


def guarded(seen: Seen) -> bool:
    """Whether a statement of SQL asks for more than the row: for a state, or that a row is new."""
    said = " ".join(" ".join(_texts(seen)).lower().split())
    condition = said.partition(" where ")[2]
    return bool(re.search(r"\bor ignore\b|\bon conflict\b|\bnot exists\b", said)) or bool(
        re.search(r"\b(\w*status|\w*state|\w*version|\w*key|\w+ed|\w+ed_at)\b", condition)
    )


def inserts(seen: Seen) -> bool:
    """Whether a statement of SQL adds rows of its own."""
    return any("INSERT" in text.upper() for text in _texts(seen))


def _text_of(source: Source, node: ast.expr, depth: int = 3) -> str:
    """The constant parts of a text, "" when it is none."""
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_text_of(source, each) if isinstance(each, ast.Constant) else "?" for each in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text_of(source, left, depth) + _text_of(source, right, depth)
        case ast.Call(args=[inner]) if depth:  # text("UPDATE ...")
            return _text_of(source, inner, depth - 1)
        case ast.Name(id=name) if depth and len(source.assigned.get(name, ())) == 1:
            return _text_of(source, source.assigned[name][0], depth - 1)
        case ast.Name(id=name) if name not in source.local:
            known = source.known.get(name)
            return known if type(known) is str else ""
        case _:
            return ""


def _texts(seen: Seen) -> list[str]:
    return [text for each in seen.call.args if (text := _text_of(seen.source, each))]


def _client(name: str) -> bool:
    return name.partition(".")[0] in _CLIENTS


def _verb(name: str) -> str:
    return name.rpartition(".")[2]
