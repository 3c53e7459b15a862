# How many requests a file of 4 MiB, written and read by 4 KiB, costs disk $1, on which an ext2 is mounted at $2.
count() { # FIELD of /sys/block/DISK/stat: 1 reads, 2 reads merged, 5 writes, 6 writes merged
  cut -d ' ' -f "$1" "/sys/block/$disk/stat"
}
at_most() { # WHAT LIMIT FIELD BEFORE
  found=$(($(count "$3") - $4))
  echo "$1: $found, at most $2"
  [ $found -le "$2" ] || { echo "too many"; result=too-many; }
}
disk=$1 result=as-few
sync; writes=$(count 5)
dd if=/dev/zero of="$2/large" bs=4k count=1024 2> /dev/null
sync "$2/large"
at_most "writes of 1024 pages" 64 5 "$writes"
sync; echo 3 > /proc/sys/vm/drop_caches; reads=$(count 1)
dd if="$2/large" of=/dev/null bs=4k 2> /dev/null
at_most "reads of 1024 pages" 40 1 "$reads"
reads=$(count 1)
dd if="$2/large" of=/dev/null bs=4k 2> /dev/null
at_most "reads of what is in memory" 0 1 "$reads"
[ $result = as-few ] && echo "requests: as few as there should be"
