"""Prints the surface as it is now."""

import json

from surface import current

print(json.dumps(current(), indent=1, sort_keys=True))
