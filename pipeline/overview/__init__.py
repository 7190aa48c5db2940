"""A look at the work, once or again and again: `comention status --watch`."""
