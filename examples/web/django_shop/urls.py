"""The same three addresses as the other apps."""

from django.urls import path

from examples.web.django_shop import views

urlpatterns = [
    path("orders", views.place),
    path("orders/<saga_id>", views.look),
    path("orders/<saga_id>/approval", views.approve),
]
