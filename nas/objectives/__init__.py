"""What a trial is judged by beside its value, one objective a file; `nas.objectives.base` tells what a file holds."""
