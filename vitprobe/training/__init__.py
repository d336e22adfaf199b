"""Training of the models that the analyses look at."""
