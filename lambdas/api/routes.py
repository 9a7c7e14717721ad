"""Which request does what: one function per method and path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from api import idempotency, payloads, preconditions
from api.auth import Authenticate
from api.gateway import Request, Response
from api.listing import Listing
from api.order import NEW, Order, to_json
from api.orders import Orders, Stored
from api.payloads import OrderPatch
from api.problems import Problem, not_found

JSON: Mapping[str, str] = {"content-type": "application/json"}
EMPTY: Mapping[str, str] = {}

_PATH = re.compile(r"/v1/orders(?:/(?P<order_id>[A-Za-z0-9][A-Za-z0-9_-]{0,63}))?")

Endpoint = Callable[["Call"], "Outcome"]


@dataclass(frozen=True)
class Call:
    """A request that has been let through and whose path is known."""

    request: Request
    client: str
    order_id: str


@dataclass(frozen=True)
class Outcome:
    """An answer, with what is worth a metric and a field in the log."""

    response: Response
    metric: str = ""
    order_id: str = ""


class Api:
    def __init__(
        self,
        authenticate: Authenticate,
        orders: Orders,
        listing: Listing,
        now: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._authenticate = authenticate
        self._orders = orders
        self._listing = listing
        self._now = now
        self._new_id = new_id
        self._collection: dict[str, Endpoint] = {"GET": self._list, "POST": self._create}
        self._member: dict[str, Endpoint] = {
            "GET": self._read,
            "PATCH": self._change,
            "DELETE": self._remove,
        }

    def answer(self, request: Request) -> Outcome:
        """Answer or raise a Problem. Who is not let in does not learn which paths there are either."""
        client = self._authenticate(request)
        path = _PATH.fullmatch(request.path)
        if path is None:
            raise not_found("There is nothing at this path.")
        order_id = path["order_id"] or ""
        endpoints = self._member if order_id else self._collection
        if request.method not in endpoints:
            raise _method_not_allowed(endpoints)
        return endpoints[request.method](Call(request, client, order_id))

    def _create(self, call: Call) -> Outcome:
        payloads.query(call.request, allowed=())
        wanted = payloads.new_order(call.request)
        claim = idempotency.claim(call.request.headers, call.client, wanted)
        now = self._now()
        order = Order(self._new_id(), wanted.merchant_id, wanted.amount, wanted.currency, NEW, now, now)
        if claim is None:
            self._orders.create(order)
            return _created(order.order_id)
        order_id = self._orders.create_once(order, claim)
        return _created(order_id) if order_id == order.order_id else _created_before(order_id)

    def _read(self, call: Call) -> Outcome:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        stored = self._orders.read(call.order_id)
        preconditions.require_match(call.request.headers, stored.etag)
        if preconditions.unchanged(call.request.headers, stored.etag):
            return Outcome(Response(HTTPStatus.NOT_MODIFIED, headers={"etag": stored.etag}), "", call.order_id)
        return Outcome(_representation(stored), "", call.order_id)

    def _list(self, call: Call) -> Outcome:
        query = payloads.order_query(call.request)
        page = self._listing.page(query.merchant_id, query.limit, query.cursor)
        orders = ", ".join(to_json(order) for order in page.orders)
        cursor = f', "next_cursor": {json.dumps(page.next_cursor)}' if page.next_cursor else ""
        return Outcome(Response(HTTPStatus.OK, f'{{"orders": [{orders}]{cursor}}}', JSON))

    def _change(self, call: Call) -> Outcome:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        patch = payloads.order_patch(call.request)

        def edit(stored: Stored) -> Order:
            preconditions.require_match(call.request.headers, stored.etag)
            return patched(stored.order, patch, self._now())

        stored = self._orders.change(call.order_id, edit)
        return Outcome(_representation(stored), "OrdersUpdated", call.order_id)

    def _remove(self, call: Call) -> Outcome:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        self._orders.remove(
            call.order_id,
            lambda stored: preconditions.require_match(call.request.headers, stored.etag),
        )
        return Outcome(Response(HTTPStatus.NO_CONTENT), "OrdersDeleted", call.order_id)


def patched(order: Order, patch: OrderPatch, now: int) -> Order:
    """Apply `patch`; time never goes back, whatever the clocks of two execution environments say."""
    changed = replace(
        order,
        amount=order.amount if patch.amount is None else patch.amount,
        currency=patch.currency or order.currency,
        status=patch.status or order.status,
        updated_at=max(now, order.updated_at),
    )
    if patch.amount is not None or patch.currency is not None:
        field = "/currency" if patch.amount is None else "/amount"
        payloads.require_fit(changed.amount, changed.currency, field=field)
    return changed


def _created(order_id: str) -> Outcome:
    return Outcome(_receipt(order_id), "OrdersCreated", order_id)


def _created_before(order_id: str) -> Outcome:
    return Outcome(_receipt(order_id, {"idempotency-replayed": "true"}), "OrdersReplayed", order_id)


def _receipt(order_id: str, headers: Mapping[str, str] = EMPTY) -> Response:
    # Relative to the request, so that it is right behind any stage, base path or emulator's prefix.
    location = {"location": f"../v1/orders/{order_id}"}
    return Response(HTTPStatus.CREATED, json.dumps({"order_id": order_id}), {**JSON, **location, **headers})


def _representation(stored: Stored) -> Response:
    return Response(HTTPStatus.OK, to_json(stored.order), {**JSON, "etag": stored.etag})


def _method_not_allowed(endpoints: Mapping[str, Endpoint]) -> Problem:
    allowed = ", ".join(sorted(endpoints))
    return Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"This path knows {allowed} only.", headers={"allow": allowed})
