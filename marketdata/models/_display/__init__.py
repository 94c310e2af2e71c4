"""How records show themselves: what is said of each, for terminals, notebooks and ``repr``.

A page is a list of elements that hold texts only. `html` draws it for notebooks, the command's
``views`` draw it for terminals, so both show the same numbers.
"""
