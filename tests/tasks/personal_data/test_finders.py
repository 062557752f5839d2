"""Personal data: every kind is found in its spellings, what looks like it stays, and Polars never leaves out a text."""

from __future__ import annotations

import random
import string
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.personal_kinds import KINDS
from tasks.core.row import ROW_SCHEMA
from tasks.personal_data.finders import PersonalData, find_personal_data, kinds_in, replaced, suspect

DEFAULT = PersonalData()
WIDE = PersonalData(
    phone_regions=("GB", "US", "FR"), ip_addresses="all", names=("Zoë Müller", "Anna-Lena O'Neil", "Weiß")
)
LETTERS = string.ascii_letters + string.digits


def shown(text: str, chosen: PersonalData = DEFAULT) -> str:
    return replaced(text, chosen, lambda kind, _: f"[{kind}]")


def body(characters: str, length: int, seed: int = 5) -> str:
    """Random characters. Tests put keys together, for one that is written out would be taken for a leaked one."""
    return "".join(random.Random(seed).choices(characters, k=length))


KEYS = [
    "AKIA" + body("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    *("gh" + letter + "_" + body(LETTERS, 36) for letter in "pousr"),
    "github_" + "pat_" + body(LETTERS, 22) + "_" + body(LETTERS, 59),
    "glpat-" + body(LETTERS, 20),
    "xoxb-" + body(string.digits, 12) + "-" + body(LETTERS, 24),
    "https://hooks.slack.com/" + "services/T" + body(string.digits, 8) + "/B01234567/" + body(LETTERS, 24),
    "sk_" + "live_" + body(LETTERS, 24),
    "rk_" + "test_" + body(LETTERS, 24),
    "sk-" + body(LETTERS, 20) + "T3Blbk" + "FJ" + body(LETTERS, 20),
    "sk-" + "proj-" + body(LETTERS, 74),
    "sk-" + "ant-api03-" + body(LETTERS, 93) + "AA",
    "AIza" + body(LETTERS, 35),
    "GOCSPX-" + body(LETTERS, 28),
    "hf_" + body(LETTERS, 34),
    "npm_" + body(LETTERS, 36),
    "SG." + body(LETTERS, 22) + "." + body(LETTERS, 43),
    "eyJ" + body(LETTERS, 33) + ".eyJ" + body(LETTERS, 60) + "." + body(LETTERS, 43),
    body(string.digits, 10) + ":AA" + body(LETTERS, 33),
    "-----BEGIN RSA " + "PRIVATE KEY-----\n" + 12 * (body(LETTERS + "+/", 64) + "\n") + "-----END RSA PRIVATE KEY-----",
    "-----BEGIN "
    + "PRIVATE KEY-----\\n"
    + body(LETTERS, 64)
    + "\\n"
    + body(LETTERS, 40)
    + "=\\n-----END PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", KEYS, ids=[key[:12] for key in KEYS])
def test_a_key_is_found_by_its_issuers_format(key: str) -> None:
    assert shown(f"Use {key} for it.") == "Use [secret] for it."
    assert shown(f'{{"key": "{key}"}}') == '{"key": "[secret]"}'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password: hunter2", "password: [secret]"),
        ('{"password": "Pass1234"}', '{"password": "[secret]"}'),
        ("My password is correct-horse9.", "My password is [secret]."),
        ("PASSWORD=Tr0ub4dor&3", "PASSWORD=[secret]"),
        ("pwd := 's3cr3tpw'", "pwd := '[secret]'"),
        ("Passwort: Sommer2024!", "Passwort: [secret]!"),
        ("postgres://app:hunter2x@db.example.com/shop", "postgres://app:[secret]@db.example.com/shop"),
        ("DB_PASSWORD=hunter2x", "DB_PASSWORD=[secret]"),
        ('{"userPassword":"123456"}', '{"userPassword":"[secret]"}'),
        ("api_key = '" + body(LETTERS, 32) + "'", "api_key = '[secret]'"),
        ("aws_secret_access_key = " + body(LETTERS, 40), "aws_secret_access_key = [secret]"),
        ("Authorization: Bearer " + body(LETTERS, 40), "Authorization: Bearer [secret]"),
        ("-----BEGIN " + "PRIVATE KEY-----\n" + body(LETTERS, 64), "[secret]"),  # cut off
    ],
)
def test_a_secret_is_found_by_its_name(text: str, left: str) -> None:
    assert shown(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Password: required",
        "password: must have 8 characters",
        "The password is wrong.",
        "my password is not working since 2024",
        "password: <your password>",
        "password=os.environ['DB_PASSWORD']",
        "password: ********",
        "password = getpass()",
        "api_key = YOUR_API_KEY_GOES_HERE_1234",
        "api_key=os.getenv('KEY')",
        "postgres://user:password@localhost/db",
        "A token is a piece of a word.",
        "Bearer tokens are sent in a header.",
        "the risk-assessment-of-1234-Big-companies",
        "basic introduction-to-programming-101",
        "password: none",
        "Password: 8-16 characters",
        "token: <SECRET_1>",
        "a desk-" + body(string.ascii_lowercase, 30),
        "secret: " + "it rained",
        "digest " + body("0123456789abcdef", 64),
    ],
)
def test_talk_of_secrets_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("from 84.23.11.5 at noon", "from [ip] at noon"),
        ("http://84.23.11.5:8080/x", "http://[ip]:8080/x"),
        ("IP:203.0.113.7.", "IP:[ip]."),
        ("84.23.11.0/24", "[ip]/24"),
        ("[2001:db8::ff00:42:8329]", "[[ip]]"),
        ("2001:0db8:0000:0000:0000:ff00:0042:8329 said", "[ip] said"),
    ],
)
def test_a_public_ip_address_is_found(text: str, left: str) -> None:
    assert shown(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "version 2.14.10.33",
        "v1.2.3.4",
        "upgrade: version 12.0.10.5 to 12.0.11.0",
        "firmware 10.30.45.60",
        "Chrome/99.0.84.12",
        "1.2.3.4",
        "section 4.12.10.3",
        "DNS 8.8.8.8 or 1.1.1.1",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.0",
        "http://192.168.1.1",
        "10.0.0.17",
        "1.3.6.1.4.1.311.21",
        "300.1.2.3",
        "12:30:45",
        "00:1A:2B:3C:4D:5E",
        "std::vector",
        "beef::cafe",
        "x[2000::2]",
        "84.23.11",
        "libssl1.84.23.11.5",
        "84.23.11.5-beta",
    ],
)
def test_versions_sections_and_private_addresses_are_no_persons_ip(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "numpy>=1.24.3.102 or scipy~=1.11.4.7",
        "It runs Firefox 117.0.1.2",
        "Chrome/121.0.0.0 and Chrome 121.0.0.0",
        "at 09.15.30.55 the job stopped",
        "2.5.29.17 is an OID",
        "Oracle 12.2.0.1 beside SQL Server 13.0.16.5",
        "Kapitel 3.12.7.21",
        "driver 31.0.15.3623",
        "10.0.19045.3693",
        "frames 2024:03:07:18:45:12:00:25",
        "the web server has nginx 1.25.3.11",
        "lodash@4.17.20.11",
    ],
)
def test_four_numbers_that_may_be_a_version_or_a_time_stay(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("the server at 5.9.14.78 is slow", "the server at [ip] is slow"),
        ("5.9.14.78 does not answer", "[ip] does not answer"),
        ("ssh pi@5.9.14.78", "ssh pi@[ip]"),
        ("https://5.9.14.78/admin", "https://[ip]/admin"),
        ("5.9.14.78:8443 refuses", "[ip]:8443 refuses"),
        ('{"remote_addr": "5.9.14.78"}', '{"remote_addr": "[ip]"}'),
        ("if ip == '5.9.14.78':", "if ip == '[ip]':"),
        ('5.9.14.78 - - [10/Oct/2025:13:55:36] "GET /"', '[ip] - - [10/Oct/2025:13:55:36] "GET /"'),
        ("24.118.9.201 again", "[ip] again"),
        ("84.23.11.5, 5.9.14.78", "[ip], [ip]"),
        ("5.9.14.78 is blocked; why is 5.9.14.78 here?", "[ip] is blocked; why is [ip] here?"),
    ],
)
def test_four_numbers_are_an_address_where_they_are_called_one(text: str, left: str) -> None:
    assert shown(text) == left


def test_private_addresses_are_found_where_the_recipe_says_so() -> None:
    assert shown("192.168.1.20, fe80::1ff:fe23:4567:890a, 127.0.0.1", WIDE) == "[ip], [ip], 127.0.0.1"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Zoë Müller's bill", "[name]'s bill"),
        ("ZOË MÜLLER", "[name]"),
        ("Zoe\u0308 Mu\u0308ller’s", "[name]’s"),
        ("anna-lena o’neil", "[name]"),
        ("Anna Lena\nO'Neil", "[name]"),
        ("Herr WEISS, Frau Weiß", "Herr [name], Frau [name]"),
        ("Zoë Müllers", "Zoë Müllers"),
        ("Zoë", "Zoë"),
        ("weißt du", "weißt du"),
        ("zoë_müller", "zoë_müller"),
        ("Ｗｅｉß", "[name]"),
        ('{"to": "Zo\\u00eb\\nM\\u00fcller"}', '{"to": "[name]"}'),
        ('"\\nWeiß"', '"\\n[name]"'),
    ],
)
def test_listed_names_are_found_as_whole_words(text: str, left: str) -> None:
    assert shown(text, WIDE) == left
    assert pl.select(suspect(pl.lit(text), WIDE)).item() or left == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("jo@example.com", "[email]"),
        ("mailto:jo%40example.com", "mailto:[email]"),
        ("jo (at) example (dot) com", "[email]"),
        ("jo[at]mail.example.org!", "[email]!"),
        ("a.b-c_d+e'f@example.museum", "[email]"),
        ("<jo@example.com>", "<[email]>"),
        ('{"reply": "Write:\\njo@example.com"}', '{"reply": "Write:\\n[email]"}'),
        ("jo@example.com.", "[email]."),
        ('"jos\\u00e9@example.com"', '"[email]"'),
        ('"jo\\u0040example.com \\u002B44 20 7946 0958"', '"[email] [phone]"'),
        ("git@github.com:acme/shop.git", "git@github.com:acme/shop.git"),
        ("logo@2x.png", "logo@2x.png"),
        ("@types/node@18.0.0", "@types/node@18.0.0"),
        ("at 5 @ home", "at 5 @ home"),
        ("look (at) this", "look (at) this"),
        ("@jo on X", "@jo on X"),
    ],
)
def test_email_addresses(text: str, left: str) -> None:
    assert shown(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("4111 1111 1111 1111 12/27 123", "[card] 12/27 123"),
        ("4111 1111 1111 1111 1227", "[card] 1227"),
        ("4111.1111.1111.1111", "[card]"),
        ("4111\u00a01111\u00a01111\u00a01111", "[card]"),
        ("3782 822463 10005", "[card]"),
        ("4111111111111111 5500000000000004", "[card] [card]"),
        ("4111 1111 1111 1111 5500 0000 0000 0004", "[card] [card]"),
        ('"\\n4111111111111111"', '"\\n[card]"'),
        ("visa 4222222222222", "visa [card]"),
        ("6759 6498 2643 8453", "6759 6498 2643 8453"),  # Maestro's range is shared with many
        ("9400 4111 1111 1111 1111 00", "9400 4111 1111 1111 1111 00"),
        ("0.4111111111111111", "0.4111111111111111"),
        ("4111111111111111.0", "[card].0"),
        ("sum 4222222222222", "sum 4222222222222"),
        ("41 11 11 11 11 11 11 11", "41 11 11 11 11 11 11 11"),
        ("4111 1111-1111 1111", "4111 1111-1111 1111"),
    ],
)
def test_cards_among_other_numbers(text: str, left: str) -> None:
    assert shown(text, PersonalData(kinds=("card",))) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("DE89 3704 0044 0532 0130 00 please", "[iban] please"),
        ("IBAN:DE89370400440532013000", "IBAN:[iban]"),
        ("NO93 8601 1117 947 and", "[iban] and"),
        ("MT84MALT011000012345MTLCAST001S.", "[iban]."),
        ("fr1420041010050500013m02606", "[iban]"),
        ("DE89 3704 0044 0532 0130 01", "DE89 3704 0044 0532 0130 01"),
        ("XX89 3704 0044 0532 0130 00", "XX89 3704 0044 0532 0130 00"),
    ],
)
def test_ibans(text: str, left: str) -> None:
    assert shown(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("call me: 07700900461", "call me: [phone]"),
        ("07700900461", "[phone]"),
        ("447700900461 or 447911123456", "447700900461 or [phone]"),
        ("call09061701461now", "call[phone]now"),
        ('{"reply": "Ring:\\n07700 900461"}', '{"reply": "Ring:\\n[phone]"}'),
        ("(212) 736-5000", "[phone]"),
        ("cell 2127365000", "cell [phone]"),
        ("+1 (212) 736-5000", "[phone]"),
        ("06 12 34 56 78", "[phone]"),
        ("Phone: 2127365000 and 2127365001, or 2127365002", "Phone: [phone] and [phone], or [phone]"),
        ("Phone: 2127365000 and 3 boxes, 2127365001", "Phone: [phone] and 3 boxes, 2127365001"),
        ("order number 07911123456", "order number 07911123456"),
        ("2127365000", "2127365000"),
        ("cancelled 2127365000", "cancelled 2127365000"),
        ("= 36000 + 62426244000", "= 36000 + 62426244000"),
        ("(020 7946 0958)", "([phone])"),
    ],
)
def test_phones(text: str, left: str) -> None:
    assert shown(text, PersonalData(phone_regions=("GB", "US", "FR"))) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("07700 900461 07700 900462", "[phone] [phone]"),
        ("2 pcs 07700 900461 10-12 am", "2 pcs [phone] 10-12 am"),
        ("12 07700 900461", "12 [phone]"),
        ("020 7946 0958 0161 496 0782", "[phone] [phone]"),
        ("07700 900461 2026-01-02", "[phone] 2026-01-02"),
        ("07700 900461 4111 1111 1111 1111", "[phone] [card]"),
        ("+44 (0)20 7946 0958 10 am", "[phone] 10 am"),
        ("02 05 11 23 35 44 49", "02 05 11 23 35 44 49"),
        ("3704 0044 0532 0130 01", "3704 0044 0532 0130 01"),
    ],
)
def test_a_phone_with_only_a_blank_between_it_and_another_number(text: str, left: str) -> None:
    assert shown(text) == left


@pytest.mark.parametrize(
    ("region", "number"),
    [
        ("ES", "612 34 56 78"),
        ("IT", "338 123 4567"),
        ("DK", "32 12 34 56"),
        ("PL", "512 345 678"),
        ("US", "212-736-5000"),
        ("DE", "030 901820"),
    ],
)
def test_a_number_is_known_as_its_country_writes_it(region: str, number: str) -> None:
    assert shown(f"It is {number}, ok?", PersonalData(phone_regions=(region,))) == "It is [phone], ok?"


@pytest.mark.parametrize(
    "text",
    [
        "2025 03 07 18 45 12 job failed",
        "easting 0432 118765",
        "array 040 050 060 / 200 300 400",
        "0110 1001 0011",
        "chmod 0755 0644 0600",
        "0 1 1 0 1 0 0 1 0 1",
        "measured 031 029 033 030",
        "seed 0123456789",
        "HS code 0101.21.00",
        "open 0830-1745",
        "zip 02139-4307",
        "071.250 026.125",
        "on 04-05-25 11-30",
        ".0791112345",
        "thread id 07911123456",
        "0001234567",
    ],
)
@pytest.mark.parametrize("regions", [("GB",), ("GB", "US")])
def test_rows_of_digits_are_no_telephone_numbers(text: str, regions: tuple[str, ...]) -> None:
    assert shown(text, PersonalData(phone_regions=regions)) == text


def test_what_one_text_of_a_row_calls_an_order_or_a_version_is_one_in_the_others() -> None:
    def found(text: str, whole: str) -> list[str]:
        return [kind for kind, _ in find_personal_data(text, DEFAULT, whole=whole)]

    assert found("07911 123456 is on its way", "") == ["phone"]
    assert found("07911 123456 is on its way", "Where is order 07911 123456?") == []
    assert found("Ring 07911 123456", "Where is order 07911 123456?") == ["phone"]
    assert found("Use 84.23.11.5", "foo==84.23.11.5") == []
    assert found("Use 5.9.14.78", "Which IP, 5.9.14.78?") == ["ip"]


def test_a_number_in_one_piece_that_is_in_no_plan_may_be_an_orders() -> None:
    assert shown("It is 0791112345.") == "It is 0791112345."
    assert shown("Ring 0791112345.") == "Ring [phone]."


# ---------------------------------------------------------------- Polars and the finders agree

PIECES = [
    *KEYS,
    "jo@example.com",
    "jo%40example.com",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "07700 900461",
    "+44 20 7946 0958",
    "(212) 736-5000",
    "AB123456C",
    "NHS 943 476 5870",
    "536-90-4399",
    "84.23.11.5",
    "2001:db8::ff00:42:8329",
    "192.168.1.20",
    "password: hunter2",
    "Zoë Müller",
    "WEISS",
    "2026-01-02",
    "01.02.2026",
    "T",
    "\\n",
    "\n",
    " ",
    "",
    "-",
    "+",
    "0",
    ":",
    "£",
    '"',
    "HP-",
    "call",
    "5",
    "é",
    "|",
    ".",
    "@",
    "\\u00fc",
    "\\u0040",
    "\\u002B",
    "号",
    "Zo\\u00eb Müller",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
@example("2026-01-02T07700 900461")
@example("x\\nBSN: 111222333")
@example("+31-10-2012345")
def test_polars_never_leaves_out_a_text_in_which_something_is_found(text: str) -> None:
    for chosen in (DEFAULT, WIDE):
        assert pl.select(suspect(pl.lit(text), chosen)).item() or not find_personal_data(text, chosen)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), max_size=6).map(" ".join))
def test_what_is_found_lies_in_the_text_apart_and_in_order(text: str) -> None:
    spans = [span for _, span in find_personal_data(text, WIDE)]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert not find_personal_data(shown(text, WIDE), WIDE)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("卡号4111111111111111。", "卡号[card]。"),
        ("电话+8613800138000请", "电话[phone]请"),
        ("邮箱jo@example.com请回复", "邮箱[email]请回复"),
        ("jo@example.com으로", "[email]으로"),
        ("我是王伟，", "我是[name]，"),
        ("IP是84.23.11.5的", "IP是[ip]的"),
        ("โทร07700 900461ครับ", "โทร[phone]ครับ"),
    ],
)
def test_scripts_without_blanks_hide_nothing(text: str, left: str) -> None:
    chosen = PersonalData(names=("王伟",))
    assert shown(text, chosen) == left
    assert pl.select(suspect(pl.lit(text), chosen)).item()


def test_rows_are_told_their_kinds_in_their_order() -> None:
    def row(row_id: str, text: str, rejected: str | None = None, meta: str = "{}") -> dict[str, object]:
        messages = [{"role": "user", "content": text}]
        return {
            "row_id": row_id,
            "source": "x",
            "line": 1,
            "messages": messages,
            "rejected": rejected,
            "weights": None,
            "meta": meta,
        }

    frame = pl.DataFrame(
        [
            row("b", "jo@example.com or 020 7946 0958"),
            row("a", "nothing", "4111 1111 1111 1111"),
            row("c", "nothing"),
            row("d", "nothing", meta='{"phone": 447700900461, "password": "hunter2"}'),
            row("e", "order 48213077"),
        ],
        schema=ROW_SCHEMA,
    )
    assert kinds_in(frame).to_list() == ["email, phone", "card", None, "secret", None]
    assert kinds_in(frame, PersonalData(kinds=("phone",))).to_list() == ["phone", None, None, None, None]


def test_settings_name_what_is_wrong() -> None:
    for wrong, told in [
        ({"phone_regions": ("UK",)}, "not a country: UK"),
        ({"id_countries": ("XX",)}, "not a country: XX; allowed: AT, AU"),
        ({"names": ("J",)}, "no name: 'J'"),
        ({"kinds": ("emial",)}, "email"),
        ({"ip_addresses": "some"}, "public"),
    ]:
        with pytest.raises(ValidationError, match=told):
            PersonalData(**wrong)
    assert set(KINDS) == {"secret", "email", "iban", "card", "id", "ip", "phone", "name"}
