"""Shapes of the signer's routes. A passphrase goes in and never out; a key goes out only as an encrypted file."""

from __future__ import annotations

from rest_framework import serializers

from apps.accounts.api.shapes import TotpCode
from apps.core.api.fields import Flag, Moment, Num, Text
from apps.core.api.shapes import Body, Shape
from apps.wallets.models import KeySource, Network


class KeyShape(Shape):
    """A live key as the desk knows it: by its address."""

    wallet_address = serializers.CharField(source="address")
    name = serializers.CharField(help_text="What the signer calls it.")
    source = serializers.ChoiceField(  # type: ignore[assignment]  # the wire's name, not DRF's own attribute
        choices=KeySource.values, help_text="env: the signer's environment."
    )
    network = serializers.ChoiceField(choices=Network.values, help_text="testnet: no real money.")
    loaded = Flag(help_text="The signer can sign with it now.")
    loaded_at = Moment(allow_null=True)


class HeldKeyShape(Shape):
    """A key as the signer holds it."""

    wallet_address = serializers.CharField(source="address")
    name = serializers.CharField()
    source = serializers.ChoiceField(choices=KeySource.values)  # type: ignore[assignment]  # as above
    locked = Flag(help_text="Its file is there; its passphrase was not given yet.")


class SignerShape(Shape):
    """What the signer holds, and what of its caps is used up; SOL of the last 24 hours."""

    keys = HeldKeyShape(many=True)
    network = serializers.CharField(help_text="mainnet, testnet, or unknown while its node does not answer.")
    max_trade_sol = Num(help_text="What one buy may spend.")
    max_day_sol = Num(help_text="What may be spent, fees included.")
    spent_day_sol = Num()
    risked_day_sol = Num(help_text="What sales may have lost at the most.")
    max_slippage_bps = serializers.IntegerField()
    max_fee_sol = Num(help_text="What one transaction may cost.")
    nodes = serializers.IntegerField(help_text="Nodes of its own.")
    programs = serializers.IntegerField(help_text="Venues a swap may go over; 0: not known yet.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What is wrong with its configuration.")


class _Passphrase(Text):
    def __init__(self) -> None:
        super().__init__(
            max_length=1024,
            trim_whitespace=False,
            help_text="Twelve characters or more.",
            style={"input_type": "password"},
        )


class NewKeyBody(Body):
    middleware_family = True
    name = Text(max_length=60)
    passphrase = _Passphrase()


class ImportKeyBody(Body):
    middleware_family = True
    file = serializers.DictField(help_text="An encrypted key file, as export hands it out.")


class UnlockBody(Body):
    middleware_family = True
    passphrase = _Passphrase()


class ExportBody(Body):
    middleware_family = True
    passphrase = _Passphrase()
    totp_code = TotpCode()


class KeyFileShape(Shape):
    """A key, encrypted under its passphrase: worth nothing without that."""

    wallet_address = serializers.CharField()
    file = serializers.DictField(help_text="Keep it as it is: the header is authenticated.")
