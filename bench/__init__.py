"""How fast authserve is, as ratios against floors measured in the same run; see README.md."""
