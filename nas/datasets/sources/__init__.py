"""One file a source of images: `find(source, downloads, rules)` of each takes a name or a path, or does not."""
