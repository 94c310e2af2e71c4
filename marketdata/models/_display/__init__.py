"""How records look in terminals, in notebooks and as ``repr``.

A page is a list of elements that hold only text. `html` draws it for notebooks and the command's
``views`` draw it for terminals, so that both show the same numbers.
"""
