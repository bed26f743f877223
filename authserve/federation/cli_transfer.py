"""`flask providers export` and `flask providers import`."""

from pathlib import Path
from typing import Any

import click

from authserve.core.cli_output import print_result
from authserve.core.ndjson import export_objects, import_objects
from authserve.database.transactions import transaction
from authserve.federation.cli import providers_group, request_of
from authserve.federation.registry import list_providers
from authserve.federation.transfer import (
    ExportedProviderSchema,
    export_providers,
    import_provider,
)
from authserve.http.openapi import load_input


@providers_group.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export(file: Path) -> None:
    """Export every provider as NDJSON, with sealed secrets; `-` is standard output.

    The secrets open where the same SECRET_KEY is, so the file alone gives no access. People's
    identities are in the export of users.

    \b
    Example:
      flask providers export providers.ndjson
    """
    export_objects(file, export_providers(list_providers()), noun="providers")


@providers_group.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
def import_(file: Any) -> None:
    """Register the providers of an export; `-` is standard input. After a fault there are none.

    SECRET_KEY or SECRET_KEY_FALLBACKS must have the secret of the service that made the export.

    \b
    Example:
      flask providers import providers.ndjson
    """
    request = request_of("import")

    def register(given: dict[str, Any]) -> None:
        import_provider(load_input(ExportedProviderSchema(), given), request=request)

    with transaction():
        count = import_objects(file, register)
    print_result(f"{count} providers registered.", providers=count)
