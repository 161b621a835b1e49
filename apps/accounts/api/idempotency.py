"""The Idempotency-Key header, as a decorator of the POST methods that move money or create signals."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.authentication import caller
from apps.accounts.services import idempotency
from apps.core.api import wire
from apps.core.api.errors import body_of
from apps.core.errors import SoldeskError

Post = Callable[..., Response]
REPLAYED = "Idempotent-Replayed"


def idempotent(*, books_at_once: bool) -> Callable[[Post], Post]:
    """Honour Idempotency-Key on a POST.

    With `books_at_once` the request's work and the kept answer are one transaction. Without it the work may wait on the
    outside, and must itself refuse to be done twice.
    """

    def decorate(post: Post) -> Post:
        @wraps(post)
        def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.META.get("HTTP_IDEMPOTENCY_KEY")
            if not key:
                return post(view, request, *args, **kwargs)
            print_of_request = idempotency.fingerprint(request.method or "", request.path, request.data)
            claim = idempotency.claim(user=caller(request), key=key, fingerprint=print_of_request)
            if isinstance(claim, idempotency.Answer):
                return _given_before(claim)
            run = _run_in_one_transaction if books_at_once else _run
            return run(claim, lambda: post(view, request, *args, **kwargs))

        return answer

    return decorate


def _run(claim: int, work: Callable[[], Response]) -> Response:
    try:
        response = work()
    except SoldeskError as error:
        _keep_refusal(claim, error)
        raise
    except BaseException:
        idempotency.release(claim)
        raise
    if response.status_code == 202:
        idempotency.release(claim)  # not the final answer: asking again joins what is under way
    else:
        idempotency.keep(claim, _answer_of(response))
    return response


def _run_in_one_transaction(claim: int, work: Callable[[], Response]) -> Response:
    try:
        with transaction.atomic():
            response = work()
            idempotency.keep(claim, _answer_of(response))
    except SoldeskError as error:
        _keep_refusal(claim, error)
        raise
    except BaseException:
        idempotency.release(claim)
        raise
    return response


def _keep_refusal(claim: int, error: SoldeskError) -> None:
    """A refusal by a rule is an answer like any other; what may pass (limits, outages) is tried again."""
    if error.status >= 500 or error.status == 429:
        idempotency.release(claim)
    else:
        idempotency.keep(claim, idempotency.Answer(error.status, wire.encode(body_of(error))))


def _answer_of(response: Response) -> idempotency.Answer:
    return idempotency.Answer(response.status_code, wire.encode(response.data))


def _given_before(answer: idempotency.Answer) -> Response:
    return Response(wire.Raw(answer.body), status=answer.status, headers={REPLAYED: "true"})
