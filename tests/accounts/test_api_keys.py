"""API keys: made once, shown once, bounded by their scopes, gone at once when deleted."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts import selectors, tokens
from apps.accounts.models import ApiKey, AuditEntry
from apps.accounts.services import api_keys
from apps.core.money import SOL_MINT
from apps.signals.models import TradingSignal
from tests.apiclient import Api, api_of, api_with_key
from tests.factories import make_agent, make_api_key, make_user, wallet_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def api(user):
    return api_of(user)


def test_a_new_key_is_shown_once_and_kept_only_as_its_hash(api, user):
    answer = api.post("/api-keys", {"name": "Signals", "scopes": ["signals", "agents"]})
    assert answer.status == 201
    key = answer.json["key"]
    assert key.startswith("nex_") and len(key) == 36
    assert answer.json["prefix"] == key[:8]
    assert set(answer.json) >= {"id", "name", "key", "prefix", "scopes", "createdAt"}
    row = ApiKey.objects.get(pk=answer.json["id"])
    assert row.key_hash == hashlib.sha256(key.encode()).hexdigest()
    listed = api.get("/api-keys").json
    assert list(listed) == ["items"]
    assert "key" not in listed["items"][0]
    one = api.get(f"/api-keys/{row.pk}").json
    assert one["name"] == "Signals" and "key" not in one
    assert not AuditEntry.objects.filter(after__contains=key).exists()


def test_keys_are_listed_newest_first(api, user):
    for name in ("a", "b", "c"):
        api.post("/api-keys", {"name": name, "scopes": ["agents"]})
    assert [item["name"] for item in api.get("/api-keys").json["items"]] == ["c", "b", "a"]


def test_making_and_deleting_a_key_is_audited(api, user):
    key_id = api.post("/api-keys", {"name": "k", "scopes": ["agents"]}).json["id"]
    api.delete(f"/api-keys/{key_id}")
    entries = AuditEntry.objects.filter(object_id=key_id).order_by("id")
    assert [entry.action for entry in entries] == ["api_key.created", "api_key.deleted"]
    assert {entry.actor_id for entry in entries} == {user.pk}
    assert all(entry.request_id for entry in entries)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["agents"]}, "name"),
        ({"name": "", "scopes": ["agents"]}, "name"),
        ({"name": "x" * 101, "scopes": ["agents"]}, "name"),
        ({"name": 7, "scopes": ["agents"]}, "name"),
        ({"name": "a\0", "scopes": ["agents"]}, "name"),
        ({"name": "k"}, "scopes"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": "agents"}, "scopes"),
        ({"name": "k", "scopes": ["agents", "root"]}, "scopes.1"),
        ({"name": "k", "scopes": [5]}, "scopes.0"),
        ({"name": "k", "scopes": [None]}, "scopes.0"),
        ({"name": "k", "scopes": ["agents"], "expiresAt": "soon"}, "expiresAt"),
        ({"name": "k", "scopes": ["agents"], "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": "10.0.0.0/8"}, "allowedIps"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": ["10.0.0.0/8", "home"]}, "allowedIps.1"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": ["10.0.0.1/8"]}, "allowedIps.0"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": ["2001:db8::/129"]}, "allowedIps.0"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": [""]}, "allowedIps.0"),
        ({"name": "k", "scopes": ["agents"], "allowedIps": ["10.0.0.1"] * 51}, "allowedIps"),
    ],
)
def test_a_malformed_key_names_the_field(api, body, field):
    answer = api.post("/api-keys", body)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert answer.json["details"]["errors"][0]["field"] == field
    assert not ApiKey.objects.exists()


def test_duplicate_scopes_are_taken(api):
    assert api.post("/api-keys", {"name": "k", "scopes": ["agents", "agents"]}).json["scopes"] == ["agents"]


def test_a_key_works_in_both_headers_and_stops_at_once_when_deleted(api):
    made = api.post("/api-keys", {"name": "k", "scopes": ["agents"]}).json
    assert api_with_key(made["key"]).get("/agents").status == 200
    assert Api(authorization=f"Bearer {made['key']}").get("/agents").status == 200
    assert api.delete(f"/api-keys/{made['id']}").json["success"] is True
    assert api_with_key(made["key"]).get("/agents").code == "API_KEY_INVALID"


def test_another_users_key_is_not_found(api):
    foreign, _ = make_api_key(make_user())
    assert api.get(f"/api-keys/{foreign.pk}").code == "API_KEY_NOT_FOUND"
    assert api.delete(f"/api-keys/{foreign.pk}").status == 404
    assert ApiKey.objects.filter(pk=foreign.pk).exists()


@pytest.mark.parametrize(
    "key_id", ["1", "abc", "{6f1f0d1e-0000-4000-8000-000000000000}", "6f1f0d1e000040008000000000000000"]
)
def test_an_id_that_is_no_uuid_is_refused(api, key_id):
    answer = api.get(f"/api-keys/{key_id}")
    assert (answer.status, answer.code) == (400, "INVALID_ID")


def fresh_key(user, *scopes, **fields):
    _, secret = api_keys.create(user=user, actor=user, name="k", scopes=scopes or ("full_access",), **fields)
    return secret


def test_a_key_of_a_user_who_may_not_sign_in_is_refused(user):
    secret = fresh_key(user)
    user.is_active = False
    user.save()
    assert api_with_key(secret).get("/agents").code == "API_KEY_INVALID"


def test_expiry_is_kept_and_enforced(user):
    secret = fresh_key(user, expires_at=timezone.now() + timedelta(minutes=1))
    assert api_with_key(secret).get("/agents").status == 200
    ApiKey.objects.update(expires_at=timezone.now())
    assert api_with_key(secret).get("/agents").code == "API_KEY_EXPIRED"


def test_expiry_and_networks_are_taken_and_shown(api):
    until = (timezone.now() + timedelta(days=7)).replace(microsecond=0)
    body = {"name": "k", "scopes": ["agents"], "expiresAt": until.isoformat()}
    made = api.post("/api-keys", {**body, "allowedIps": ["10.0.0.0/8", "203.0.113.7", "2001:DB8::/48", "10.0.0.0/8"]})
    assert made.status == 201
    one = api.get(f"/api-keys/{made.json['id']}").json
    assert one["expiresAt"] == until.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert one["allowedIps"] == ["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/48"]
    assert AuditEntry.objects.get(action="api_key.created").after["allowed_ips"] == one["allowedIps"]
    nothings: list[dict[str, object]] = [{}, {"expiresAt": None}, {"allowedIps": []}]
    for nothing in nothings:
        free = api.post("/api-keys", {"name": "free", "scopes": ["agents"], **nothing}).json
        assert (free["expiresAt"], free["allowedIps"]) == (None, [])


@pytest.mark.parametrize("address", ["10.200.3.4", "203.0.113.7", "2001:db8::9", "::ffff:10.1.1.1"])
def test_a_key_bound_to_networks_works_from_them(user, address):
    secret = fresh_key(user, allowed_ips=["10.0.0.0/8", "203.0.113.7", "2001:db8::/48"])
    assert Api(address=address, **{"x-api-key": secret}).get("/agents").status == 200


@pytest.mark.parametrize("address", ["11.0.0.1", "203.0.113.8", "2001:db9::9", "::ffff:11.1.1.1", "unknown", ""])
def test_a_key_bound_to_networks_works_from_nowhere_else(user, address):
    secret = fresh_key(user, allowed_ips=["10.0.0.0/8", "203.0.113.7", "2001:db8::/48"])
    for headers in ({"x-api-key": secret}, {"authorization": f"Bearer {secret}"}):
        answer = Api(address=address, **headers).get("/agents")
        assert (answer.status, answer.code) == (403, "API_KEY_ADDRESS_DENIED")
    body = {"tokenAddress": SOL_MINT, "signalType": "T", "signalStrength": 3}
    assert Api(address=address, **{"x-api-key": secret}).post("/trading-signals", body).status == 403
    assert not TradingSignal.objects.exists()
    api_keys.write_uses()
    assert ApiKey.objects.get().last_used_at is None, "a refused use is no use"


def test_behind_a_proxy_the_proxys_word_counts_and_without_one_nobodys(user, settings):
    secret = fresh_key(user, allowed_ips=["10.0.0.0/8"])
    forged = {"x-api-key": secret, "x-forwarded-for": "10.0.0.1"}
    assert Api(address="198.51.100.1", **forged).get("/agents").status == 403
    settings.TRUST_PROXY = True
    assert Api(address="198.51.100.1", **forged).get("/agents").status == 200
    spoofed = {"x-api-key": secret, "x-forwarded-for": "10.0.0.1, 198.51.100.2"}
    assert Api(address="198.51.100.1", **spoofed).get("/agents").status == 403


def test_finding_out_who_calls_costs_one_query(user, django_assert_num_queries):
    secret = fresh_key(user, allowed_ips=["127.0.0.1"])
    with django_assert_num_queries(1):
        api_keys.identify(secret, address="127.0.0.1")
    claims = tokens.read(tokens.access_token(user, family_id=None, now=timezone.now()), tokens.Kind.ACCESS)
    with django_assert_num_queries(1):
        selectors.user_of(claims)


def test_a_malformed_x_api_key_is_ignored_and_the_bearer_used(user):
    assert api_of(user).get("/agents", **{"x-api-key": "nonsense"}).status == 200


def test_last_use_is_stored_after_the_answer_at_most_once_a_minute(user):
    secret = fresh_key(user)
    key = ApiKey.objects.get()
    assert key.last_used_at is None
    api_with_key(secret).get("/agents")
    api_keys.write_uses()
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    api_with_key(secret).get("/agents")
    api_keys.write_uses()
    key.refresh_from_db()
    assert key.last_used_at == first


READS = {
    "agents": ["/agents", "/agents/{agent}", "/agents/{agent}/config", "/agents/{agent}/performance"],
    "positions": [
        "/agents/{agent}/positions",
        "/agent-positions/{agent}",
        "/agent-positions/{agent}/take-profit-summary",
    ],
    "balances": ["/agent-balances?agentId={agent}"],
    "transactions": ["/agent-transactions?agentId={agent}"],
    "history": ["/agent-historical-swaps?agentId={agent}"],
    "signals": ["/trading-signals"],
}


@pytest.mark.parametrize("scope", [*READS, "full_access", "signals:create"])
def test_a_key_reads_exactly_what_its_scope_names(user, scope):
    agent = make_agent(user)
    api = api_with_key(fresh_key(user, scope))
    for owner, paths in READS.items():
        for path in paths:
            answer = api.get(path.format(agent=agent.pk))
            if scope in (owner, "full_access"):
                assert answer.status == 200, (scope, path)
            else:
                assert (answer.status, answer.code) == (403, "SCOPE_MISSING"), (scope, path)
                assert answer.json["scope"] == owner


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/agents"),
        ("PUT", "/agents/{agent}"),
        ("DELETE", "/agents/{agent}"),
        ("PUT", "/agents/{agent}/config"),
        ("PATCH", "/agents/{agent}/config"),
        ("POST", "/agent-positions/{agent}/{agent}/close"),
        ("POST", "/agents/{agent}/positions/{agent}/close"),
        ("POST", "/agent-transactions"),
        ("GET", "/wallets/agent/{agent}"),
        ("POST", "/wallets/{wallet}/reset"),
        ("POST", "/trades/execute"),
        ("GET", "/price-feeds/sol-usd"),
        ("GET", "/api-keys"),
        ("POST", "/api-keys"),
        ("GET", "/auth/me"),
        ("POST", "/auth/logout"),
        ("POST", "/auth/ws-ticket"),
        ("GET", "/trading-state"),
        ("PUT", "/trading-state"),
    ],
)
def test_full_access_does_not_reach_what_needs_a_person(user, method, path):
    agent = make_agent(user)
    url = path.format(agent=agent.pk, wallet=wallet_of(agent).address)
    secret = fresh_key(user)
    assert Api(authorization=f"Bearer {secret}").call(method, url, {}).code == "TOKEN_INVALID"
    assert api_with_key(secret).call(method, url, {}).code == "AUTH_HEADER_MISSING"


def test_a_key_for_creating_signals_creates_and_reads_nothing(user):
    api = api_with_key(fresh_key(user, "signals:create"))
    body = {"tokenAddress": "So11111111111111111111111111111111111111112", "signalType": "T", "signalStrength": 3}
    made = api.post("/trading-signals", body)
    assert made.status == 201
    assert api.get(f"/trading-signals/{made.json['id']}").code == "SCOPE_MISSING"
    assert api.delete(f"/trading-signals/{made.json['id']}").code == "SCOPE_MISSING"
    assert api.delete("/trading-signals/all?confirm=true").code == "SCOPE_MISSING"


def test_a_key_may_ask_for_the_head_of_what_it_may_read(user):
    api = api_with_key(fresh_key(user, "agents"))
    assert api.call("HEAD", "/agents").status == 200
    assert api.call("HEAD", "/trading-signals").status == 403


def test_a_key_sees_only_its_users_objects(user):
    foreign = make_agent(make_user())
    api = api_with_key(fresh_key(user))
    assert api.get("/agents").json == []
    assert api.get(f"/agents/{foreign.pk}").code == "AGENT_NOT_FOUND"
