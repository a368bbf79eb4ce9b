"""Weight files, and the importer of published checkpoints."""
