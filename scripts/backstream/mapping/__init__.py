"""Help in writing a mapping file: a draft, checks, DDL, and what becomes of one item. Changes nothing anywhere."""
