"""Presets of clients as data: what an app needs here, and the lines that the app itself needs.

Each names the source of its facts, with the day on which it was read: apps change.
"""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from authserve.clients.kinds import ClientKind
from authserve.core.frozen import frozen

IDENTITY = ("openid", "profile", "email", "groups")
"""The scopes of apps that show people by name and give rights by group."""


@frozen(kw_only=True)
class Preset:
    """The settings that an app needs.

    Args:
        source: of its facts, with the day on which it was read.
        paths: of redirect URIs, at the app's address; a whole URI is taken as it is.
        logout_paths: of addresses to which a signed-out browser may return.
        backchannel_path: of the address that learns of ended sessions.
        values: other fields of the client, in the API's form.
        settings: the app's own settings. In braces: `issuer`, `url`, `client_id`, `secret`,
            `redirect_uri`, `scopes` and `resources`.
        notes: what an operator should know, a sentence each.
    """

    kind: ClientKind
    source: str
    paths: tuple[str, ...] = ()
    logout_paths: tuple[str, ...] = ()
    backchannel_path: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    settings: str
    notes: tuple[str, ...] = ()

    @property
    def needs_url(self) -> bool:
        """True if its addresses follow from the address of the app."""
        is_relative = any(path.startswith("/") for path in self.paths)
        return is_relative or self.kind is ClientKind.PROXY


_BY_SUB = "The app must know people by the claim sub: names and addresses can change hands."

_VERIFIED = "The claim email is left out until the user has verified the address."

_ANY_APP = """\
Issuer:        {issuer}
Discovery:     {issuer}/.well-known/openid-configuration
Client id:     {client_id}
Client secret: {secret}
Redirect URI:  {redirect_uri}
Scopes:        {scopes}
PKCE:          S256
ID tokens:     ES256. If the app insists on RS256, add --set signing_alg=RS256.
"""

_PUBLIC_APP = _ANY_APP.replace("Client secret: {secret}\n", "")

_GRAFANA = """\
[auth.generic_oauth]
enabled = true
name = authserve
client_id = {client_id}
client_secret = {secret}
scopes = {scopes}
auth_url = {issuer}/oauth/authorize
token_url = {issuer}/oauth/token
api_url = {issuer}/oauth/userinfo
use_pkce = true
login_attribute_path = preferred_username || sub
name_attribute_path = name || preferred_username
role_attribute_path = grafana_role
"""

_GITEA = """\
gitea admin auth add-oauth --name authserve --provider openidConnect \\
  --key {client_id} --secret {secret} \\
  --auto-discover-url {issuer}/.well-known/openid-configuration \\
  --scopes profile --scopes email --scopes groups \\
  --group-claim-name groups --admin-group admin
"""

_OAUTH2_PROXY = """\
provider = "oidc"
oidc_issuer_url = "{issuer}"
client_id = "{client_id}"
client_secret = "{secret}"
redirect_url = "{redirect_uri}"
scope = "{scopes}"
code_challenge_method = "S256"
oidc_groups_claim = "groups"
oidc_email_claim = "sub"
email_domains = ["*"]
"""

_MOD_AUTH_OPENIDC = """\
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret {secret}
OIDCRedirectURI {redirect_uri}
OIDCScope "{scopes}"
OIDCPKCEMethod S256
OIDCRemoteUserClaim sub
OIDCCryptoPassphrase exec:/etc/apache2/oidc-passphrase
"""

_MACHINE = """\
Token endpoint: {issuer}/oauth/token
Grant type:     client_credentials
Client id:      {client_id}
Client secret:  {secret}
Scopes:         {scopes}
Resource:       {resources}
"""

_PROXY = """\
Let the proxy ask {issuer}/forward-auth about each request to {url}, and pass the paths
below /.authserve/ of {url} on to {issuer}. It needs no id and no secret; docs/proxies.md has
the configuration of nginx, Caddy and Traefik.
"""

PRESETS: Mapping[str, Preset] = {
    "web": Preset(
        kind=ClientKind.WEB,
        source="OpenID Connect Core 1.0 §3.1, RFC 9700 §2.1, read 2026-11-27",
        paths=("/callback",),
        logout_paths=("/",),
        settings=_ANY_APP,
        notes=(_BY_SUB, "The path /callback is a guess: flask clients update changes it."),
    ),
    "spa": Preset(
        kind=ClientKind.SPA,
        source="OAuth 2.0 for Browser-Based Apps §6.3, read 2026-11-27",
        paths=("/callback",),
        logout_paths=("/",),
        settings=_PUBLIC_APP,
        notes=(_BY_SUB, "An app with a server of its own keeps tokens out of the browser."),
    ),
    "native": Preset(
        kind=ClientKind.NATIVE,
        source="RFC 8252 §7.3, read 2026-11-27",
        paths=("http://127.0.0.1/callback", "http://[::1]/callback"),
        settings=_PUBLIC_APP,
        notes=(_BY_SUB, "The app may listen at any port of its loopback address."),
    ),
    "machine": Preset(
        kind=ClientKind.MACHINE,
        source="RFC 6749 §4.4, RFC 8707 §2, read 2026-11-27",
        scopes=(),
        settings=_MACHINE,
        notes=("Give it scopes by --scope, and services by --set 'resources=[...]'.",),
    ),
    "proxy": Preset(
        kind=ClientKind.PROXY,
        source="docs/proxies.md of this release",
        scopes=(),
        settings=_PROXY,
    ),
    "grafana": Preset(
        kind=ClientKind.WEB,
        source="grafana.com/docs, Generic OAuth of Grafana 13.2, read 2026-11-28",
        paths=("/login/generic_oauth",),
        logout_paths=("/login",),
        scopes=IDENTITY,
        values={
            "claims": [
                {
                    "name": "grafana_role",
                    "from": "roles",
                    "map": [["admin", "Admin"]],
                    "default": "Viewer",
                    "in": ["id_token", "userinfo"],
                }
            ]
        },
        settings=_GRAFANA,
        notes=(_BY_SUB, f"{_VERIFIED} Grafana refuses users without it."),
    ),
    "gitea": Preset(
        kind=ClientKind.WEB,
        source="go-gitea/gitea issue 34747 and pull request 38202, read 2026-11-28",
        paths=("/user/oauth2/authserve/callback",),
        logout_paths=("/",),
        scopes=IDENTITY,
        # As a client it sends no code_challenge yet.
        values={"require_pkce": False},
        settings=_GITEA,
        notes=(
            "Forgejo takes the same command as forgejo instead of gitea.",
            "Gitea does not use PKCE yet, so this client can do without.",
            _VERIFIED,
        ),
    ),
    "oauth2-proxy": Preset(
        kind=ClientKind.WEB,
        source="oauth2-proxy.github.io, configuration of 7.6, read 2026-11-28",
        paths=("/oauth2/callback",),
        logout_paths=("/",),
        scopes=IDENTITY,
        settings=_OAUTH2_PROXY,
        notes=(
            "Add cookie_secret and upstreams as its documentation says.",
            "It needs an address of each user, so it gets sub in its place.",
        ),
    ),
    "mod_auth_openidc": Preset(
        kind=ClientKind.WEB,
        source="OpenIDC/mod_auth_openidc 2.4.12, run in Apache 2.4 on 2026-11-27",
        paths=("/oidc/callback",),
        logout_paths=("/",),
        backchannel_path="/oidc/callback?logout=backchannel",
        scopes=IDENTITY,
        settings=_MOD_AUTH_OPENIDC,
        notes=(
            "No page may exist at /oidc/callback, but it must be in a protected location.",
            "The passphrase protects the module's sessions: any long random text.",
        ),
    ),
}
"""The presets by name (design: the first four apps, and each kind by itself)."""


def preset_values(preset: Preset, url: str) -> dict[str, Any]:
    """Return the fields of a client that follow from a preset, in the API's form.

    Args:
        url: the address of the app without a slash at its end; empty if the preset needs none.
    """
    values: dict[str, Any] = {"kind": preset.kind.value, **preset.values}
    if preset.kind is ClientKind.PROXY:
        return {**values, "origins": [url]}
    lists = {
        "redirect_uris": [_at(url, path) for path in preset.paths],
        "post_logout_redirect_uris": [_at(url, path) for path in preset.logout_paths],
        "scopes": list(preset.scopes),
    }
    values |= {name: value for name, value in lists.items() if value}
    if preset.backchannel_path is not None:
        values["backchannel_logout_uri"] = f"{url}{preset.backchannel_path}"
    return values


def _at(url: str, path: str) -> str:
    return f"{url}{path}" if path.startswith("/") else path


def describe_settings(preset: Preset, facts: Mapping[str, str]) -> str:
    """Return the app's own settings.

    Args:
        facts: the texts in the place of the names in braces; see `Preset`.
    """
    text = preset.settings
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", value)
    return text
