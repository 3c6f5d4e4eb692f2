"""The one orchestrator of the process. Making it opens nothing; its first use does, or `wsgi.py`."""

from django.conf import settings

from amends import SyncOrchestrator
from examples.web.fulfil import fulfil

orchestrator = SyncOrchestrator(f"sqlite:///{settings.DATABASES['default']['NAME']}", sagas=[fulfil])
