"""What a trial is judged by, one objective a file; `nas.objectives.base` tells what a file holds."""
