# What Linux's documentation says of overlays (Documentation/filesystems/overlayfs.rst), on layers in tmpfs.
# `same WANTED COMMAND...` complains unless the command prints what is wanted, lines as words.
failures=0
same() {
  wanted=$1; shift
  found=$("$@" 2>&1 | tr -s '\n ' '  '); found=${found% }
  [ "$found" = "$wanted" ] || { echo "overlay: $*: '$found', wanted '$wanted'"; failures=$((failures + 1)); }
}
set_up() {
  cd /tmp; rm -rf overlay; mkdir overlay; cd overlay
  mkdir -p high/both high/gone low/both low/lower up work all
  echo high > high/name; echo low > low/name; echo file > low/file; echo x > high/both/x; echo y > low/both/y
  echo deep > low/lower/deep; ln -s file low/link; mkfifo low/fifo
  chmod 640 low/file; chown 5:6 low/file; touch -d '2020-01-02 03:04:05' low/file
  mount -t overlay -o lowerdir=high:low,upperdir=up,workdir=work overlay all; cd all
}
set_up

# Upper names hide lower ones, directories merge.
same "both fifo file gone link lower name" ls
same "high" cat name
same "x y" ls both
same "deep" cat lower/deep

# Reading copies nothing; the first change copies the file with all that belongs to it, and the directories above.
same "" find ../up -mindepth 1
same "1577934245" stat -c %Y file
echo more >> file; same "file more" cat file; same "file" cat ../low/file; same "640 5:6" stat -c "%a %u:%g" ../up/file
echo z > lower/z; same "deep z" ls lower; same "z" ls ../up/lower
chmod 600 lower/deep; same "600" stat -c %a ../up/lower/deep; same "644" stat -c %a ../low/lower/deep
number=$(stat -c %i fifo); chmod 600 fifo; same "$number" stat -c %i fifo
same "$(stat -c %d .)" stat -c %d both/x

# A removed name is a character device 0:0 in the upper layer, and can be made anew.
rm name; same "cat: can't open 'name': No such file or directory" cat name; same "character special file 0,0" stat -c "%F %t,%T" ../up/name
same "mkdir: can't create directory 'name/x': No such file or directory" mkdir name/x
mkdir name; same "" ls name; echo new > name/new; same "new" cat name/new
same "rmdir: 'both': Directory not empty" rmdir both
rm -r both; mkdir both; same "" ls both
rm -r both; echo file > both; same "file" cat both

# A lower directory does not move, what is in the upper layer does; nothing lower shows through where it goes.
mkdir made; echo inside > made/inside; mv made made2; same "inside" cat made2/inside
rm -r lower; mv made2 lower; same "inside" ls lower
mv file moved; same "character special file" stat -c %F ../up/file; same "file more" cat moved
ln moved second; echo again >> second; same "file more again" cat moved; same "2" stat -c %h second

# What is there is there after another mount, and is read through an overlay that cannot be changed.
before=$(find . | sort); cd ..; umount all
mount -t overlay -o lowerdir=high:low,upperdir=up,workdir=work overlay all; same "$(echo $before)" sh -c 'cd all; find . | sort'
same "" ls work/work; umount all
mount -t overlay -o lowerdir=up:high:low overlay all; same "$(echo $before)" sh -c 'cd all; find . | sort'
same "touch: all/x: Read-only file system" touch all/x; umount all

# An overlay can be a lower layer of another, which changes nothing in it, but not of a third, nor an upper layer.
mkdir top topwork top2 third; mount -t overlay -o lowerdir=high:low,upperdir=up,workdir=work overlay all
mount -t overlay -o lowerdir=all,upperdir=top,workdir=topwork overlay top2
same "$(echo $before)" sh -c 'cd top2; find . | sort'
echo above > top2/lower/above; echo more >> top2/moved; rm top2/second top2/lower/inside; mkdir top2/lower/d; mv top2/lower/above top2/lower/d/a
same "above" cat top2/lower/d/a; same "d" ls top2/lower; same "file more again more" cat top2/moved; same "file more again" cat all/moved
same "$(echo $before)" sh -c 'cd all; find . | sort'; same "$(find top2 -type f | wc -l)" sh -c 'find top2 -type f -exec stat -c %i {} + | sort -u | wc -l'
same "mount: mounting overlay on third failed: Invalid argument" mount -t overlay -o lowerdir=top2:high overlay third
same "mount: mounting overlay on third failed: Invalid argument" mount -t overlay -o lowerdir=high,upperdir=all/name,workdir=all/lower overlay third
umount top2; umount all

# Layers must fit.
same "mount: mounting overlay on all failed: Invalid argument" mount -t overlay -o lowerdir=high overlay all
same "mount: mounting overlay on all failed: Invalid argument" mount -t overlay -o lowerdir=high,upperdir=up,workdir=up/lower overlay all
same "mount: mounting overlay on all failed: Invalid argument" mount -t overlay -o lowerdir=high,upperdir=up,workdir=/proc overlay all
[ "$failures" = 0 ] && echo "overlay is as it should be"
set_up; cd /
