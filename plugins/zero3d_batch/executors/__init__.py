"""Who runs jobs: processes of this machine, or Ray, here or over many machines."""
