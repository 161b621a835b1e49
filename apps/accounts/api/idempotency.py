"""The Idempotency-Key header, as a decorator of the POST methods that move money or create signals."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.authentication import caller
from apps.accounts.services import idempotency
from apps.core.api import wire
from apps.core.api.errors import body_of
from apps.core.errors import Conflict, SoldeskError

Post = Callable[..., Response]
REPLAYED = "Idempotent-Replayed"


class Once:
    """What a request may do so that its repeat, under the same key, finds it done; without a key, nothing."""

    def __init__(self, claim: idempotency.Claim | None = None) -> None:
        self._claim = claim
        self.kept = False

    @property
    def begun(self) -> Any:
        """What an earlier run of this request began; None for a first run."""
        return None if self._claim is None else self._claim.begun

    def begin(self, work: Any) -> None:
        """Remember, in the transaction that begins it, what a repeat goes on with."""
        if self._claim is not None:
            idempotency.begin(self._claim, work)

    def keep(self, data: Any, status: int = 200) -> None:
        """Keep the answer in the transaction that books what it tells of; the view still has to give it."""
        if self._claim is not None:
            idempotency.keep(self._claim, idempotency.Answer(status, wire.encode(data)))
            self.kept = True


def once_of(request: Request) -> Once:
    """Return what the request may do about its key."""
    once = getattr(request, "once", None)
    return once if isinstance(once, Once) else Once()


def idempotent(*, books_at_once: bool) -> Callable[[Post], Post]:
    """Honour Idempotency-Key on a POST.

    With `books_at_once` the request's work and the kept answer are one transaction. Without it the work may wait on the
    outside: it must itself refuse to be done twice, or keep its answer where it books (`once_of`).
    """

    def decorate(post: Post) -> Post:
        @wraps(post)
        def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.META.get("HTTP_IDEMPOTENCY_KEY")
            if key is None:
                return post(view, request, *args, **kwargs)
            print_of_request = idempotency.fingerprint(request.method or "", request.path, request.data)
            claim = idempotency.claim(user=caller(request), key=key, fingerprint=print_of_request)
            if isinstance(claim, idempotency.Answer):
                return _given_before(claim)
            run = _run_in_one_transaction if books_at_once else _run
            request.once = once = Once(claim)  # type: ignore[attr-defined]
            return run(claim, once, lambda: post(view, request, *args, **kwargs))

        return answer

    return decorate


def _run(claim: idempotency.Claim, once: Once, work: Callable[[], Response]) -> Response:
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
    elif not once.kept:
        with suppress(Conflict):  # taken over meanwhile: the answer to keep is the other run's, what was done is done
            idempotency.keep(claim, _answer_of(response))
    return response


def _run_in_one_transaction(claim: idempotency.Claim, _once: Once, work: Callable[[], Response]) -> Response:
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


def _keep_refusal(claim: idempotency.Claim, error: SoldeskError) -> None:
    """A refusal by a rule is an answer like any other; what may pass (limits, outages) is tried again."""
    if error.status >= 500 or error.status == 429:
        idempotency.release(claim)
        return
    with suppress(Conflict):  # taken over meanwhile: the answer is the other run's to keep
        idempotency.keep(claim, idempotency.Answer(error.status, wire.encode(body_of(error))))


def _answer_of(response: Response) -> idempotency.Answer:
    return idempotency.Answer(response.status_code, wire.encode(response.data))


def _given_before(answer: idempotency.Answer) -> Response:
    return Response(wire.Raw(answer.body), status=answer.status, headers={REPLAYED: "true"})
