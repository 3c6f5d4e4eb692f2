"""The server's entry: from here on this process runs sagas, also those that an earlier one left."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.web.django_shop.settings")
application = get_wsgi_application()

from examples.web.django_shop.sagas import orchestrator  # noqa: E402 -- settings are there only now

orchestrator.open()
