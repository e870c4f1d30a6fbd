"""What a trial costs beside its value, a file each; `nas.objectives.base` tells what a file holds."""
