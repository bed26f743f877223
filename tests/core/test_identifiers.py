"""Addresses, usernames and names: one stored form for every spelling."""

import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from authserve.core.clock import now
from authserve.core.identifiers import (
    DISPLAY_NAME_MAX_LENGTH,
    EMAIL_MAX_LENGTH,
    InvalidIdentifierError,
    canonical_domain,
    canonical_email,
    canonical_login_identifier,
    canonical_username,
    clean_display_name,
    email_beginnings,
    search_key,
    unicode_email,
)
from authserve.database.transactions import read_all, transaction
from authserve.users.models import User
from tests.support.marks import both_databases

ANY_TEXT = st.text(st.characters())  # half surrogate pairs and NUL included

LETTERS = st.characters(categories=["L", "M", "N", "S", "P"])
LOCAL_PARTS = st.text(LETTERS, min_size=1, max_size=30)
DOMAINS = st.sampled_from(
    ["example.com", "EXAMPLE.org", "straße.de", "Παράδειγμα.ΕΛ", "例え。jp", "xn--strae-oqa.de"]
)
ADDRESSES = st.builds("{}@{}".format, LOCAL_PARTS, DOMAINS)


def accepted(clean: Callable[[str], str], text: str) -> str | None:
    """The canonical form, or None if it is refused: an error of later checks is none of it."""
    try:
        return clean(text)
    except InvalidIdentifierError:
        return None


def is_refused(make: Callable[[str], str], text: str) -> bool:
    try:
        make(text)
    except InvalidIdentifierError:
        return True
    return False


# Addresses


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("alice@example.com", "alice@example.com"),
        ("  Alice.Smith+Work@EXAMPLE.Com\t\n", "alice.smith+work@example.com"),
        ("ÄRGER@example.com", "ärger@example.com"),
        ("a@straße.de", "a@xn--strae-oqa.de"),
        ("a@STRASSE.de", "a@strasse.de"),
        ("a@XN--STRAE-OQA.de", "a@xn--strae-oqa.de"),
        ("a@例え。jp", "a@xn--r8jz45g.jp"),
        ("a@ｅｘａｍｐｌｅ．com", "a@example.com"),
        # A capital sigma at the end of a label is a small one of any other kind in IDNA.
        ("a@ΕΛΛΑΣ.example", "a@xn--mxahsa5b.example"),
        ("a@ελλασ.example", "a@xn--mxahsa5b.example"),
        ("o'neil!#$%&'*+-/?=^_`{|}~@example.com", "o'neil!#$%&'*+-/?=^_`{|}~@example.com"),
        ("a@sub.example.test", "a@sub.example.test"),
    ],
)
def test_an_address_has_one_form(address: str, canonical: str) -> None:
    assert canonical_email(address) == canonical


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        # U+212A, the Kelvin sign, is K for Unicode itself.
        ("\u212aate@example.com", "kate@example.com"),
        ("\u212aate@\u212aelvin.com", "kate@kelvin.com"),
        # None of these is an i, an ss or an a: other people's addresses.
        ("İ@example.com", "i\u0307@example.com"),
        ("ı@example.com", "ı@example.com"),
        ("ß@example.com", "ß@example.com"),
        ("ａlice@example.com", "ａlice@example.com"),
        ("аlice@example.com", "аlice@example.com"),
        ("ﬁ@example.com", "ﬁ@example.com"),
    ],
)
def test_letters_that_look_alike_fold_only_where_unicode_says_so(
    address: str, canonical: str
) -> None:
    assert canonical_email(address) == canonical
    assert canonical_email(canonical) == canonical


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "@",
        "alice",
        "alice@",
        "@example.com",
        "a@localhost",
        "a@test",
        "a@com",
        "a@[127.0.0.1]",
        "a@[IPv6:::1]",
        "a@127.0.0.1",
        '"alice"@example.com',
        '"a b"@example.com',
        '"@"@example.com',
        "Alice <alice@example.com>",
        "<alice@example.com>",
        "alice(comment)@example.com",
        "a@b@example.com",
        "a＠example.com",
        "a b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example-.com",
        "a@example..com",
        "a@.example.com",
        "a@example.com.",
        "a@exa_mple.com",
        "a@xn--a.com",
        "a@example.local",
        "a@example.123",
        "a,b@example.com",
        "a;b@example.com",
        "a\r\nBcc: b@example.com",
        "a@example.com\r\nBcc: b@example.org",
        "a\x00@example.com",
        "a@exam\x00ple.com",
        "\ud800@example.com",
        "a@\ud800.com",
        "\u202ea@example.com",
        "a\u200b@\u200bexample.com",
        "=?utf-8?q?=0d=0aBcc=3aeve=40evil.example?=@example.com",
        "=?us-ascii?b?YQ==?=@example.com",
        "a=?b@example.com",
        "eve＠evil.example@example.com",
        "a（b）@example.com",
        "a＜b＞@example.com",
        "＝？utf-8?q?a?=@example.com",
    ],
    ids=ascii,
)
def test_what_mail_could_not_reach_is_refused(address: str) -> None:
    assert is_refused(canonical_email, address)
    assert canonical_login_identifier(address) in (None, "alice")


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        (f"{'a' * 64}@example.com", True),
        (f"{'a' * 65}@example.com", False),
        (f"{'a' * 300}@example.com", False),
        (f"{'ä' * 32}@example.com", True),
        (f"{'ä' * 33}@example.com", False),
        # 96 bytes as sent, 64 as stored.
        ("a\u0308" * 32 + "@example.com", True),
        (f"a@{'b' * 63}.com", True),
        (f"a@{'b' * 64}.com", False),
        (f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 60}", True),
        (f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 61}", False),
        # In IDNA's ASCII a domain is longer than in Unicode.
        (f"a@{'ü' * 56}.com", True),
        (f"a@{'ü' * 60}.com", False),
    ],
    ids=str,
)
def test_an_address_has_at_most_254_bytes_64_of_them_local(address: str, is_good: bool) -> None:
    """RFC 5321 §4.5.3.1, counted by RFC 6532 §3.4; labels by RFC 1035 §2.3.4."""
    assert is_refused(canonical_email, address) is not is_good


@given(ADDRESSES)
@example("ΑΣ@ΑΣ.gr")
@example("\u212a\u0301@example.com")
@example("\u1fbc\u0345@example.com")
def test_the_form_is_its_own_form(address: str) -> None:
    canonical = accepted(canonical_email, address)
    if canonical is not None:
        assert canonical_email(canonical) == canonical
        assert canonical_login_identifier(address) == canonical


@given(ADDRESSES)
def test_the_form_is_what_columns_and_mail_servers_take(address: str) -> None:
    canonical = accepted(canonical_email, address)
    if canonical is not None:
        local_part, _, domain = canonical.rpartition("@")
        assert len(canonical.encode()) <= EMAIL_MAX_LENGTH
        assert domain.isascii()
        assert domain == domain.lower()
        assert local_part == local_part.lower()
        assert unicodedata.is_normalized("NFC", canonical)
        assert canonical.isprintable()
        assert " " not in canonical


@given(ADDRESSES, st.sampled_from(["NFC", "NFD"]))
def test_equivalent_spellings_have_one_form(address: str, form: str) -> None:
    respelled = unicodedata.normalize(form, address)  # type: ignore[arg-type]
    assert canonical_login_identifier(respelled) == canonical_login_identifier(address)


ASCII_LOCAL_PARTS = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}", fullmatch=True).filter(
    lambda text: "=?" not in text
)


@given(ASCII_LOCAL_PARTS, DOMAINS)
def test_case_makes_no_difference(local_part: str, domain: str) -> None:
    forms = {
        canonical_email(f"{change(local_part)}@{domain}")
        for change in (str, str.upper, str.lower, str.swapcase, str.title)
    }
    assert len(forms) == 1


@given(st.text(st.sampled_from("äöüéñçøåþðжяюλδψàù"), min_size=1, max_size=20))
def test_case_makes_no_difference_beyond_ascii(local_part: str) -> None:
    address = f"{local_part}@example.com"
    assert canonical_email(address.upper()) == canonical_email(address)


@given(ANY_TEXT)
@example("@" * 1000)
@example("a@" + "\u0301" * 1000)
@example("\u0301" * 1000 + "@example.com")
@example("a@" + "1." * 200)
@example("a@" + "\u0661" * 200 + ".com")
@example("a@xn--" + "a" * 500)
def test_no_text_makes_it_fail(text: str) -> None:
    for address in (text, f"{text}@example.com", f"alice@{text}", f"alice@{text}.com"):
        with suppress(InvalidIdentifierError):
            canonical_email(address)
        canonical_login_identifier(address)


MARKS = "a" + "\u0301\u0323" * 100_000
"""To compose this, Python compares each mark with all those before it."""


def test_a_monstrous_text_is_refused_unread() -> None:
    began_at = time.process_time()
    assert is_refused(canonical_email, f"{MARKS}@example.com")
    assert is_refused(canonical_email, f"alice@{MARKS}.com")
    assert is_refused(canonical_email, MARKS)
    assert is_refused(canonical_username, MARKS)
    assert is_refused(clean_display_name, MARKS)
    # Without the limit it takes minutes; this is no measurement.
    assert time.process_time() - began_at < 5


# Usernames


@pytest.mark.parametrize(
    ("username", "canonical"),
    [
        ("bob", "bob"),
        ("Bob", "bob"),
        ("a.b", "a.b"),
        ("a-_.b", "a-_.b"),
        ("007", "007"),
        ("a" * 32, "a" * 32),
    ],
)
def test_a_username_is_lower_case(username: str, canonical: str) -> None:
    assert canonical_username(username) == canonical


@pytest.mark.parametrize(
    "username",
    [
        "",
        "a",
        "ab",
        "a" * 33,
        ".bob",
        "bob.",
        "-bob",
        "bob_",
        "b ob",
        " bob",
        "bob\n",
        "bob@example.com",
        "b@b",
        "bøb",
        "bo\u0308b",
        "\u212aate",
        "kat\u0131",
        "ＢＯＢ",
        "b\x00b",
        "b\ud800b",
        "bob\u200b",
        "b/b",
        "b:b",
    ],
    ids=ascii,
)
def test_other_usernames_are_refused(username: str) -> None:
    assert is_refused(canonical_username, username)


@given(ANY_TEXT)
def test_a_username_is_never_taken_for_an_address(text: str) -> None:
    canonical = accepted(canonical_username, text)
    if canonical is not None:
        assert canonical_username(canonical) == canonical
        assert canonical.isascii()
        assert "@" not in canonical
        assert 3 <= len(canonical) <= 32


@pytest.mark.parametrize(
    ("identifier", "canonical"),
    [
        (" Bob ", "bob"),
        (" Bob@Example.com ", "bob@example.com"),
        ("b", None),
        ("bob@", None),
        ("", None),
        ("\x00", None),
    ],
)
def test_any_submitted_identifier_has_one_stored_form_or_none(
    identifier: str, canonical: str | None
) -> None:
    assert canonical_login_identifier(identifier) == canonical


# Display names


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("Alice Liddell", "Alice Liddell"),
        ("  Alice\u3000", "Alice"),
        ("Jose\u0301", "José"),
        ("李小龍", "李小龍"),
        ("محمد", "محمد"),
        # The two joiners are part of how Persian and emoji are written.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("<script>", "<script>"),
        ("O'Neil; DROP TABLE users", "O'Neil; DROP TABLE users"),
        ("a" * 100, "a" * 100),
        ("🐎" * 100, "🐎" * 100),
        ("e\u0301" * 100, "é" * 100),
        (" " * 1000 + "a", "a"),
    ],
)
def test_a_name_is_trimmed_and_composed(name: str, clean: str) -> None:
    assert clean_display_name(name) == clean


@pytest.mark.parametrize(
    "name",
    [
        "",
        " \t\n",
        "a" * 101,
        "🐎" * 101,
        "e\u0301" * 101,
        # Cut to what could be normalized, these would pass.
        "a" + " " * 500 + "b",
        "a" + "\u0301" * 500,
        "a\x00b",
        "a\nb",
        "a\x1b[31mb",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "a\ud800b",
        "\u200b",
        "\u200d\u200c\ufeff",
        "\u3164",
        "\u2800\u2800",
        "\u0301",
    ],
    ids=ascii,
)
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    assert is_refused(clean_display_name, name)


# The members of Bidi_Control in PropList.txt of Unicode 14.
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("control", BIDI_CONTROLS, ids=ascii)
def test_a_name_cannot_turn_what_is_around_it(control: str) -> None:
    assert is_refused(clean_display_name, f"Alice{control}nimda")


@given(st.one_of(ANY_TEXT, st.text(LETTERS, min_size=90, max_size=110)))
def test_a_good_name_stays_as_it_is(text: str) -> None:
    clean = accepted(clean_display_name, text)
    if clean is not None:
        assert clean_display_name(clean) == clean
        assert 1 <= len(clean) <= DISPLAY_NAME_MAX_LENGTH
        assert clean == unicodedata.normalize("NFC", text.strip())
        assert not set(clean) & {"\x00", "\n", *BIDI_CONTROLS}


# Search keys

NAME_KEY_LENGTH = User.__table__.c.name_key.type.length


@pytest.mark.parametrize(
    ("text", "key"),
    [("ALICE", "alice"), ("Straße", "strasse"), ("Σίσυφος", "σίσυφοσ"), ("ﬃ", "ffi")],
)
def test_a_search_key_is_folded(text: str, key: str) -> None:
    assert search_key(text) == key


def test_no_character_folds_into_more_than_three() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    # The others fold to themselves: unassigned, private, half a pair.
    assigned = (c for c in characters if unicodedata.category(c) not in ("Cn", "Co", "Cs"))
    composed = (unicodedata.normalize("NFC", character) for character in assigned)
    assert max(len(search_key(text)) / len(text) for text in composed) == 3


@given(st.text(LETTERS, min_size=1, max_size=120))
@example("\ufb03" * 100)
@example("\u0390" * 100)
@example("\u1fb7" * 100)
@example("\ufb2c" * 100)
def test_a_search_key_fits_its_column(text: str) -> None:
    name = accepted(clean_display_name, text)
    assert name is None or len(search_key(name)) <= NAME_KEY_LENGTH


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("Alice Liddell", "ALICE LI"),
        ("Straße", "STRASS"),
        ("École", "e\u0301co"),
        ("İstanbul", "i\u0307st"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("李小龍", "李小"),
    ],
)
def test_the_beginning_of_a_name_finds_it(name: str, beginning: str) -> None:
    assert search_key(name).startswith(search_key(beginning))


# Beginnings of addresses

SHOWN = [
    "alice@example.com",
    "jürgen@münchen.de",
    "jürgen@shop.münchen.example",
    "a@日本語.jp",
    "a@ü.example",
    "a@xn.example",
    "straße@straße.example",
]


def fits(address: str, beginning: str) -> bool:
    """Return True if a search for a beginning finds a stored address."""
    return any(
        address.startswith(stored) and unicode_email(address).startswith(shown)
        for stored, shown in email_beginnings(beginning)
    )


@pytest.mark.parametrize("shown", SHOWN)
def test_an_address_is_found_by_each_of_its_beginnings_in_both_forms(shown: str) -> None:
    stored = canonical_email(shown)
    assert unicode_email(stored) == shown
    for form in (shown, stored, shown.upper() if "ß" not in shown else shown):
        for end in range(form.index("@") + 1, len(form) + 1):
            assert fits(stored, form[:end]), form[:end]


def test_an_address_is_found_by_no_beginning_of_another() -> None:
    for shown, other in permutations(SHOWN, 2):
        for end in range(shown.index("@") + 1, len(shown) + 1):
            beginning = shown[:end]
            stored = canonical_email(other)
            begins = any(form.startswith(beginning) for form in (other, stored))
            assert fits(stored, beginning) is begins, (other, beginning)


@pytest.mark.parametrize("domain", ["", " ", "com", "a b.example", "ü" * 70 + ".example", "xn--.x"])
def test_a_domain_that_no_address_has_is_none(domain: str) -> None:
    assert canonical_domain(domain) is None
    assert canonical_domain("MÜNCHEN.example") == "xn--mnchen-3ya.example"


@given(st.text(max_size=80))
def test_any_text_can_be_a_beginning(text: str) -> None:
    for stored, _ in email_beginnings(f"{text}@{text}"):
        assert "@" in stored


# In the database

STORED = [
    "alice@example.com",
    "İ@example.com",
    "ı@example.com",
    "i@example.com",
    "ß@example.com",
    "ss@example.com",
    "ａlice@example.com",
    "ÄRGER@example.com",
    "ΑΣ@example.com",
    "ασ@example.com",
    "😀@example.com",
]


@both_databases
@pytest.mark.usefixtures("context")
def test_every_database_keeps_and_distinguishes_the_same_addresses() -> None:
    addresses = [canonical_email(address) for address in STORED]
    moment = now()
    with transaction() as session:
        for address in addresses:
            session.add(User(email=address, created_at=moment, updated_at=moment))
    for address in addresses:
        found = read_all(select(User.email).where(User.email == address))
        assert [row.email for row in found] == [address]
    ordered = read_all(select(User.email).order_by(User.email))
    assert [row.email for row in ordered] == sorted(addresses, key=str.encode)
