"""The grammar of the commands that keep a store in order: prune, migrate, doctor.

Rules of this file: those of `app`.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .grammar import KEEP, NONE, FilterText, Flag, Texts, app, wait_for
from .options import COMMON, Common


@app.command(group=KEEP)
def prune(
    *,
    older: str,
    status: Texts = NONE,
    filter: FilterText = "",
    anomalous: Flag = False,
    followup_failed: Flag = False,
    key_retention: str = "30d",
    limit: Annotated[int | None, Parameter(show_default=False)] = None,
    batch: int = 100,
    archive: str = "",
    dry_run: Flag = False,
    vacuum: Flag = False,
    common: Common = COMMON,
) -> int:
    """Remove sagas that ended long ago; safe beside a running worker.

    A trace stays of each, with its end and its start key. Their space is used again by what comes.

    Parameters:
        older: How long ago they ended at least, such as 30d.
        status: Only of this status, such as completed; may be repeated.
        filter: Only those that fit, as in 'name:place_order -customer:ann'.
        anomalous: Also those with an anomaly.
        followup_failed: Also those whose follow-ups failed.
        key_retention: How much longer start keys are kept, and what became of their sagas.
        limit: At most so many, those that ended first.
        batch: How many in one transaction.
        archive: Keep them in this SQLite file before, such as sqlite:///archive.db; show, list and the others find
            them there, with --store.
        dry_run: Say how many, and remove nothing.
        vacuum: Give the space back to the file system, which rewrites the file; no worker may run meanwhile.
    """
    from .keeping import prune_sagas

    return wait_for(
        prune_sagas(
            common, older=older, status=status, said=filter, anomalous=anomalous, followup_failed=followup_failed,
            key_retention=key_retention, limit=limit, batch=batch, archive=archive or None, dry_run=dry_run,
            vacuum=vacuum,
        )
    )  # fmt: skip


@app.command(group=KEEP)
def migrate(
    *, print_: Annotated[Flag, Parameter(name="--print")] = False, check: Flag = False, common: Common = COMMON
) -> int:
    """Bring the store to this release's schema; what opens it does so too, but for `post` migrations.

    Parameters:
        print_: Print the SQL of every migration, marked when it is applied; change nothing.
        check: Only say what is missing; exit 1 if anything is.
    """
    from .migrating import migrate_store

    return migrate_store(common, show=print_, check=check)


@app.command(group=KEEP)
def doctor(*, common: Common = COMMON) -> int:
    """Look for what is wrong with this machine, the store and its sagas, and say how to mend it.

    Exit 0 when all is well, 1 when something needs a hand, 5 when the store cannot be used.
    """
    from .doctor import examine

    return wait_for(examine(common))
