# Run by the boot test `share`, in a shell with -e: everything must succeed.
# (In two parts, since the terminal shows this text as well.)
wrong() { echo wrong": $*"; exit 1; }
grep -q '^share /mnt/share 9p ' /proc/mounts
cd /mnt/share
cat link
sha256sum -c large.sum
echo $(find many -type f | wc -l) files

# A tree through tar, and a large file, both ways.
mkdir copied
tar cf - hello.txt link many large | tar xf - -C copied
cmp large copied/large
ls -lR copied > /tmp/listing
dd if=/dev/urandom of=made bs=1M count=20 2> /dev/null
sha256sum made > made.sum

# Names: moved, linked, removed.
echo one > new
mv new appended
echo two >> appended
chmod 640 appended
echo linked > first
ln first second
[ "$(cat second)" = linked ]
mkdir -p gone/deep/deeper
cp many/file-1* gone/deep
rm -r gone
[ ! -e gone ]
rmdir many 2> /dev/null && wrong "a directory that is not empty is removed"
cat missing 2> /dev/null && wrong "a file that is not there is read"

# A file that is cut, stretched, and read through what the cache has of it.
dd if=large of=stored bs=10000 count=3 2> /dev/null
[ $(wc -c < stored) = 30000 ]
truncate -s 40000 stored
dd if=stored bs=10000 skip=3 2> /dev/null | tr -d '\0' | wc -c | grep -qx 0
# A program that lies there, and a file that is read after its name has gone.
cp /bin/busybox busybox
[ "$(./busybox echo it runs)" = "it runs" ]
exec 3< busybox
rm busybox
cmp /bin/busybox - <&3
exec 3<&-
df . | grep -q ' /mnt/share$'
