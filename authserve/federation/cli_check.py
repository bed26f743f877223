"""`flask providers check`: a sign-in's questions, asked before a person signs in."""

from dataclasses import asdict

from authserve.core.cli_output import is_json, print_document
from authserve.core.clock import now
from authserve.core.crypto import UndecryptableError
from authserve.core.findings import has_failure, print_findings
from authserve.core.outbound import OutboundClient
from authserve.federation.check import Subject, examine_provider
from authserve.federation.cli import providers_group, slug_argument
from authserve.federation.documents import callback_uri
from authserve.federation.registry import get_provider
from authserve.federation.secrets import read_secret
from authserve.federation.upstream import Upstream
from authserve.settings.model import SETTINGS


@providers_group.command()
@slug_argument
def check(slug: str) -> None:
    """Ask a provider what a sign-in would ask it, and say what is wrong.

    It fetches the metadata and keys, compares the clocks, and sends a code that cannot be good, to
    learn whether the provider takes the secret. The exit status is 1 if a check failed.

    \b
    Examples:
      flask providers check google
      flask providers check google --json
    """
    hosts = SETTINGS.get().outbound_hosts
    subject = Subject(
        provider=get_provider(slug),
        secret=_find_secret(slug),
        redirect_uri=callback_uri(slug),
        hosts=hosts,
        now=now(),
    )
    findings = list(examine_provider(subject, Upstream(OutboundClient(hosts=hosts))))
    if is_json():
        print_document({"provider": slug, "findings": [asdict(each) for each in findings]})
    else:
        print_findings(findings)
    if has_failure(findings):
        raise SystemExit(1)


def _find_secret(slug: str) -> str | None:
    try:
        return read_secret(slug)
    except UndecryptableError:
        return None
