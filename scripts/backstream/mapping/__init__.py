"""Help in writing a mapping file: a draft, checks, DDL, and what one item becomes. Changes nothing."""
