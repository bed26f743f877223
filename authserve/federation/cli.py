"""`flask providers`: other services by which people sign in here."""

from typing import Any

import click

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import YES_OPTION, Group, confirm
from authserve.core.cli_output import print_document, print_hint, print_result, print_rows
from authserve.federation.configuration import MAX_SECRET_LENGTH, ProviderChanges
from authserve.federation.documents import callback_uri, provider_document
from authserve.federation.end_sessions import end_sessions_by_provider
from authserve.federation.identities import count_identities
from authserve.federation.policy import LinkPolicy
from authserve.federation.presets import Preset
from authserve.federation.registry import (
    add_provider,
    change_provider,
    delete_provider,
    get_provider,
    list_providers,
)
from authserve.federation.schemas import (
    NewProviderSchema,
    ProviderChangesSchema,
    to_changes,
    to_configuration,
)
from authserve.http.openapi import load_input

providers_group = Group("providers", help="Other services by which people sign in here.")

slug_argument = click.argument("slug")

secret_option = click.option(
    "--client-secret-file",
    "secret_file",
    type=click.File("r"),
    help="A file with the secret that the provider gave out; - reads it from the standard input.",
)


def request_of(command: str) -> RequestInfo:
    """Return the origin of a command, for audit events."""
    return RequestInfo(user_agent=f"flask providers {command}")


def _read_secret(file: Any) -> str:
    secret = str(file.read(MAX_SECRET_LENGTH + 1)).strip()
    if not 0 < len(secret) <= MAX_SECRET_LENGTH:
        fault = f"The file has no secret of 1 to {MAX_SECRET_LENGTH} characters."
        raise click.BadParameter(fault, param_hint="--client-secret-file")
    return secret


def rule_options(function: Any) -> Any:
    """Add the options of `ProviderRules`, and `--trusts-mfa`, to a command."""
    options = (
        click.option("--name", help="On the button."),
        click.option("--issuer", help="As the provider's tokens name it, exactly."),
        click.option("--client-id", help="Of this service, as the provider gave it out."),
        click.option("--scope", "scopes", multiple=True, help="In place of the preset's scopes."),
        click.option("--sign-up/--no-sign-up", default=None, help="Open accounts for new people."),
        click.option(
            "--link",
            type=click.Choice([policy.value for policy in LinkPolicy]),
            help="What to do if an account has the person's address.",
        ),
        click.option(
            "--trusts-email/--distrusts-email",
            default=None,
            help="Accept its statement that an address is verified.",
        ),
        click.option(
            "--trusts-mfa/--distrusts-mfa",
            default=None,
            help="Accept its statement that it asked for a second factor.",
        ),
        click.option(
            "--allowed-domain", "domains", multiple=True, help="Let only these domains sign in."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the options that were given, by their names in the API."""
    values = {**options, "allowed_domains": options["domains"]}
    del values["domains"]
    return {name: value for name, value in values.items() if value not in (None, ())}


@providers_group.command()
@click.argument("preset", type=click.Choice([preset.value for preset in Preset]))
@click.option("--slug", help="In the addresses of pages; the preset's name if not given.")
@secret_option
@rule_options
def add(preset: str, slug: str | None, secret_file: Any, **given: Any) -> None:
    """Register a provider, and print the redirect URI to paste there.

    \b
    Examples:
      flask providers add google --client-id 1234.apps.googleusercontent.com \\
          --client-secret-file google.txt
      flask providers add oidc --slug work --name "Example Ltd" --issuer https://id.example.org \\
          --client-id authserve --client-secret-file work.txt
    """
    if secret_file is None:
        raise click.UsageError("Name a file with --client-secret-file.")
    values = {"preset": preset, "slug": slug or preset, **_given(given)}
    secret = _read_secret(secret_file)
    loaded = load_input(NewProviderSchema(), {**values, "client_secret": secret})
    name, configuration = to_configuration(loaded)
    found = add_provider(
        name, configuration, secret=secret, actor=OPERATOR, request=request_of("add")
    )
    print_document(provider_document(found))
    print_hint(f"Register this redirect URI at the provider: {callback_uri(found.slug)}")
    print_hint(f"Then run: flask providers check {found.slug}")
    if count := count_identities(configuration.issuer):
        print_hint(f"Linked identities of this issuer: {count}. They open their accounts again.")


@providers_group.command("list")
def list_() -> None:
    """List providers by slug.

    \b
    Example:
      flask providers list
    """
    print_rows(
        map(provider_document, list_providers()),
        columns={
            "SLUG": "slug",
            "PRESET": "preset",
            "ENABLED": "enabled",
            "LINK": "link",
            "ISSUER": "issuer",
            "NAME": "name",
        },
        empty="There is no provider.",
    )


@providers_group.command()
@slug_argument
def show(slug: str) -> None:
    """Show a provider as JSON, without its secret.

    \b
    Example:
      flask providers show google
    """
    print_document(provider_document(get_provider(slug)))


@providers_group.command()
@slug_argument
@secret_option
@rule_options
def update(slug: str, secret_file: Any, **given: Any) -> None:
    """Change a provider's values, from its next sign-in on.

    \b
    Examples:
      flask providers update google --link verified --trusts-email
      flask providers update google --client-secret-file new.txt
    """
    secret = None if secret_file is None else _read_secret(secret_file)
    changes = to_changes(load_input(ProviderChangesSchema(), _given(given)))
    found = change_provider(
        slug, changes, secret=secret, actor=OPERATOR, request=request_of("update")
    )
    print_document(provider_document(found))


@providers_group.command()
@slug_argument
def disable(slug: str) -> None:
    """Refuse sign-ins by a provider until it is enabled again.

    \b
    Example:
      flask providers disable google
    """
    _switch(slug, "disable", enabled=False)


@providers_group.command()
@slug_argument
def enable(slug: str) -> None:
    """Accept sign-ins by a provider again.

    \b
    Example:
      flask providers enable google
    """
    _switch(slug, "enable", enabled=True)


def _switch(slug: str, command: str, *, enabled: bool) -> None:
    changes: ProviderChanges = {"enabled": enabled}
    found = change_provider(slug, changes, actor=OPERATOR, request=request_of(command))
    print_document(provider_document(found))


@providers_group.command()
@slug_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(slug: str, yes: bool) -> None:
    """Delete a provider; its people's identities stay, in case it comes back.

    \b
    Example:
      flask providers delete google --yes
    """
    name = get_provider(slug).configuration.name
    confirm(f"Delete {name} ({slug}), so that no one signs in by it?", yes=yes)
    delete_provider(slug, actor=OPERATOR, request=request_of("delete"))
    print_result(f"The provider {slug} is deleted.", slug=slug, is_deleted=True)
    print_hint(f"Sessions that it began go on: flask providers end-sessions {slug}")


@providers_group.command("end-sessions")
@slug_argument
@YES_OPTION
def end_sessions(slug: str, yes: bool) -> None:
    """End all sessions that were begun by a provider, with those of apps under them.

    Use it if the provider was compromised. Disable it first, or people sign in by it again. A
    deleted provider may be named, too.

    \b
    Example:
      flask providers end-sessions work --yes
    """
    confirm(f"End all sessions that were begun by {slug}?", yes=yes)
    count = end_sessions_by_provider(slug, actor=OPERATOR, request=request_of("end-sessions"))
    print_result(f"{count} sessions ended.", slug=slug, ended=count)
