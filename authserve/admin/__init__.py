"""What operators and administrators do with other people's accounts."""
