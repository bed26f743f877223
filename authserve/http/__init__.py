"""What every JSON call shares: how it is read, who makes it, how it is answered and logged."""
