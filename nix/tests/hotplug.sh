# What the test `hotplug` does with disks.

# A file system with a file that is safe and one that is not, and two programs that use the disk until it fails.
prepare() { # DISK FOLDER
	mkdir -p $2 /other && mke2fs -q /dev/$1 > /dev/null && mount -t ext2 /dev/$1 $2 || return
	echo safe > $2/safe; sync; echo waits > $2/waits
	(while dd if=/dev/$1 of=/dev/null bs=64k iflag=direct 2> /dev/null; do :; done; echo the reader of $1 ended) &
	(while dd if=/dev/zero of=$2/written bs=4k count=500 conv=fsync 2> /dev/null; do :; done; echo the writer of $1 ended) &
}

# Nothing of it is found any more, and what is open says EIO.
gone() { # DISK FOLDER
	[ ! -e /dev/$1 ] && [ ! -e /sys/class/block/$1 ] && ! grep -q $1 /proc/partitions || echo "$1 is" still found
	echo more >> $2/waits; sync $2/waits || echo $1 cannot be synced
	grep -q " $2 " /proc/mounts && echo $1 is mounted still
}
