"""Every limit of Amends, in one place. Units stand last in the name."""

from __future__ import annotations

PATH_CHARS_MAX = 64  # a step's path, which is part of idempotency keys, and a saga's or signal's name
KEY_CHARS_MAX = 255  # a start key or signal id
NODES_MAX = 10_000  # nodes of one definition
DEPTH_MAX = 50  # nesting of combinators
ITEMS_MAX = 100_000  # items of one each
ITEMS_BYTES_MAX = 16_777_216  # all items of one each, encoded
ITEMS_AT_A_TIME_MAX = 10_000  # of which so many may run at a time
PAYLOAD_BYTES_MAX = 1_048_576  # one input, result or signal, encoded
CORRELATION_ENTRIES_MAX = 16  # names that one saga's correlation holds
CORRELATION_CHARS_MAX = 255  # each correlation key and value
ERROR_CHARS_MAX = 2_000  # what the journal keeps of an error's text
ERRORS_KEPT = 100  # error lines a saga's state and exceptions show; the journal keeps every one
REASON_CHARS_MAX = 1_000  # an operator's reason, an actor's name
FAILED_KEPT = 100  # failed steps that a saga's line in a list names; the journal keeps every one
SIGNALS_PENDING_MAX = 1_000  # signals one saga keeps that no wait has consumed
TIME_MS_MAX = 253_402_300_799_999  # of a frame: the year 9999, the last that a date can show
DURATION_MS_MAX = 10 * 365 * 24 * 3_600_000  # ten years
ATTEMPTS_MAX = 1_000_000  # of one `Retry`
DEATHS_MAX = 100  # consecutive process deaths during one step before it is poison
FILTER_CHARS_MAX = 4_000  # the text of a filter
FILTER_TERMS_MAX = 50  # terms of a filter
FILTER_VALUES_MAX = 100  # alternatives of all its terms together
BULK_SAGAS_MAX = 1_000  # sagas that a verb over a filter acts upon when no limit is given
BULK_AT_A_TIME = 128  # verbs of such a bulk that are under way at a time
PAGE_MAX = 1_000  # rows one page of a list holds
ATOMIC_MS_MAX = 5_000  # one atomic call, which holds the database's only write lock
BATCH_FRAMES_MAX = 4_096  # frames of one group commit
TAIL_PAGE_FRAMES = 500  # frames that `tail` reads at a time
TAIL_SAGAS_KEPT = 10_000  # sagas whose line `tail` remembers, for its filter
TAIL_SEARCH_FRAMES_MAX = 100_000  # frames that `tail -n` looks through, backward, for the last events that fit
BUNDLE_BYTES_MAX = 1 << 30  # of an exported saga
BELLS_MAX = 200  # processes that one rings by their doorbells; those beyond find out by looking
WHY_CAUSES_MAX = 50  # causes of one kind that `why` follows from one link, such as debts of the items of an each
PRUNE_BATCH = 100  # sagas that one transaction of a pruning removes
PRUNE_BATCH_MAX = 10_000  # and at most, when it is set
ROLLBACK_RUNS_MAX = 64  # ways through branches that the rollback table tries, to each point and for each way to fail
MODEL_STATES_MAX = 300_000  # states of one saga that the model check visits
DIFF_INPUTS_MAX = 1_000  # open sagas of one version whose input `diff` tries to read
