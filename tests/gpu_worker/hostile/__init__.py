"""Files made to make a converter call somebody, read something, or never end."""
