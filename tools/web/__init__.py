"""What `make site`, `make slides` and `make pdf` share: notebooks read, cells turned into HTML."""
