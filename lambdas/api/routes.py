"""Routes requests: one method of OrdersApi per HTTP method and path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from api import idempotency, payloads, preconditions
from api.auth import Authenticate
from api.cors import Cors
from api.gateway import Request, Response
from api.listing import Listing
from api.order import Order, OrderPatch, from_new, to_json
from api.orders import Orders, StoredOrder
from api.problems import Problem, not_found

JSON: Mapping[str, str] = {"content-type": "application/json"}
EMPTY: Mapping[str, str] = {}

_PATH = re.compile(r"/v1/orders(?:/(?P<order_id>[A-Za-z0-9][A-Za-z0-9_-]{0,63}))?")

Endpoint = Callable[["Call"], "Handled"]


@dataclass(frozen=True)
class Call:
    """An authenticated request to a known path; `order_id` is empty for the collection."""

    request: Request
    client: str
    order_id: str


@dataclass(frozen=True)
class Handled:
    """A response with the metric to count and the order id to log; each may be empty."""

    response: Response
    metric: str = ""
    order_id: str = ""


@dataclass(frozen=True)
class Access:
    """Who may call the API: clients with credentials, also from the pages that `cors` allows."""

    authenticate: Authenticate
    cors: Cors


class OrdersApi:
    def __init__(
        self,
        access: Access,
        orders: Orders,
        listing: Listing,
        now: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self.cors = access.cors
        self._authenticate = access.authenticate
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

    def handle(self, request: Request) -> Handled:
        """Handle the request or raise a Problem. Without valid credentials every path is a 401, unknown ones too.

        A preflight request has no credentials, and is told only what its path allows.
        """
        preflight = self.cors.is_preflight(request)
        client = "" if preflight else self._authenticate(request)
        path = _PATH.fullmatch(request.path)
        if path is None:
            raise not_found("Not found.")
        order_id = path["order_id"] or ""
        endpoints = self._member if order_id else self._collection
        if preflight:
            return Handled(self.cors.preflight(endpoints))
        if request.method not in endpoints:
            raise _method_not_allowed(endpoints)
        return endpoints[request.method](Call(request, client, order_id))

    def _create(self, call: Call) -> Handled:
        payloads.query(call.request, allowed=())
        new = payloads.new_order(call.request)
        record = idempotency.record(call.request.headers, call.client, new)
        order = from_new(new, self._new_id(), self._now())
        if record is None:
            self._orders.create(order)
            return _created(order.order_id)
        order_id = self._orders.create_once(order, record)
        return _created(order_id) if order_id == order.order_id else _replayed(order_id)

    def _read(self, call: Call) -> Handled:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        stored = self._orders.read(call.order_id)
        preconditions.require_match(call.request.headers, stored.etag)
        if preconditions.not_modified(call.request.headers, stored.etag):
            return Handled(Response(HTTPStatus.NOT_MODIFIED, headers={"etag": stored.etag}), "", call.order_id)
        return Handled(_representation(stored), "", call.order_id)

    def _list(self, call: Call) -> Handled:
        query = payloads.order_query(call.request)
        page = self._listing.page(query.merchant_id, query.limit, query.cursor)
        orders = ", ".join(to_json(order) for order in page.orders)
        cursor = f', "next_cursor": {json.dumps(page.next_cursor)}' if page.next_cursor else ""
        return Handled(Response(HTTPStatus.OK, f'{{"orders": [{orders}]{cursor}}}', JSON))

    def _change(self, call: Call) -> Handled:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        patch = payloads.order_patch(call.request)

        def edit(stored: StoredOrder) -> Order:
            preconditions.require_match(call.request.headers, stored.etag)
            return patched(stored.order, patch, self._now())

        stored = self._orders.change(call.order_id, edit)
        return Handled(_representation(stored), "OrdersUpdated", call.order_id)

    def _remove(self, call: Call) -> Handled:
        payloads.query(call.request, allowed=())
        preconditions.check_syntax(call.request.headers)
        self._orders.remove(
            call.order_id,
            lambda stored: preconditions.require_match(call.request.headers, stored.etag),
        )
        return Handled(Response(HTTPStatus.NO_CONTENT), "OrdersDeleted", call.order_id)


def patched(order: Order, patch: OrderPatch, now: int) -> Order:
    """Apply `patch`. `updated_at` never decreases, even if the clocks of execution environments differ."""
    given = {name: value for name, value in vars(patch).items() if value is not None}
    changed = replace(order, **given, updated_at=max(now, order.updated_at))
    if patch.amount is not None or patch.currency is not None:
        field = "/currency" if patch.amount is None else "/amount"
        payloads.require_precision(changed.amount, changed.currency, field=field)
    return changed


def _created(order_id: str) -> Handled:
    return Handled(_receipt(order_id), "OrdersCreated", order_id)


def _replayed(order_id: str) -> Handled:
    return Handled(_receipt(order_id, {"idempotency-replayed": "true"}), "OrdersReplayed", order_id)


def _receipt(order_id: str, headers: Mapping[str, str] = EMPTY) -> Response:
    # Relative to the request URL: the function cannot know the stage, base path or emulator prefix.
    location = {"location": f"../v1/orders/{order_id}"}
    return Response(HTTPStatus.CREATED, json.dumps({"order_id": order_id}), {**JSON, **location, **headers})


def _representation(stored: StoredOrder) -> Response:
    return Response(HTTPStatus.OK, to_json(stored.order), {**JSON, "etag": stored.etag})


def _method_not_allowed(endpoints: Mapping[str, Endpoint]) -> Problem:
    allowed = ", ".join(sorted(endpoints))
    detail = f"Method not allowed. Allowed methods: {allowed}."
    return Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"allow": allowed})
