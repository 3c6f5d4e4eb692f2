"""Runs a saga's own functions through everything that can go wrong.

    case           the inputs, the doubles, what must hold
    ways           what may become of one call: a table
    scenario       which calls of a run go which way; has a text
    doubles        tells when a function calls a participant
    network        where functions run that use real sockets
    running        one call of a function, and its calls of doubles
    staging        calls the functions, each the way that the scenario has for it
    store          its store: tells what lands
    sandbox        the world of one run: time, store, process, operator
    judging        what is wrong with a run
    lab            tries a scenario, and says what became of it
    planning       which scenarios follow from what a run came by
    exploration    what is to be tried, what was, what was found
    findings       that, as data and text
    verifying      `verify_saga` and `replay`

Each knows only those above it.
"""
