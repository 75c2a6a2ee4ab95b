"""The commands of ``drivegrade cache``: the answers in Redis, and the outbox that they hear from.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

import typer

from loaders.terminal import Json, print_json, read_settings, say, show_rows

app = typer.Typer(help="The cache of answers in Redis.", no_args_is_help=True)


@app.command()
def refresh(*, as_json: Json = False) -> None:
    """Tell the cache what has changed and delete old answers; to be run every five minutes."""
    from loaders import postgres, reconcile

    settings = read_settings()
    with postgres.connect(settings) as connection:
        done = reconcile.refresh(connection, settings)
    if as_json:
        told = done.drained._asdict()
        del told["stopped_by"]
        print_json([{**told, "removed": done.removed, "pruned": done.pruned}])
        return
    say(
        f"{done.drained.handled} rows of the outbox handled, {done.drained.failed} failed, "
        f"{done.removed} old answers deleted"
    )


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show what the outbox holds, why rows were given up, and whether Redis answers."""
    from loaders import outbox, postgres, reconcile

    settings = read_settings()
    state = reconcile.cache_state(settings)
    with postgres.connect(settings) as connection:
        counts, parked = outbox.status(connection)
    if as_json:
        print_json([{**counts, "cache": state, "parked_rows": parked}])
        return
    oldest = counts["oldest_waiting_s"]
    since = f", the oldest for {oldest:.0f} s" if isinstance(oldest, float) else ""
    say(f"Redis: {state}")
    say(f"outbox: {counts['waiting']} waiting{since}, {counts['done']} handled")
    show_rows(parked, "Given up", as_json=False)
