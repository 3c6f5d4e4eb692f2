"""The five services. Each is `python -m <this package>.<name> --db PATH --port N`."""
