//! Block devices: registry, cache, partitions, RAM disks.
