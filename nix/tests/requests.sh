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
writes=$(count 5)
dd if=/dev/zero of="$2/direct" bs=64k count=4 oflag=direct 2> /dev/null
[ $(($(count 5) - writes)) -ge 4 ] || { echo "direct writes wait"; result=too-few; }
for round in 1 2; do
  reads=$(count 1)
  dd if="$2/direct" of=/dev/null bs=64k iflag=direct 2> /dev/null
  at_most "direct reads of 4 times 16 pages" 12 1 "$reads"
  [ $(($(count 1) - reads)) -ge 4 ] || { echo "direct reads come from memory"; result=too-few; }
done
cmp "$2/direct" "$2/large" 2>&1 | grep -q "EOF on $2/direct" || { echo "direct writes differ"; result=wrong; }
sync; counts=$(cat "/sys/block/$disk/stat")
grep -qx " *[0-9]* *[0-9]* $disk $counts" /proc/diskstats || { echo "/proc/diskstats counts otherwise"; result=wrong; }
[ $result = as-few ] && echo "requests: as few as there should be"
