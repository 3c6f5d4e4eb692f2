"""The app. It opens nothing: `ready` also runs for `manage.py migrate`, and in the autoloader's parent."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "examples.web.django_shop"
    label = "shop"
