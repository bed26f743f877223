"""`flask clients export` and `flask clients import`."""

import json
from pathlib import Path
from typing import Any

import click

from authserve.clients.cli import clients_group, load, request_of
from authserve.clients.listing import all_clients
from authserve.clients.transfer import ExportedClientSchema, export_clients, import_client
from authserve.core.cli_output import open_output, print_result, print_written
from authserve.core.errors import AuthserveError, ValidationFailedError
from authserve.database.transactions import transaction


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
    count = 0
    with open_output(file) as target:
        for document in export_clients(all_clients()):
            target.write(json.dumps(document, ensure_ascii=False) + "\n")
            count += 1
    print_written(file, "clients", count)


@clients_group.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
def import_(file: Any) -> None:
    """Register the clients of an export; `-` is standard input. After a fault there are none.

    \b
    Example:
      flask clients import clients.ndjson
    """
    request, count = request_of("import"), 0
    with transaction():
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                import_client(load(ExportedClientSchema(), _parse(line)), request=request)
            except AuthserveError as error:
                raise click.ClickException(f"line {number}: {_explain(error)}") from error
            count += 1
    print_result(f"{count} clients registered.", clients=count)


def _parse(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValidationFailedError({"line": ["Not a JSON object."]})
    return document


def _explain(error: AuthserveError) -> str:
    if not isinstance(error, ValidationFailedError):
        return error.detail
    return "; ".join(f"{name}: {' '.join(faults)}" for name, faults in error.errors.items())
