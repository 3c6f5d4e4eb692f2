"""What the participants hold: a model of the barrier, idempotent per key.

A compensation without action is stored as a null, and blocks the action that comes late. A participant that accepted
a call (`taken`) has it done some time, or refuses it in the end.
"""

from __future__ import annotations

from typing import NamedTuple

NONE, DONE, UNDONE = 0, 1, 2  # what a participant holds of an action
NO_FLIGHT, REQUEST, STRAGGLER = 0, 1, 2  # a request that may still land; one whose answer is still waited for


class Held(NamedTuple):
    """What the participant of one step holds."""

    effect: int = NONE
    blocked: bool = False  # a refusal or a null compensation is stored: the action can never take effect
    flight: int = NO_FLIGHT
    taken: bool = False  # accepted, and neither done nor refused yet


World = tuple[Held, ...]  # by slot; what is no step holds nothing


def there(held: Held) -> bool:
    """Whether the effect is there, or may still come."""
    return held.effect is DONE or bool((held.flight or held.taken) and not held.blocked)


def landed(held: Held, read_only: bool) -> Held:
    """The action's request arrives at a barrier."""
    if read_only or held.blocked or held.effect is UNDONE:
        return held
    return held._replace(effect=DONE, taken=False)


def accepted(held: Held, read_only: bool) -> Held:
    """The participant says "taken, not done"."""
    return held if read_only or held.effect is DONE else held._replace(taken=True)


def refused(held: Held) -> Held:
    """The participant says "never", and stores it."""
    return held._replace(blocked=True, taken=False)


def unmade(held: Held) -> Held:
    """The compensation's request arrives at a barrier; without an action it is a null, and blocks it."""
    return held._replace(effect=UNDONE if held.effect is DONE else held.effect, blocked=True, taken=False)


def by_hand(held: Held, outcome: str, *, back: bool, forward_again: bool) -> Held:
    """What a person did before saying so."""
    if back:
        return Held(UNDONE if held.effect is DONE else held.effect, blocked=True)
    if outcome == "done":
        return Held(DONE)
    return Held(held.effect, blocked=not forward_again)


def put(world: World, index: int, held: Held) -> World:
    """The world with what one participant holds now."""
    return (*world[:index], held, *world[index + 1 :])
