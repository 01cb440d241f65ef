"""This machine: memory, cores, folders, disks."""
