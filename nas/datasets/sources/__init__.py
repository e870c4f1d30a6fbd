"""One file a source of images: `find(source, downloads, rules)` of each takes a name or path, or does not."""
