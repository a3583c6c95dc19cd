"""What a model is: id grammar, family, operation, limits."""
