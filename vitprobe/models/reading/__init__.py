"""Files of weights, read as data: nothing that they name is imported, called or set."""
