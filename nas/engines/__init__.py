"""Where workers run. `base` is the seam, `local` starts processes on this machine, `worker` is what runs in one."""
