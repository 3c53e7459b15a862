# The random work of the check power-cuts, for busybox: power_cut.sh NAME SEED
# Makes files below NAME, p* of them of zeros that are never written, and prints a line for each that must be there after a cut: "kept PATH MD5".
mkdir -p "$1"
RANDOM=$2
i=0
kept() { echo "kept $1 $(md5sum < "$1" | cut -c1-32)"; }
while :; do
  i=$((i + 1))
  file=$1/f$i
  dd if=/dev/urandom of="$file" bs=$((RANDOM % 7000 + 1)) count=$((RANDOM % 12 + 1)) conv=fsync 2> /dev/null
  # Space ahead, of which a cut may leave less, but nothing else than zeros.
  fallocate -l $((RANDOM * 5 + 1)) "$1/p$((i % 7))"
  case $((RANDOM % 8)) in
    0) rm "$file" ;;
    1) mkdir "$1/d$i"; mv "$file" "$1/d$i/moved"; sync; kept "$1/d$i/moved" ;;
    2) ln "$file" "$1/l$i"; sync; kept "$file"; kept "$1/l$i" ;;
    3) cat "$file" "$file" "$file" > "$1/unsynced"; mv "$1/unsynced" "$1/u$((RANDOM % 5))"; kept "$file" ;;
    4) ln -s "$file" "$1/s$i"; rm -rf "$1/tree"; cp -r "$1" /tmp/tree.$$; mv /tmp/tree.$$ "$1/tree"; kept "$file" ;;
    *) kept "$file" ;;
  esac
  # So that the disk is not full before the cut comes.
  [ "$i" -lt 150 ] || { rm -rf "$1/tree"; sleep 100; }
done
