"""The pages in a real browser: `make test-browser`; not part of the default run."""
