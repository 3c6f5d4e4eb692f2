"""What people see of payloads: opened where the keys are here, and without what is marked.

A frame is changed before anything is made of it, so a view, a history and a tail cannot show more than
another does. What runs sagas never comes here.

Rules of this file: pure. A payload of which it is not known where it belongs is redacted as a whole, as
soon as the saga has any mark.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from ..core.events import CallEntered, Event, Frame, ItemsListed, SignalReceived, Started
from ..core.graph import Graph
from ..core.payloads import with_payloads
from ..core.places import split
from ..core.redaction import INPUT, WHOLE, Path, Redactions, given_to, marked_at, redact
from ..core.sealing import Sealing, is_sealed, reveal_frame

PathOf = Callable[[int], str]


def veiled(
    frame: Frame, saga_id: str, graph: Graph, path_of: PathOf, redactions: Redactions, sealing: Sealing | None
) -> Frame:
    """A frame as people may see it.

    Parameters:
        graph: the saga's.
        path_of: the path of a slot that the frame's events speak of.
    """
    return redacted(reveal_frame(sealing, saga_id, frame), graph, path_of, redactions)


def redacted(frame: Frame, graph: Graph, path_of: PathOf, redactions: Redactions) -> Frame:
    """A frame without what is marked; sealed payloads are left as they are."""
    if not redactions:
        return frame

    def hidden(event: Event) -> Event:
        def change(raw: Raw, field: str, _: int) -> Raw:
            if is_sealed(raw):
                return raw
            paths = _marks(event, field, graph, path_of, redactions)
            return Raw(msgspec.json.encode(redact(msgspec.json.decode(raw), paths))) if paths else raw

        return with_payloads(event, change)

    events = [hidden(event) for event in frame.events]
    return Frame(frame.version, frame.at, events)  # type: ignore[arg-type]  # the same events, their payloads changed


def _marks(event: Event, field: str, graph: Graph, path_of: PathOf, redactions: Redactions) -> tuple[Path, ...]:
    if isinstance(event, Started):
        return marked_at(redactions, (INPUT,))
    if isinstance(event, SignalReceived):  # by the signal's own name, or by the path of one wait
        path = split(event.name)[0]
        waits = [node.path for node in graph.nodes if node.signal and (node.signal == event.name or node.path == path)]
        return marked_at(redactions, waits) if waits else WHOLE
    index: int = getattr(event, "node", -1)
    path = split(path_of(index))[0] if index >= 0 else ""
    if path not in graph.paths:
        return WHOLE
    if isinstance(event, (ItemsListed, CallEntered)):
        return marked_at(redactions, (given_to(path),))
    return marked_at(redactions, (path,)) if field == "result" else WHOLE
