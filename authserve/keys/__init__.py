"""The keys that sign access tokens: made, published, rotated and retired without a restart."""
