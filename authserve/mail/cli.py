"""The group `flask mail`: send one mail to test the transport and the templates."""

import click
from jinja2 import TemplateError

from authserve.core.cli import Group
from authserve.core.cli_output import print_result
from authserve.core.identifiers import canonical_email
from authserve.mail.errors import TransportError
from authserve.mail.mailer import MAILER
from authserve.mail.policy import MailKind

mail_group = Group("mail", help="Mail: send a test message, and preview messages.")


@mail_group.command("test")
@click.argument("address")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in MailKind]),
    default=MailKind.TEST.value,
    show_default=True,
    help="Which mail to send; links in it are examples and lead nowhere.",
)
def test_(address: str, kind: str) -> None:
    """Send one mail now, without the worker, and report success or the mail server's error.

    \b
    Examples:
      flask mail test alice@example.com
      flask mail test alice@example.com --kind reset_password
    """
    recipient = canonical_email(address)
    try:
        MAILER.get().send_sample(MailKind(kind), to=recipient)
    except TransportError as error:
        raise click.ClickException(f"The mail was not sent: {error.reason}.") from error
    except TemplateError as error:
        raise click.ClickException(f"A template of {kind} is at fault: {error}") from error
    print_result(f"The mail to {recipient} has left.", kind=kind, to=recipient)
