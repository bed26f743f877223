"""`flask clients create`: register a client, perhaps by a preset."""

from typing import Any

import click

from authserve.clients.cli import client_id_argument, clients_group, request_of, values_option
from authserve.clients.client_secrets import NewClient, register_with_secret
from authserve.clients.documents import client_document
from authserve.clients.kinds import ClientKind
from authserve.clients.presets import PRESETS, describe_settings, preset_values
from authserve.clients.schemas import NewClientSchema, to_configuration
from authserve.core.actor import OPERATOR
from authserve.core.cli_output import is_json, print_document, print_hint
from authserve.http.openapi import load_input
from authserve.settings.model import SETTINGS


@clients_group.command()
@client_id_argument
@click.option("--name", help="For people; the id if not given.")
@click.option("--kind", type=click.Choice([kind.value for kind in ClientKind]))
@click.option("--preset", "preset_name", type=click.Choice(list(PRESETS)), help="A known app.")
@click.option("--url", default="", help="The address of the app, for a preset.")
@click.option("--redirect-uri", "redirect_uris", multiple=True)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="Address of a proxied application, as browsers show it.",
)
@click.option("--scope", "scopes", multiple=True, help="Such as openid, profile or users:read.")
@values_option
def create(
    client_id: str,
    name: str | None,
    kind: str | None,
    preset_name: str | None,
    url: str,
    redirect_uris: tuple[str, ...],
    origins: tuple[str, ...],
    scopes: tuple[str, ...],
    values: dict[str, Any],
) -> None:
    """Register a client, and print its secret: this once.

    With --preset it prints the settings that the app needs, instead of the client. Other options
    take precedence over the preset.

    \b
    Examples:
      flask clients create grafana --preset grafana --url https://grafana.example.com
      flask clients create wiki --redirect-uri https://wiki.example.com/callback --scope openid
      flask clients create report --kind machine --scope users:read
      flask clients create files --kind proxy --origin https://files.example.com
    """
    given: dict[str, Any] = {"client_id": client_id, "name": name or client_id, "kind": "web"}
    given |= _preset_values(preset_name, url)
    options = {
        "kind": kind,
        "redirect_uris": list(redirect_uris),
        "origins": list(origins),
        "scopes": list(scopes),
    }
    given |= {key: value for key, value in options.items() if value}
    configuration = to_configuration(load_input(NewClientSchema(), {**given, **values}))
    made = register_with_secret(
        client_id, configuration, actor=OPERATOR, request=request_of("create")
    )
    new_secret = {"client_secret": made.secret} if made.secret is not None else {}
    document = {**client_document(made.client, made.secrets), **new_secret}
    if preset_name is None:
        print_document(document)
    else:
        _print_preset(preset_name, url.rstrip("/"), made, document)


def _preset_values(preset_name: str | None, url: str) -> dict[str, Any]:
    if preset_name is None:
        if url:
            raise click.UsageError("--url belongs to --preset.")
        return {}
    preset = PRESETS[preset_name]
    if preset.needs_url and not url:
        raise click.UsageError(f"The preset {preset_name} needs --url, the address of the app.")
    return preset_values(preset, url.rstrip("/"))


def _print_preset(name: str, url: str, made: NewClient, document: dict[str, Any]) -> None:
    preset, configuration = PRESETS[name], made.client.configuration
    facts = {
        "issuer": SETTINGS.get().public_url,
        "url": url,
        "client_id": made.client.client_id,
        "secret": made.secret or "",
        "redirect_uri": " ".join(configuration.redirect_uris),
        "scopes": " ".join(configuration.scopes),
        "resources": " ".join(configuration.resources),
    }
    settings = describe_settings(preset, facts)
    if is_json():
        print_document({**document, "settings": settings, "notes": list(preset.notes)})
        return
    click.echo(settings, nl=False)
    for note in (*preset.notes, f"Source of these settings: {preset.source}."):
        print_hint(note)
