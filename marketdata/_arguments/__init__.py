"""How arguments are read: every form that has one meaning, and both meanings of the others."""
