"""Sign-in by other providers."""

from flask import Flask

from authserve.admin.personal_data import FURTHER_LISTS
from authserve.core.breakers import FURTHER_BREAKERS
from authserve.core.events import SUBSCRIPTIONS, AuditAction
from authserve.core.outbound import OutboundClient
from authserve.features.part import Part
from authserve.federation.call_limit import limit_for
from authserve.federation.identities import find_opening_providers
from authserve.federation.identity_routes import blueprint as identities_blueprint
from authserve.federation.offered import OfferedProviders, find_linked_providers
from authserve.federation.records import export_identities
from authserve.federation.routes import blueprint
from authserve.federation.upstream import UPSTREAM, Upstream
from authserve.mfa.factors import FURTHER_CREDENTIALS
from authserve.mfa.pending import end_pending_of_subject
from authserve.pages.account_connections import SECTIONS
from authserve.pages.account_identities import find_section
from authserve.pages.provider_pending import find_identified_person
from authserve.pages.provider_routes import provider_blueprint
from authserve.settings.model import SETTINGS
from authserve.web.sign_in_providers import (
    IDENTIFIED_PERSON,
    LINKED_PROVIDERS,
    SIGN_IN_PROVIDERS,
)


def add(app: Flask) -> None:
    """Add the calls to providers, their pages and buttons, and the identities of each account."""
    settings = SETTINGS.of(app)
    client = OutboundClient(hosts=settings.outbound_hosts)
    upstream = Upstream(client, calls=limit_for(settings.web_threads))
    UPSTREAM.fill(app, upstream)
    FURTHER_BREAKERS.fill(app, upstream.breakers)
    app.register_blueprint(provider_blueprint)
    SIGN_IN_PROVIDERS.fill(app, OfferedProviders().find)
    LINKED_PROVIDERS.fill(app, find_linked_providers)
    IDENTIFIED_PERSON.fill(app, find_identified_person)
    SECTIONS.add(app, ("identities", find_section))
    FURTHER_CREDENTIALS.fill(app, find_opening_providers)
    FURTHER_LISTS.add(app, ("identities", export_identities))
    SUBSCRIPTIONS.add_first(
        app,
        # A sign-in whose first step was the identity must not reach its second one.
        ({AuditAction.IDENTITY_UNLINKED}, end_pending_of_subject),
    )


PART = Part(add=add, blueprints=(blueprint, identities_blueprint))
