# A root file system: an ext2 image, made without root and without mounting anything.
#
# The same content gives the same bytes: mke2fs sorts names itself, and takes UUID, hash seed and its clock
# from us; a pass of debugfs then sets what it copied from the build (times, owners).
{ lib, runCommand, e2fsprogs, pkgsStatic }:
{ name
  # Packages whose bin/* go to /bin (`init` to /sbin).
, programs ? [ ]
  # Folders laid over the tree, a later one above an earlier one.
, files ? [ ]
  # Size in MiB; null: what the content takes and `room`.
, size ? null
  # MiB left free where size is null.
, room ? 4
  # Where the tree is put together; of no consequence, as the check `reproducible` shows.
, place ? "tree"
}:
let
  epoch = "315532800"; # 1980-01-01, the oldest time that FAT can hold, for all images
  uuid = "6f735f74-7375-7200-8000-726f6f746673";
  hashSeed = "6f735f74-7375-7200-8000-000000000001";
  busybox = pkgsStatic.busybox;
  journal = lib.optionalString (size != null) ",has_journal -J size=4";
in
runCommand "${name}-rootfs.ext2" { nativeBuildInputs = [ e2fsprogs ]; } ''
  export SOURCE_DATE_EPOCH=${epoch} E2FSPROGS_FAKE_TIME=${epoch} MKE2FS_CONFIG=$PWD/mke2fs.conf
  printf '[fs_types]\nsmall = {\n}\n' > mke2fs.conf # none of the machine's defaults
  mkdir -p ${place}
  pushd ${place} > /dev/null
  mkdir -p bin sbin usr/bin usr/sbin etc dev home mnt proc root run sys tmp var/log var/tmp

  # busybox and a link for each of its applets
  cp ${busybox}/bin/busybox bin/busybox
  ./bin/busybox --list-full | while read -r applet; do
    case $applet in
      bin/busybox) ;;
      bin/*) ln -s busybox $applet ;;
      sbin/*) ln -s ../bin/busybox $applet ;;
      usr/bin/* | usr/sbin/*) ln -s ../../bin/busybox $applet ;;
    esac
  done

  for program in ${lib.concatMapStringsSep " " (p: "${p}/bin/*") programs}; do
    case ''${program##*/} in
      init) target=sbin/init ;;
      *) target=bin/''${program##*/} ;;
    esac
    rm -f $target
    cp $program $target
  done
  for folder in ${lib.concatMapStringsSep " " (folder: "${folder}") files}; do
    cp -r --remove-destination $folder/. .
    chmod -R u+w .
  done
  find . -type d -exec chmod 755 {} +
  find . -type f -perm /111 -exec chmod 755 {} +
  find . -type f ! -perm /111 -exec chmod 644 {} +
  chmod 1777 tmp var/tmp
  chmod 700 root
  if [ -e etc/shadow ]; then chmod 600 etc/shadow; fi
  popd > /dev/null

  # In blocks of 4 KiB: the files, a block for each directory, and a share for the tables.
  size=${toString size}
  if [ -z "$size" ]; then
    size=$(find ${place} -printf '%y %s\n' | awk '
      $1 == "f" { blocks += int(($2 + 4095) / 4096) + int($2 / 4194304) }
      $1 == "d" { blocks += 2 }
      END { print int(blocks * 1.04 / 256) + 1 + ${toString room} }')
  fi
  # A journal where changes last: the ISO's copy lives in memory.
  mke2fs -q -t ext2 -b 4096 -I 256 -i 16384 -m 0 -O none,filetype,sparse_super,large_file${journal} \
    -L rust-os -U ${uuid} -E hash_seed=${hashSeed},root_owner=0:0,lazy_itable_init=0 \
    -d ${place} image "$size"M

  # Device nodes for the time before devtmpfs is mounted (mknod takes names of the current folder only).
  cat > commands <<END
  cd /dev
  mknod console c 5 1
  mknod null c 1 3
  set_inode_field console mode 020600
  set_inode_field null mode 020666
  END
  # Inode 2 is /, those below 11 are reserved.
  used=$(dumpe2fs -h image 2> log | awk '/^Inode count:/ { all = $3 } /^Free inodes:/ { free = $3 } END { print all - free }')
  for inode in 2 $(seq 11 $((used + 2))); do
    for field in atime ctime mtime crtime; do echo "set_inode_field <$inode> $field @${epoch}"; done
    for field in atime_extra ctime_extra mtime_extra crtime_extra uid gid generation; do
      echo "set_inode_field <$inode> $field 0"
    done
  done >> commands
  debugfs -w -f commands image > log 2>&1
  if grep -vE '^debugfs|^Allocated inode' log; then exit 1; fi
  e2fsck -fn image
  cp --sparse=always image $out
''
