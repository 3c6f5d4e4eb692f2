"""What people see of payloads: opened where the keys are here, and without what is marked.

A frame is changed before anything is made of it, so a view, a history and a tail cannot show more than
another does. What runs sagas never comes here.

Rules of this file: pure. A payload of which it is not known where it belongs is redacted as a whole, as
soon as the saga has any mark.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ..core.events import Event, Frame, SignalReceived, Started
from ..core.graph import Node
from ..core.payloads import with_payloads
from ..core.redaction import INPUT, WHOLE, Path, Redactions, marked_at, redact
from ..core.sealing import Sealing, is_sealed, reveal_frame


def veiled(frame: Frame, saga_id: str, nodes: Sequence[Node], redactions: Redactions, sealing: Sealing | None) -> Frame:
    """A frame as people may see it.

    Parameters:
        nodes: what the frame's events speak of, by index.
    """
    return redacted(reveal_frame(sealing, saga_id, frame), nodes, redactions)


def redacted(frame: Frame, nodes: Sequence[Node], redactions: Redactions) -> Frame:
    """A frame without what is marked; sealed payloads are left as they are."""
    if not redactions:
        return frame
    events = [_redacted(event, nodes, redactions) for event in frame.events]
    return Frame(frame.version, frame.at, events)  # type: ignore[arg-type]  # the same events, their payloads changed


def _redacted(event: Event, nodes: Sequence[Node], redactions: Redactions) -> Event:
    def change(raw: Raw, field: str, _: int) -> Raw:
        if is_sealed(raw):
            return raw
        paths = _marks(event, field, nodes, redactions)
        return Raw(msgspec.json.encode(redact(msgspec.json.decode(raw), paths))) if paths else raw

    return with_payloads(event, change)


def _marks(event: Event, field: str, nodes: Sequence[Node], redactions: Redactions) -> tuple[Path, ...]:
    if isinstance(event, Started):
        return marked_at(redactions, (INPUT,))
    if isinstance(event, SignalReceived):
        return marked_at(redactions, (node.path for node in nodes if node.signal == event.name))
    index: int = getattr(event, "node", -1)
    if field != "result" or not 0 <= index < len(nodes):
        return WHOLE
    return marked_at(redactions, (nodes[index].path,))
