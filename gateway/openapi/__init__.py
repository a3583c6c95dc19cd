"""The description of the API: OpenAPI 3.1 and a page to read it, made from the models that parse requests.

`openapi.json` and `docs.html` are made by `python -m gateway.openapi` and served as they are: making them
takes a fifth of a second, which no request should wait for. A test makes them again and compares.
"""

from __future__ import annotations
