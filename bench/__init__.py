"""Measurements of authserve's speed, as ratios against floors of the same run; see README.md."""
