"""The kernel: definitions, graph, events, `decide` and `fold`. Pure.

Rules of this package: no asyncio, threads, clock, randomness, sockets, files or logging. What time
it is, and what the user's functions answered, are arguments. Any engine may drive it.

    definition ── builds ──▶ graph           what a saga is
    events ── fold ──▶ state                 what has happened
    state ── decide ──▶ commands             what happens next (events to journal; intents among them
                                             are the calls to make; `Evaluate` asks for a predicate)
"""
