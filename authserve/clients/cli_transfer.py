"""`flask clients export` and `flask clients import`."""

from pathlib import Path
from typing import Any

import click

from authserve.clients.cli import clients_group, request_of
from authserve.clients.listing import all_clients
from authserve.clients.transfer import ExportedClientSchema, export_clients, import_client
from authserve.core.cli_output import print_result
from authserve.core.ndjson import export_objects, import_objects
from authserve.database.transactions import transaction
from authserve.http.openapi import load_input


@clients_group.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export(file: Path) -> None:
    """Export every client as NDJSON, with the digests of secrets; `-` is standard output.

    The secrets stay valid where the file is imported. The file holds none of them, so it gives no
    access by itself.

    \b
    Example:
      flask clients export clients.ndjson
    """
    export_objects(file, export_clients(all_clients()), noun="clients")


@clients_group.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
def import_(file: Any) -> None:
    """Register the clients of an export; `-` is standard input. After a fault there are none.

    \b
    Example:
      flask clients import clients.ndjson
    """
    request = request_of("import")

    def register(given: dict[str, Any]) -> None:
        import_client(load_input(ExportedClientSchema(), given), request=request)

    with transaction():
        count = import_objects(file, register)
    print_result(f"{count} clients registered.", clients=count)
