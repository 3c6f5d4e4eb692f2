"""Django: an order's row and its saga in one transaction; see `views.py`."""
