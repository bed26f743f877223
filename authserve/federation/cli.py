"""`flask providers`: other services by which people sign in here."""

from typing import Any, cast

import click

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import Group, confirm
from authserve.core.cli_output import print_document, print_result, print_rows
from authserve.core.errors import ValidationFailedError
from authserve.core.identifiers import canonical_domain
from authserve.federation.configuration import ProviderConfiguration
from authserve.federation.documents import provider_document
from authserve.federation.policy import LinkPolicy, ProviderRules
from authserve.federation.presets import DEFAULTS, Preset
from authserve.federation.registry import (
    ProviderChanges,
    add_provider,
    change_provider,
    delete_provider,
    get_provider,
    list_providers,
)

providers_group = Group("providers", help="Other services by which people sign in here.")

MAX_SECRET_BYTES = 1_000
"""Limits a client's secret, in bytes (chosen; providers' own have 24 to 100)."""

slug_argument = click.argument("slug")

secret_option = click.option(
    "--client-secret-file",
    "secret_file",
    type=click.File("r"),
    help="A file with the secret that the provider gave out; - reads it from the standard input.",
)


def _request(command: str) -> RequestInfo:
    return RequestInfo(user_agent=f"flask providers {command}")


def _read_secret(file: Any) -> str:
    secret = str(file.read(MAX_SECRET_BYTES + 1)).strip()
    if not 0 < len(secret.encode()) <= MAX_SECRET_BYTES:
        fault = f"The file has no secret of 1 to {MAX_SECRET_BYTES} bytes."
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
            help="What an address that an account has leads to.",
        ),
        click.option(
            "--trusts-email/--distrusts-email",
            default=None,
            help="Count an address that it calls verified as verified here.",
        ),
        click.option(
            "--trusts-mfa/--distrusts-mfa",
            default=None,
            help="Count its word for a second factor as one.",
        ),
        click.option(
            "--allowed-domain", "domains", multiple=True, help="Let only these domains sign in."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _changes(given: dict[str, Any]) -> ProviderChanges:
    """Return the values of the options that were given."""
    values = {
        name: given[name]
        for name in ("name", "issuer", "client_id", "sign_up", "trusts_email", "trusts_mfa")
        if given[name] is not None
    }
    if given["scopes"]:
        values["scopes"] = tuple(given["scopes"])
    if given["link"] is not None:
        values["link"] = LinkPolicy(given["link"])
    if given["domains"]:
        values["allowed_domains"] = frozenset(
            canonical_domain(each) or each for each in given["domains"]
        )
    return cast(ProviderChanges, values)


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
    kind = Preset(preset)
    configuration = _new_configuration(kind, _changes(given))
    if secret_file is None:
        raise click.UsageError("Name a file with --client-secret-file.")
    found = add_provider(
        slug or preset,
        configuration,
        secret=_read_secret(secret_file),
        actor=OPERATOR,
        request=_request("add"),
    )
    print_document(provider_document(found))


def _new_configuration(preset: Preset, given: ProviderChanges) -> ProviderConfiguration:
    defaults = DEFAULTS[preset]
    issuer = given.get("issuer", defaults.issuer)
    missing = {
        name: ["Missing data for required field."]
        for name, value in (("issuer", issuer), ("client_id", given.get("client_id")))
        if not value
    }
    if missing:
        raise ValidationFailedError(missing)
    return ProviderConfiguration(
        preset=preset,
        name=given.get("name", defaults.name),
        issuer=str(issuer),
        client_id=given["client_id"],
        scopes=given.get("scopes", defaults.scopes),
        rules=ProviderRules(
            sign_up=given.get("sign_up", True),
            link=given.get("link", LinkPolicy.CONFIRM),
            trusts_email=given.get("trusts_email", False),
            allowed_domains=given.get("allowed_domains", frozenset()),
        ),
        trusts_mfa=given.get("trusts_mfa", False),
    )


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
    found = change_provider(
        slug, _changes(given), secret=secret, actor=OPERATOR, request=_request("update")
    )
    print_document(provider_document(found))


@providers_group.command()
@slug_argument
def disable(slug: str) -> None:
    """Let no one sign in by a provider until it is enabled again.

    \b
    Example:
      flask providers disable google
    """
    _switch(slug, "disable", enabled=False)


@providers_group.command()
@slug_argument
def enable(slug: str) -> None:
    """Let people sign in by a provider again.

    \b
    Example:
      flask providers enable google
    """
    _switch(slug, "enable", enabled=True)


def _switch(slug: str, command: str, *, enabled: bool) -> None:
    changes: ProviderChanges = {"enabled": enabled}
    found = change_provider(slug, changes, actor=OPERATOR, request=_request(command))
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
    delete_provider(slug, actor=OPERATOR, request=_request("delete"))
    print_result(f"The provider {slug} is deleted.", slug=slug, is_deleted=True)
