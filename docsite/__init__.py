"""The documentation as a site: `make docs` arranges the pages of docs/ and has Sphinx build them in two languages."""
