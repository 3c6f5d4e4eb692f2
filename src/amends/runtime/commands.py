"""Commands: a verb or a signal as data, so that it can cross the inbox between two processes.

The wire is JSON with names, for people read inboxes too. An answer that refuses carries the error's
class, code and message, and is raised again, as itself, in the process that asked.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from .. import errors
from ..core.sealing import Sealing, open_sealed, place_in_inbox, seal
from ..errors import AmendsError


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verb or signal. `verb` is retry, resolve, skip, cancel, pause, resume or signal."""

    verb: str
    step: str = ""
    outcome: str = ""
    name: str = ""  # the signal's
    id: str = ""  # the signal's, for deduplication
    payload: Raw = Raw(b"null")
    has_payload: bool = False
    reason: str = ""
    actor: str = ""
    direction: str = ""  # "forward" or "back": where the saga went when a queued resolve or skip was asked for


class _Refusal(Struct, frozen=True):
    error: str
    code: str
    message: str


_command = msgspec.json.Decoder(Command)
_refusal = msgspec.json.Decoder(_Refusal)


def encode_command(command: Command) -> bytes:
    """The inbox row's body."""
    return msgspec.json.encode(command)


def sealed(sealing: Sealing | None, saga_id: str, command: Command) -> Command:
    """The command as it waits in the inbox."""
    if sealing is None:
        return command
    payload = seal(sealing, command.payload, _place(saga_id, command))
    return msgspec.structs.replace(command, payload=payload)


def opened(sealing: Sealing | None, saga_id: str, command: Command) -> Command:
    """The command as it was asked for. Raises PayloadError AM2112, AM2113."""
    payload = open_sealed(sealing, command.payload, _place(saga_id, command))
    return command if payload is command.payload else msgspec.structs.replace(command, payload=payload)


def _place(saga_id: str, command: Command) -> bytes:
    return place_in_inbox(saga_id, command.verb, command.step or command.name)


def decode_command(body: bytes) -> Command:
    """The command of an inbox row. Raises msgspec.DecodeError for one of another release."""
    return _command.decode(body)


def encode_error(error: AmendsError) -> str:
    """A refusal, as the inbox row's answer."""
    return msgspec.json.encode(_Refusal(type(error).__name__, error.code, error.message)).decode()


def decode_error(answer: str) -> AmendsError:
    """The refusal of an answer, as the error it was."""
    refusal = _refusal.decode(answer)
    kind = getattr(errors, refusal.error, AmendsError)
    if not (isinstance(kind, type) and issubclass(kind, AmendsError)):
        kind = AmendsError
    error: AmendsError = kind(refusal.message, code=refusal.code)
    return error
