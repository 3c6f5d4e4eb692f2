"""An order's row and its saga are one transaction: there is never the one without the other."""

import json

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from amends import NotFound
from examples.web.django_shop import models
from examples.web.django_shop.sagas import orchestrator
from examples.web.fulfil import Approval, Order, fulfil


@csrf_exempt
@require_POST
def place(request: HttpRequest) -> JsonResponse:
    order = Order(**json.loads(request.body))
    with transaction.atomic():
        row = models.Order(number=order.number, item=order.item)
        saga = orchestrator.start(fulfil, order, key=f"order-{order.number}", transaction=connection)
        row.saga_id = saga.id
        row.save()  # an order of this number exists: neither the row nor the saga does
        transaction.on_commit(orchestrator.look)  # take it up now, and not at the next poll
    return JsonResponse({"id": saga.id}, status=202, headers={"Location": f"/orders/{saga.id}"})


@require_GET
def look(request: HttpRequest, saga_id: str) -> JsonResponse:
    try:
        view = orchestrator.get(saga_id)
    except NotFound as error:
        return JsonResponse({"error": error.code, "message": error.message}, status=404)
    return JsonResponse(
        {"id": view.id, "status": view.status, "step": view.step, "cause": view.cause, "result": view.result}
    )


@csrf_exempt
@require_POST
def approve(request: HttpRequest, saga_id: str) -> JsonResponse:
    applied = orchestrator.signal(saga_id, "approval", Approval(**json.loads(request.body)))
    return JsonResponse({"applied": applied}, status=202)
