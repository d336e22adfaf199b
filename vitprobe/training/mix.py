class Mix:
    pass
