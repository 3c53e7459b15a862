# What is lost on a disk of 16 MiB that cannot read sector 16000 and cannot write sector 24000, and what is told: $1 is the
# disk, $2 holds an ext2 file system of the same size.
disk=$1
failures=0
same() { # NAME WANTED FOUND
  if [ "$2" = "$3" ]; then echo "$1: as it should be"; else echo "$1: wanted $2, found $3"; failures=1; fi
}
# How many bytes of COUNT sectors from FIRST are not x; or that reading them fails.
strange() { # FIRST COUNT
  dd if=$disk of=/tmp/read bs=512 skip=$1 count=$2 2> /tmp/error || { grep -o "Input/output error" /tmp/error; return; }
  tr -d x < /tmp/read | wc -c
}
dd if=/dev/zero bs=64k count=256 2> /dev/null | tr '\0' x > /tmp/pattern
same "writing all" "Input/output error" "$(dd if=/tmp/pattern of=$disk bs=64k conv=fsync 2>&1 | grep -o "Input/output error")"
echo 3 > /proc/sys/vm/drop_caches
same "before the sector that cannot be read" 0 "$(strange 0 16000)"
same "the sector" "Input/output error" "$(strange 16000 1)"
same "behind it" 0 "$(strange 16001 7999)"
same "the sector that was not written" 512 "$(strange 24000 1)"
same "behind that one" 0 "$(strange 24001 8767)"
same "another time" 0 "$(dd if=/tmp/pattern of=$disk bs=64k count=4 conv=fsync,notrunc 2> /dev/null; echo $?)"
# The sector that cannot be written is told here.
dd if=$2 of=$disk bs=64k conv=fsync 2> /dev/null
mkdir -p /tmp/faulty
mount -t ext2 $disk /tmp/faulty
dd if=/tmp/pattern of=/tmp/faulty/file bs=64k count=208 2> /dev/null
same "fsync of a file" "Input/output error" "$(sync /tmp/faulty/file 2>&1 | grep -o "Input/output error")"
echo more >> /tmp/faulty/file
same "unmounting, whatever is lost" 0 "$(umount /tmp/faulty; echo $?)"
[ $failures = 0 ] && echo "${disk##*/}: no failures"
