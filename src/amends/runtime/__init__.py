"""The only place that drives sagas: it asks the kernel, makes what it decided durable, then calls.

    start, signal, verbs ─▶ actor ── fold, decide ──▶ frame ──▶ committer ──▶ store
                              ▲                                   │ durable
                              └───── outcome ◀── executor ◀───────┘ the intents in it

Rules of this package: a call is made only after its intent is durable; everything runs in one event
loop; time, randomness and the store are injected; nothing here decides what a saga does next.
"""
