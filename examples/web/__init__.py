"""One saga behind four web frameworks: FastAPI, Starlette, Flask and Django."""
