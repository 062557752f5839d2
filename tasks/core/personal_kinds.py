"""The kinds of personal data by name, apart from their finders, for those who only speak of them
(report, contracts).
"""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["secret", "email", "iban", "card", "id", "ip", "phone", "name"]
# In this order: a secret may hold an address, an address a number, an IBAN a card's digits, a card a telephone's.
KINDS: tuple[Kind, ...] = get_args(Kind)
