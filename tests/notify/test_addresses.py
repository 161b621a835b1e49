"""Where webhooks never go: not to this machine, its network or a cloud's metadata, whatever a name resolves to."""

from __future__ import annotations

import asyncio
import socket

import pytest
from django.utils import timezone

from apps.notify.adapters import outgoing
from apps.notify.domain import addresses
from apps.notify.models import WebhookDelivery, WebhookEndpoint
from apps.notify.services import endpoints
from tests import factories
from tests.apiclient import api_of
from tests.notify.subscribing import alert, subscribe, tell

FORBIDDEN = [
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://localhost/",
    "https://a.localhost./",
    "https://metadata.google.internal/",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://168.63.129.16/",
    "http://example.com/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://example.com/#part",
    "https://exa mple.com/",
    "https://example.com\\@10.0.0.1/",
    "https:///path",
    "https://exämple.com/",
    "gopher://example.com/",
    "//example.com/",
    "",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_url_that_leads_inside_is_refused(url):
    assert addresses.refusal_of_url(url, allow_private=False) is not None


@pytest.mark.parametrize(
    "url", ["https://example.com/x?y=z", "https://example.com:8443/", "https://8.8.8.8/", "https://xn--exmple-cua.com"]
)
def test_a_url_in_the_open_is_taken(url):
    assert addresses.refusal_of_url(url, allow_private=False) is None


def test_on_one_s_own_machine_private_addresses_are_taken_but_no_passwords():
    assert addresses.refusal_of_url("http://127.0.0.1:9000/", allow_private=True) is None
    assert addresses.refusal_of_url("http://a:b@127.0.0.1:9000/", allow_private=True) is not None
    assert addresses.refusal_of_url("http://127.0.0.1:25/", allow_private=True) is not None


@pytest.mark.django_db
def test_the_api_refuses_private_addresses_where_they_are_not_allowed(settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    user = factories.make_user()
    refused = api_of(user).post("/webhook-endpoints", {"url": "https://10.0.0.1/", "events": ["alert"]})
    assert (refused.status, refused.code) == (400, "INVALID_URL")
    assert WebhookEndpoint.objects.count() == 0


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["10.1.2.3", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_resolves_inside_is_not_connected_to(receiver, settings, monkeypatch, answers):
    """The guard sees the address a socket is about to be connected to: it matters not what the name said before."""
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    port = int(receiver.url.split(":")[2].split("/")[0])

    def resolve(host: str, port: int, **_: object) -> list:
        families = [socket.AF_INET6 if ":" in answer else socket.AF_INET for answer in answers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (answer, port))
            for family, answer in zip(families, answers, strict=True)
        ]

    monkeypatch.setattr("apps.core.http.posts.socket.getaddrinfo", resolve)
    posted = asyncio.run(_post(f"https://hooks.example.com:{port}/"))
    assert (posted.status, posted.failure) == (None, "forbidden_address")
    assert receiver.received == []


async def _post(url: str):
    posted = await outgoing.post(url, body=b"{}", headers={})
    await outgoing._clients.pop(asyncio.get_running_loop()).close()
    return posted


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_was_allowed_once_is_not_told_when_it_is_not_any_more(receiver, desk_intake, send, settings):
    user = factories.make_user()
    subscribe(user, receiver.url)
    tell(alert(user))
    desk_intake.run()
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    send()
    assert receiver.received == []
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.last_error) == ("pending", "forbidden_address")


@pytest.mark.django_db(transaction=True)
def test_what_a_receiver_answers_is_cut_and_a_body_that_never_ends_is_left(receiver, send):
    user = factories.make_user()
    endpoint, _ = subscribe(user, receiver.url)
    receiver.body = b"x" * 200_000 + b"\0"
    endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    send()
    delivery = WebhookDelivery.objects.get()
    assert delivery.status == "delivered"
    assert len(delivery.response_excerpt) == 1024


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1:9/", None), ("http://no-such-host.invalid/", "unknown_host")],
)
def test_what_cannot_be_reached_is_a_failure_with_a_name(receiver, send, url, error):
    user = factories.make_user()
    WebhookEndpoint.objects.all().delete()
    endpoint, _ = subscribe(user, receiver.url)
    WebhookEndpoint.objects.update(url=url.replace(":9/", f":{_closed_port()}/"))
    endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    send()
    delivery = WebhookDelivery.objects.get()
    assert delivery.status == "pending"
    assert delivery.last_error == (error or "unreachable")
    assert delivery.due_at > timezone.now()


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
