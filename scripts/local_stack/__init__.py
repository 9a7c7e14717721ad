"""The local stack: a private database server, an emulated AWS, and Backstream deployed between them."""
