"""The models that run inside, from weights that are pinned."""
