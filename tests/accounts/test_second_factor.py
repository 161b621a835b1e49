"""Second factors: nobody without one sees a difference; with one a password alone opens nothing; a code counts once."""

import base64
from datetime import timedelta
from threading import Barrier, Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken

from apps.accounts import sealing, tokens
from apps.accounts.errors import Locked, SecondFactorOff, TotpRequired, WrongCode
from apps.accounts.models import AuditEntry, RefreshFamily, SecondFactor, User
from apps.accounts.services import second_factor, sign_in
from tests.apiclient import Api, api_of, api_with_key
from tests.factories import (
    PASSWORD,
    make_api_key,
    make_operator,
    make_second_factor,
    make_session,
    make_user,
    totp_code,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


def login(user, code=None, password=PASSWORD):
    body = {"email": user.email, "password": password}
    return Api().post("/auth/login", body if code is None else {**body, "totpCode": code})


def wrong_code(user):
    """Six digits that no half minute near now shows."""
    near = {totp_code(user, steps=steps) for steps in range(-4, 5)}
    return next(code for code in (f"{number:06d}" for number in range(20)) if code not in near)


def actions():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_the_way_from_nothing_to_a_second_factor_and_back(user):
    api = api_of(user)
    assert api.get("/auth/totp").json == {"enabled": False, "required": False, "recoveryCodesLeft": 0}
    begun = api.post("/auth/totp", {"password": PASSWORD})
    assert begun.status == 201
    url = urlsplit(begun.json["otpauthUrl"])
    assert (url.scheme, url.netloc, unquote(url.path)) == ("otpauth", "totp", f"/Soldesk:{user.email}")
    assert parse_qs(url.query)["secret"] == [begun.json["secret"]]
    assert parse_qs(url.query)["issuer"] == ["Soldesk"]
    assert login(user).status == 200, "what is not confirmed yet is not asked for"

    code = f"{totp(base64.b32decode(begun.json['secret'])):06d}"
    confirmed = api.post("/auth/totp/confirm", {"code": code})
    assert confirmed.status == 200
    recovery = confirmed.json["recoveryCodes"]
    assert len(set(recovery)) == 10
    SecondFactor.objects.update(last_t=-1)
    answer = login(user, totp_code(user))
    assert answer.status == 200 and set(answer.json) == {"accessToken", "refreshToken", "user"}
    api = Api(authorization=f"Bearer {answer.json['accessToken']}")
    assert api.get("/auth/totp").json == {"enabled": True, "required": False, "recoveryCodesLeft": 10}

    off = api.delete("/auth/totp", {"password": PASSWORD, "totpCode": recovery[0]})
    assert off.json["success"] is True
    assert login(user).status == 200
    assert not SecondFactor.objects.exists() and not StaticToken.objects.exists()
    assert actions() == ["user.second_factor.on", "user.recovery_code.used", "user.second_factor.off"]


def test_a_right_password_alone_asks_for_the_code_and_opens_nothing(user):
    make_second_factor(user)
    answer = login(user)
    assert (answer.status, answer.code) == (401, "TOTP_REQUIRED")
    assert login(user, "").code == login(user, "  ").code == "TOTP_REQUIRED"
    assert not RefreshFamily.objects.exists()
    user.refresh_from_db()
    assert user.failed_logins == 0, "a client that does not know of codes yet locks nobody out"


def test_a_wrong_password_does_not_tell_that_there_is_a_second_factor(user):
    make_second_factor(user)
    plain = make_user()
    assert login(user, password="no").json == login(plain, password="no").json
    assert login(user, totp_code(user), password="no").code == "INVALID_CREDENTIALS"


def test_a_code_sent_by_who_has_no_second_factor_is_ignored(user):
    assert login(user, "123456").status == 200


def test_wrong_codes_count_for_the_lockout_like_wrong_passwords(user):
    make_second_factor(user)
    wrong = wrong_code(user)
    first = login(user, wrong)
    assert (first.status, first.code) == (401, "TOTP_INVALID")
    assert [login(user, password="no").status for _ in range(2)] == [401] * 2
    assert [login(user, wrong).status for _ in range(2)] == [401] * 2
    answer = login(user, totp_code(user))
    assert (answer.status, answer.code) == (423, "ACCOUNT_LOCKED")
    assert not RefreshFamily.objects.exists()


def test_a_right_password_between_wrong_codes_does_not_start_the_count_again(user):
    make_second_factor(user)
    wrong = wrong_code(user)
    for _ in range(5):
        assert login(user).code == "TOTP_REQUIRED"
        assert login(user, wrong).code == "TOTP_INVALID"
    assert login(user).status == 423


def test_a_whole_sign_in_starts_the_count_again(user):
    make_second_factor(user)
    for _ in range(4):
        login(user, wrong_code(user))
    assert login(user, totp_code(user)).status == 200
    user.refresh_from_db()
    assert user.failed_logins == 0


@pytest.mark.parametrize("code", ["12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "0x1234", "1e5000", " ' or 1=1"])
def test_what_is_no_code_is_a_wrong_one(user, code):
    make_second_factor(user)
    assert login(user, code).code == "TOTP_INVALID"
    assert not RefreshFamily.objects.exists()


def test_a_code_counts_once(user):
    make_second_factor(user)
    code = totp_code(user)
    assert login(user, code).status == 200
    assert login(user, code).code == "TOTP_INVALID"
    assert login(user, totp_code(user, steps=-1)).code == "TOTP_INVALID", "nor does one from before it"
    assert RefreshFamily.objects.count() == 1


def test_the_code_that_confirmed_does_not_sign_in_as_well(user):
    second_factor.begin(user=user)
    code = totp_code(user)
    second_factor.confirm(user=user, code=code, keep=None)
    assert login(user, code).code == "TOTP_INVALID"


def test_a_code_may_be_written_with_spaces_and_a_recovery_code_in_any_case(user):
    codes = make_second_factor(user)
    code = totp_code(user)
    assert login(user, f" {code[:3]} {code[3:]} ").status == 200
    assert login(user, codes[0].upper().replace("-", " ")).status == 200


def test_a_recovery_code_signs_in_once(user):
    codes = make_second_factor(user)
    assert login(user, codes[3]).status == 200
    assert login(user, codes[3]).code == "TOTP_INVALID"
    assert login(user, codes[4]).status == 200
    assert second_factor.codes_left(user) == 8
    used = AuditEntry.objects.filter(action="user.recovery_code.used").order_by("id")
    assert [entry.after["recovery_codes"] for entry in used] == [9, 8]


def test_recovery_codes_of_another_user_do_not_count(user):
    codes = make_second_factor(make_user())
    make_second_factor(user)
    assert login(user, codes[0]).code == "TOTP_INVALID"


def test_new_recovery_codes_replace_the_old_ones(user):
    old = make_second_factor(user)
    answer = api_of(user).post("/auth/totp/recovery-codes", {"totpCode": totp_code(user)})
    assert answer.status == 200 and len(answer.json["recoveryCodes"]) == 10
    assert login(user, old[0]).code == "TOTP_INVALID"
    assert login(user, answer.json["recoveryCodes"][0]).status == 200
    assert AuditEntry.objects.filter(action="user.recovery_codes.replaced").count() == 1


def test_secrets_and_recovery_codes_are_not_readable_in_the_database(user):
    begun = second_factor.begin(user=user)
    secret = base64.b32decode(begun.secret)
    codes = second_factor.confirm(user=user, code=f"{totp(secret):06d}", keep=None)
    device = SecondFactor.objects.get()
    assert device.bin_key == secret
    assert secret.hex() not in device.key and begun.secret not in device.key
    kept = " ".join(StaticToken.objects.values_list("token", flat=True))
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    logged = str(list(AuditEntry.objects.values_list("before", "after")))
    assert begun.secret not in logged and not any(code in logged for code in codes)


def test_a_sealed_secret_opens_only_for_its_owner_and_with_this_desks_key(user, settings):
    sealed = sealing.seal(b"secret", bound_to="a")
    assert sealing.unseal(sealed, bound_to="a") == b"secret"
    for text, owner in ((sealed, "b"), (sealed[:-4] + "AAAA", "a"), ("", "a"), ("no base64 \x00", "a")):
        with pytest.raises(sealing.Unreadable):
            sealing.unseal(text, bound_to=owner)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-key-of-enough-characters"
    with pytest.raises(sealing.Unreadable):
        sealing.unseal(sealed, bound_to="a")
    settings.SECRET_KEY_FALLBACKS = [old]
    assert sealing.unseal(sealed, bound_to="a") == b"secret"


def test_setting_up_asks_for_the_password_and_counts_wrong_ones(user):
    api = api_of(user)
    for _ in range(5):
        answer = api.post("/auth/totp", {"password": "no"})
        assert (answer.status, answer.code) == (400, "WRONG_PASSWORD")
    assert api.post("/auth/totp", {"password": PASSWORD}).code == "ACCOUNT_LOCKED"
    assert api.post("/auth/totp", {}).code == "INVALID_PASSWORD"
    assert not SecondFactor.objects.exists()


def test_a_second_one_is_not_set_up_beside_the_first(user):
    make_second_factor(user)
    api = api_of(user)
    key = SecondFactor.objects.get().key
    assert api.post("/auth/totp", {"password": PASSWORD}).code == "TOTP_ALREADY_ON"
    assert api.post("/auth/totp/confirm", {"code": totp_code(user)}).code == "TOTP_ALREADY_ON"
    assert SecondFactor.objects.get().key == key


def test_beginning_anew_forgets_the_secret_that_waited(user):
    api = api_of(user)
    first = api.post("/auth/totp", {"password": PASSWORD}).json["secret"]
    second = api.post("/auth/totp", {"password": PASSWORD}).json["secret"]
    assert first != second
    assert api.post("/auth/totp/confirm", {"code": f"{totp(base64.b32decode(first)):06d}"}).code == "TOTP_INVALID"
    assert api.post("/auth/totp/confirm", {"code": f"{totp(base64.b32decode(second)):06d}"}).status == 200


def test_confirming_needs_a_beginning_and_the_right_code(user):
    api = api_of(user)
    assert api.post("/auth/totp/confirm", {"code": "123456"}).code == "TOTP_NOT_SET_UP"
    api.post("/auth/totp", {"password": PASSWORD})
    assert api.post("/auth/totp/confirm", {"code": wrong_code(user)}).code == "TOTP_INVALID"
    assert login(user).status == 200
    assert actions() == []


def test_turning_on_ends_every_other_session(user):
    here, there = login(user).json, login(user).json
    api = Api(authorization=f"Bearer {here['accessToken']}")
    api.post("/auth/totp", {"password": PASSWORD})
    assert api.post("/auth/totp/confirm", {"code": totp_code(user)}).status == 200
    assert api.get("/auth/me").status == 200
    assert Api().post("/auth/refresh", {"refreshToken": there["refreshToken"]}).code == "SESSION_ENDED"


def test_turning_off_needs_password_and_code(user):
    make_second_factor(user)
    api = api_of(user)
    assert api.delete("/auth/totp", {"password": "no", "totpCode": totp_code(user)}).code == "WRONG_PASSWORD"
    assert api.delete("/auth/totp", {"password": PASSWORD, "totpCode": wrong_code(user)}).code == "TOTP_INVALID"
    assert api.delete("/auth/totp", {"password": PASSWORD}).code == "INVALID_TOTP_CODE"
    assert login(user).code == "TOTP_REQUIRED"
    assert api_of(make_user()).delete("/auth/totp", {"password": PASSWORD, "totpCode": "1"}).code == "TOTP_NOT_SET_UP"


def test_an_api_key_reaches_no_second_factor(user):
    make_second_factor(user)
    _, secret = make_api_key(user)
    api = api_with_key(secret)
    assert api.get("/agents").status == 200, "keys are for programs: they need no code"
    assert api.get("/auth/totp").status == 401
    assert api.delete("/auth/totp", {"password": PASSWORD, "totpCode": totp_code(user)}).status == 401
    assert login(user).code == "TOTP_REQUIRED"


def test_stepping_up_takes_a_fresh_code_and_counts_wrong_ones(user):
    with pytest.raises(SecondFactorOff):
        second_factor.verify(user, "123456")
    make_second_factor(user)
    with pytest.raises(TotpRequired):
        second_factor.verify(user, None)
    code = totp_code(user)
    second_factor.verify(user, code)
    with pytest.raises(WrongCode):
        second_factor.verify(user, code)
    user.refresh_from_db()
    assert user.failed_logins == 1
    for _ in range(4):
        with pytest.raises(WrongCode):
            second_factor.verify(user, wrong_code(user))
    with pytest.raises(Locked):
        second_factor.verify(user, totp_code(user, steps=1))


def test_an_operators_reset_takes_it_away_and_ends_sessions(user):
    operator = make_operator()
    make_second_factor(user)
    pair = login(user, totp_code(user)).json
    second_factor.reset(user=user, actor=operator)
    assert Api().post("/auth/refresh", {"refreshToken": pair["refreshToken"]}).code == "SESSION_ENDED"
    assert login(user).status == 200
    entry = AuditEntry.objects.get(action="user.second_factor.reset")
    assert (entry.actor_id, entry.object_id) == (operator.pk, str(user.pk))
    with pytest.raises(SecondFactorOff):
        second_factor.reset(user=user, actor=operator)


def test_django_s_own_sign_in_cannot_go_around_it():
    operator = make_operator()
    make_second_factor(operator)
    assert not Client().login(username=operator.email, password=PASSWORD)


def test_a_voucher_ends_with_its_time_its_password_and_its_user(user, settings):
    make_second_factor(user)
    voucher = sign_in.first_step(email=user.email, password=PASSWORD)
    assert isinstance(voucher, str)
    with pytest.raises(Exception, match="wrong"):
        sign_in.finish_second_step(voucher=voucher[:-2] + "xx", code=totp_code(user))
    changed = User.objects.get(pk=user.pk)
    changed.set_password("another-long-phrase")
    changed.save()
    with pytest.raises(Exception, match="wrong"):
        sign_in.finish_second_step(voucher=voucher, code=totp_code(user))
    voucher = sign_in.first_step(email=user.email, password="another-long-phrase")
    assert isinstance(voucher, str)
    assert sign_in.finish_second_step(voucher=voucher, code=totp_code(user)) == user


class TestWhereOperatorsMustHaveOne:
    """REQUIRE_STAFF_TOTP."""

    @pytest.fixture(autouse=True)
    def demanded(self, settings):
        settings.REQUIRE_STAFF_TOTP = True

    def test_an_operator_without_one_does_not_sign_in_to_the_api(self):
        operator = make_operator()
        answer = login(operator)
        assert (answer.status, answer.code) == (403, "TOTP_SETUP_REQUIRED")
        assert login(operator, password="no").code == "INVALID_CREDENTIALS", "only the right password is told why"
        assert not RefreshFamily.objects.exists()

    def test_others_and_operators_who_have_one_are_not_troubled(self, user):
        operator = make_operator()
        make_second_factor(operator)
        assert login(user).status == 200
        assert login(operator, totp_code(operator)).status == 200

    def test_a_session_of_before_is_not_refreshed(self):
        operator = make_operator()
        family = make_session(operator)
        token = tokens.refresh_token(operator, family=family, generation=0)
        assert Api().post("/auth/refresh", {"refreshToken": token}).code == "SESSION_ENDED"

    def test_in_the_admin_they_get_no_further_than_to_set_it_up(self):
        operator = make_operator()
        browser = Client()
        browser.force_login(operator)
        for path in ("/admin/", "/admin/accounts/user/", "/desk/", "/admin/password_change/"):
            answer = browser.get(path)
            assert (answer.status_code, answer["Location"]) == (302, "/admin/me/second-factor/"), path
        assert browser.get("/api/v1/agents").json()["code"] == "TOTP_SETUP_REQUIRED"
        assert browser.get("/admin/me/second-factor/").status_code == 200
        make_second_factor(operator)
        browser.force_login(operator)
        assert browser.get("/admin/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_code_sent_eight_times_at_once_signs_in_once():
    user = make_user()
    make_second_factor(user)
    code, start, answers = totp_code(user), Barrier(8), []

    def attempt():
        start.wait()
        try:
            answers.append(login(user, code).status)
        finally:
            connection.close()

    _at_once(attempt, 8)
    assert answers.count(200) == 1
    assert RefreshFamily.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_wrong_codes_at_once_lock_after_exactly_five():
    user = make_user()
    make_second_factor(user)
    wrong, start, answers = wrong_code(user), Barrier(20), []

    def attempt():
        start.wait()
        try:
            answers.append(login(user, wrong).status)
        finally:
            connection.close()

    _at_once(attempt, 20)
    assert sorted(answers) == [401] * 5 + [423] * 15
    user = User.objects.get(pk=user.pk)
    assert user.failed_logins == 5 and user.locked_until > timezone.now() + timedelta(minutes=14)


@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_once_give_one_set_of_recovery_codes():
    user = make_user()
    second_factor.begin(user=user)
    code, start, given = totp_code(user), Barrier(4), []

    def attempt():
        start.wait()
        try:
            given.append(api_of(user).post("/auth/totp/confirm", {"code": code}).status)
        finally:
            connection.close()

    _at_once(attempt, 4)
    assert sorted(given) == [200, 409, 409, 409]
    assert second_factor.codes_left(user) == 10


def _at_once(work, number):
    threads = [Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
