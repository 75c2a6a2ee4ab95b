"""The command ``drivegrade serve``: the web API.

Imports of anything heavy stand inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from loaders.terminal import read_settings


def serve(
    host: Annotated[str, typer.Option(help="address of this machine to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="TCP port")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes")] = 1,
) -> None:
    """Serve the grades to other programs over HTTP, until it is told to end."""
    from loaders.extras import extra

    with extra("service"):
        from loaders.service import serving
    serving.serve(read_settings(), host=host, port=port, workers=workers)
