"""As few settings as will do. The shop's tables and those of Amends share one SQLite file."""

import os

SECRET_KEY = "for the example only"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["examples.web.django_shop.apps.ShopConfig"]
ROOT_URLCONF = "examples.web.django_shop.urls"
WSGI_APPLICATION = "examples.web.django_shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ORDERS_DB", "orders.db"),
        # A transaction that has begun to read could not wait for another writer: begin by writing.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
}
