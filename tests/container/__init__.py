"""The image, built and run, and the files that start it: `make test-container`."""
