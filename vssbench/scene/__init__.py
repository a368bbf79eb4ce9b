"""A procedurally drawn street: textured planes seen by a moving pinhole camera, with exact labels and motion."""
