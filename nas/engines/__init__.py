"""Where workers run: `base` is the seam, `local` starts processes here, `worker` is what runs in one."""
