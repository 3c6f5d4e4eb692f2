"""The pages of docs/reference/ that are generated, one module each; `tools/make_reference.py` writes them.

Rules of this package: a page says what the source says (docstrings, signatures, tables), in the source's own words.
What is missing on a page is mended in the source.
"""
