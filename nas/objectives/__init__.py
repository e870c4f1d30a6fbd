"""What a trial costs beside its value, one objective a file; `nas.objectives.base` tells what a file holds."""
