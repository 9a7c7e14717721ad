"""The generators of the files that are derived from others: one module each, with `OUTPUT` and `render()`."""
